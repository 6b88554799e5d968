/* SPDX-License-Identifier: MIT */
/* What tells whether two configs are the same run: all but words for people, as one text. */
#ifndef US_SWEEP_IDENTITY_H
#define US_SWEEP_IDENTITY_H

#include "sweep/state.h"

/* Heap; NULL: no memory. */
char *us_identity(const unseen_config *config);

/* The entries in the order of their identities, to be freed; NULL: no memory. */
us_entry **us_identity_sort(const us_sweep *sweep);

/* Which run the config in a file makes, of `count` in the order of their identities; NULL: none. A
 * file that cannot be read is not this sweep's, or it is damaged. */
unseen_status us_identity_find(const char *path, us_entry *const *sorted, size_t count,
                               us_entry **found, unseen_error *error);

#endif
