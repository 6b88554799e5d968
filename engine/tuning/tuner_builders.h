/* SPDX-License-Identifier: MIT */
/* Processes that build the programs of what a search tries first, ahead of it, into the caches of
 * built programs, for compilers take longer than trials. They run no kernel of theirs and answer
 * nothing: a search goes on without them, and what crashes them does so again in its own trial. */
#ifndef US_TUNING_TUNER_BUILDERS_H
#define US_TUNING_TUNER_BUILDERS_H

#include <sys/types.h>

#include "tuning/tuner_worker.h"

enum { US_BUILDERS_MOST = 4 };

typedef struct us_builders {
    pid_t processes[US_BUILDERS_MOST];
    int count;
} us_builders;

/* How many a device and a host of so many processors have room for: none for CPUs, which have
 * enough to do with trials. */
int us_builders_wanted(const us_device_facts *device, int processors);

/* Each builder takes shapes in turn. As many are started as can be. */
void us_builders_start(const char *selector, const us_tuner_shape *shapes, int shape_count,
                       int wanted, us_builders *builders);

/* Ends them at once. */
void us_builders_end(us_builders *builders);

#endif
