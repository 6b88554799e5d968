/* SPDX-License-Identifier: MIT */
/* What tells whether two configs are the same run: all but words for people, as one text. */
#ifndef US_SWEEP_IDENTITY_H
#define US_SWEEP_IDENTITY_H

#include "sweep/state.h"

/* What was found out of the paths in the configs of runs, as thousands have the same: of each file,
 * the path that was looked up last, and the real one (NULL: there is none). For one thread alone. */
typedef struct us_real_paths {
    char *asked[US_DATA_FILES], *real[US_DATA_FILES];
} us_real_paths;
void us_real_paths_release(us_real_paths *paths);

/* Heap; NULL: no memory. paths: NULL: none are known. */
char *us_identity(const unseen_config *config, us_real_paths *paths);

/* The entries in the order of their identities, to be freed; NULL: no memory. */
us_entry **us_identity_sort(const us_sweep *sweep);

/* Which run the config in a file makes, of `count` in the order of their identities; NULL: none. A
 * file that cannot be read is not this sweep's, or it is damaged. */
unseen_status us_identity_find(const char *path, us_entry *const *sorted, size_t count,
                               us_real_paths *paths, us_entry **found, unseen_error *error);

#endif
