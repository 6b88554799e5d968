/* SPDX-License-Identifier: MIT */
#include "training/stopping.h"

void us_stopping_update(const us_stopping *stopping, us_stopping_state *state, double loss) {
    if (loss < state->best * (1 - stopping->minimum_improvement)) {
        state->best = loss;
        state->stale = 0;
    } else {
        state->stale++;
    }
}

us_stopping_reason us_stopping_reached(const us_stopping *stopping, const us_stopping_state *state,
                                       double loss) {
    if (loss < stopping->loss_below) return US_STOPPING_LOSS_BELOW;
    if (stopping->patience > 0 && state->stale >= stopping->patience) return US_STOPPING_CONVERGED;
    return US_STOPPING_NONE;
}
