/* SPDX-License-Identifier: MIT */
/* From where a search starts. */
#ifndef US_TUNING_TUNER_STARTS_H
#define US_TUNING_TUNER_STARTS_H

#include "tuning/tunable.h"

enum { US_TUNER_STARTS = 96 };

/* The points of every algorithm from which to search, in the order in which they are to be tried:
 * those first that are expected to be fastest by their models, then those without one. What is
 * expected to be far slower than the fastest, or the default, is left out. Returns how many. */
int us_tuner_starts(const us_tunable *tunable, const us_device_facts *device, const void *problem,
                    us_choice starts[US_TUNER_STARTS]);

#endif
