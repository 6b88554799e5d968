#include "training/stopping.h"

bool us_stopping_update(const us_stopping *stopping, us_stopping_state *state, double loss) {
    if (loss < state->best * (1 - stopping->minimum_improvement)) {
        state->best = loss;
        state->stale = 0;
    } else {
        state->stale++;
    }
    return stopping->patience > 0 && state->stale >= stopping->patience;
}
