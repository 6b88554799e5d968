/* SPDX-License-Identifier: MIT */
/* When to stop before the last epoch: the loss has fallen below what was asked for, or it has
 * converged, no epoch of the last `patience` having improved on the best loss by the stated share.
 */
#ifndef US_TRAINING_STOPPING_H
#define US_TRAINING_STOPPING_H

#include "training/config.h"

typedef struct us_stopping_state {
    double best; /* loss; infinite before the first epoch */
    int stale;   /* epochs since it improved */
} us_stopping_state;

typedef enum us_stopping_reason {
    US_STOPPING_NONE, /* training goes on */
    US_STOPPING_CONVERGED,
    US_STOPPING_LOSS_BELOW,
} us_stopping_reason;

/* Records an epoch's loss (held out, or else the training loss). */
void us_stopping_update(const us_stopping *stopping, us_stopping_state *state, double loss);

/* Whether to stop after an epoch with that loss, the last one taken in; NaN: before the first. */
us_stopping_reason us_stopping_reached(const us_stopping *stopping, const us_stopping_state *state,
                                       double loss);

#endif
