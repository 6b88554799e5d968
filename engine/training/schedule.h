/* SPDX-License-Identifier: MIT */
/* The learning rate over the steps of a training. */
#ifndef US_TRAINING_SCHEDULE_H
#define US_TRAINING_SCHEDULE_H

#include <stdint.h>

typedef enum us_schedule_kind {
    US_SCHEDULE_CONSTANT,
    US_SCHEDULE_STEP,   /* times `factor` every `step_epochs` epochs */
    US_SCHEDULE_COSINE, /* from 1 to `minimum` along half a cosine (Loshchilov and Hutter 2017) */
} us_schedule_kind;

typedef struct us_schedule {
    int type; /* us_schedule_kind */
    double warmup_epochs;
    int step_epochs;
    double factor;
    double minimum; /* of the base rate */
} us_schedule;

/* The share of the base learning rate at a step (from 0) of total_steps. With w = warmup_epochs *
 * steps_per_epoch rounded up: (step + 1) / w while step < w; then, t = step - w:
 *   step:   factor ^ floor(t / (step_epochs * steps_per_epoch))
 *   cosine: minimum + (1 - minimum) * (1 + cos(pi t / (total_steps - w))) / 2 */
double us_schedule_factor(const us_schedule *schedule, int64_t step, int64_t total_steps,
                          int64_t steps_per_epoch);

#endif
