/* SPDX-License-Identifier: MIT */
/* Trying parameters of a kernel on made-up data: is the result right, and how fast is it. */
#ifndef US_TUNING_TRIAL_H
#define US_TUNING_TRIAL_H

#include "tuning/tunable.h"

/* A problem with its operands and, as what others are measured beside, the default. */
typedef struct us_trial {
    us_device *device;
    const us_tunable *tunable;
    const void *problem;
    us_operand operands[US_TUNABLE_OPERANDS];
    float *host[US_TUNABLE_OPERANDS];     /* inputs */
    float *standard[US_TUNABLE_OPERANDS]; /* outputs of the default; NULL without it */
    us_buffer *buffers[US_TUNABLE_OPERANDS];
    void *default_operation; /* NULL: not wanted */
} us_trial;

typedef struct us_trial_times {
    double ratio;                    /* seconds over those of the default; NaN without one */
    double seconds, default_seconds; /* of a launch, medians; default_seconds is NaN without one.
                                        On busy CPUs processor time over compute units */
} us_trial_times;

/* Makes operands and, where it is wanted, builds and checks the default. problem outlives the
 * trial; on failure nothing needs ending. UNSEEN_SELFTEST_FAILED: the default computes something
 * else. */
unseen_status us_trial_begin(us_device *device, const us_tunable *tunable, const void *problem,
                             bool with_default, us_trial *trial, unseen_error *error);
void us_trial_end(us_trial *trial);

/* Builds, checks (UNSEEN_SELFTEST_FAILED: a wrong result) and times a choice for about `seconds`,
 * alternating with the default. One that is far slower is timed shorter. */
unseen_status us_trial_run(us_trial *trial, const us_choice *choice, double seconds,
                           us_trial_times *times, unseen_error *error);

#endif
