/* SPDX-License-Identifier: MIT */
/* Processes of this machine that share a sweep, one or more for each device: see share.h. */
#ifndef US_SWEEP_WORKERS_H
#define US_SWEEP_WORKERS_H

#include "sweep/state.h"

typedef struct us_workers us_workers;

/* What options->device and options->jobs ask for. *workers is NULL where that is one process, as
 * which the calling one serves. */
unseen_status us_workers_open(const us_sweep *sweep, us_workers **workers, unseen_error *error);
void us_workers_close(us_workers *workers); /* ends those that are left; NULL is fine */

/* Starts the processes, each of which calls `work` with a device of its own, and waits until all
 * have ended; passes their messages on. One that crashes is replaced, and its run has failed. */
unseen_status us_workers_run(us_workers *workers, us_sweep *sweep,
                             unseen_status (*work)(us_sweep *sweep, unseen_error *error),
                             unseen_error *error);

#endif
