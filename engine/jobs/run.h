/* SPDX-License-Identifier: MIT */
/* A run as part of another one: a member's, by the ranks that train the whole. */
#ifndef US_JOBS_RUN_H
#define US_JOBS_RUN_H

#include "base/event.h"
#include "parallel/group.h"

/* unseen_run by the ranks of `group` (NULL: this process alone), which outlives it and is not shared
 * with anything else meanwhile. *json stays NULL on ranks other than the first. *apart: it failed on
 * this rank alone, and the others do not know yet. */
unseen_status us_run_by(us_group *group, const unseen_config *config,
                        const unseen_run_options *options, const unseen_events *events, char **json,
                        bool *apart, unseen_error *error);

#endif
