/* SPDX-License-Identifier: MIT */
/* The last holdout of a sweep, which the plan names by the key "final": images by which no run was
 * chosen, so that the best run's AUC on them is an estimate for new images. */
#ifndef US_SWEEP_FINAL_H
#define US_SWEEP_FINAL_H

#include "sweep/state.h"

/* UNSEEN_BAD_INPUT where the files are not there. */
unseen_status us_final_check(const us_sweep *sweep, unseen_error *error);

/* Scores the final images with the best run's model and evaluates them, unless that was done
 * already: *result is {run, test, labels, auc, auc_ci95, n, positives}, which OUT/final.json keeps;
 * the caller deletes it. NULL: the plan names none, or no run is ranked. Call with the sweep's
 * folder claimed. Where runs are only listed, nothing is computed. best: the best run's folder, or
 * NULL. */
unseen_status us_final_settle(const us_sweep *sweep, const char *best, cJSON **result,
                              unseen_error *error);

#endif
