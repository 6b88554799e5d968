/* When the loss has converged: no epoch of the last `patience` improved on the best loss by the
 * stated share. */
#ifndef US_TRAINING_STOPPING_H
#define US_TRAINING_STOPPING_H

#include "training/config.h"

typedef struct us_stopping_state {
    double best; /* loss; infinite before the first epoch */
    int stale;   /* epochs since it improved */
} us_stopping_state;

/* Takes in an epoch's loss (held out, or else the training loss); true: stop. */
bool us_stopping_update(const us_stopping *stopping, us_stopping_state *state, double loss);

#endif
