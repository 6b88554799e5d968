/* SPDX-License-Identifier: MIT */
/* Several processes at one sweep, on one machine or on many that share its folder: each takes runs
 * that no other has taken. Who holds the lock of a run's folder (see base/folder.h) trains it; a
 * process that ends without having finished leaves a run that another goes on with. The lock of the
 * sweep's folder is held for moments only, while its leaderboard is written. */
#ifndef US_SWEEP_SHARE_H
#define US_SWEEP_SHARE_H

#include "sweep/state.h"

/* Finds the folders of the runs and writes the leaderboard. */
unseen_status us_share_begin(us_sweep *sweep, unseen_error *error);

/* The next run to train. Where others train all that are left it waits, as one of these may be left
 * unfinished. NULL: every run has been tried, or the caller asked to stop. */
unseen_status us_share_next(us_sweep *sweep, us_entry **entry, unseen_error *error);

/* Writes down how a run went, and what others have done meanwhile. */
unseen_status us_share_publish(us_sweep *sweep, unseen_error *error);

/* Once every run has been tried: evaluates the best one on the plan's final images, unless another
 * process has. */
unseen_status us_share_end(us_sweep *sweep, unseen_error *error);

#endif
