/* SPDX-License-Identifier: MIT */
/* The state of a training beside its tensors. */
#ifndef US_TRAINING_PROGRESS_H
#define US_TRAINING_PROGRESS_H

#include "training/collapse.h"
#include "training/stopping.h"

/* With the tensors, all that a checkpoint needs: random numbers are computed from counters, so
 * that they have no state. */
typedef struct us_progress {
    int epoch;                                 /* finished ones */
    int64_t step;                              /* finished steps of the epoch under way */
    int64_t updates[US_DETECTOR_MAX_NETWORKS]; /* of each network, by its optimizer */
    int restarts;                              /* of the whole training */
    int records;                               /* in the log */
    us_stopping_state stopping;
    us_collapse collapse;
    double seconds;             /* spent in finished epochs, those before a restart included */
    double loss, held_out_loss; /* of the last finished epoch; NaN before, or without held-out
                                   images */
    double first_loss;          /* of the first step; NaN before */
} us_progress;

/* Sets a progress that stands anywhere, or is zeroed, to the beginning of a training. Restarts,
 * records and seconds are kept. */
void us_progress_begin(us_progress *progress);

/* What the steps of the epoch under way gave, as far as the device has finished them. */
typedef struct us_signals {
    const us_detector_type *type;
    float *values; /* [steps_per_epoch][count]: a step's losses, then the spreads of the judges'
                      logits, negative where none was measured */
    int loss_count, count;
    int64_t steps_per_epoch;
} us_signals;

/* Looks at a step of the epoch under way; called once for each step, in order. UNSEEN_DIVERGED
 * where a loss is not finite, or where a game between networks has collapsed (collapse.h). */
unseen_status us_signals_check(const us_signals *signals, const us_collapse_settings *settings,
                               int64_t step, us_progress *progress, unseen_error *error);

/* UNSEEN_DIVERGED: `what` is not finite in a step of the epoch under way. */
unseen_status us_progress_not_finite(const us_progress *progress, const char *what, double value,
                                     int64_t step, unseen_error *error);

#endif
