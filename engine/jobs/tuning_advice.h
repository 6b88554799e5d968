/* SPDX-License-Identifier: MIT */
/* Says once, in a training that takes a while on a GPU for which nothing was tuned, that tuning may
 * make it faster. */
#ifndef US_JOBS_TUNING_ADVICE_H
#define US_JOBS_TUNING_ADVICE_H

#include "tuning/tuning.h"
#include "unseen.h"

typedef struct us_tuning_advice {
    unseen_events events; /* for the training: all of them go on to those that were given */
    const unseen_events *to;
    const char *device, *config;
    double started; /* seconds of the clock */
    bool due;       /* it may have to be said */
} us_tuning_advice;

/* tuning may be NULL; config: its path. All of them outlive the advice. */
void us_tuning_advice_begin(us_tuning_advice *advice, const us_device_facts *device,
                            const us_tuning *tuning, const char *config, const unseen_events *to);

#endif
