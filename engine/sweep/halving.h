/* SPDX-License-Identifier: MIT */
/* Successive halving (Jamieson and Talwalkar, "Non-stochastic best arm identification and
 * hyperparameter optimization", AISTATS 2016): after some epochs only the best runs are trained on.
 * What is decided depends on the logs of runs alone, so that every process decides the same. */
#ifndef US_SWEEP_HALVING_H
#define US_SWEEP_HALVING_H

#include "sweep/state.h"

/* Whether each run has more epochs than the plan's last halving. */
unseen_status us_halving_check(const us_sweep *sweep, unseen_error *error);

/* The epochs that a run's log says are done. */
unseen_status us_halving_reached(const us_entry *entry, int *epochs, unseen_error *error);

/* Sets the target of each run: the epochs after which it waits for the others, INT_MAX for those
 * that are trained to the end; those that are trained no more are US_ENTRY_STOPPED. Without halving
 * all targets are INT_MAX. */
unseen_status us_halving_decide(us_sweep *sweep, unseen_error *error);

#endif
