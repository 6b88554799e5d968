/* SPDX-License-Identifier: MIT */
/* How fast devices train, for estimates: measured, and remembered in the cache, a file for each
 * device and driver. */
#ifndef US_JOBS_SPEEDS_H
#define US_JOBS_SPEEDS_H

#include "device/facts.h"
#include "training/config.h"

/* A training: its operations on an image (us_detector_training_flops), and images per second. */
typedef struct us_speed {
    double flops, rate;
} us_speed;

enum { US_SPEEDS_MOST = 64 };

typedef struct us_speeds {
    us_speed speeds[US_SPEEDS_MOST]; /* the newest first */
    int count;
} us_speeds;

/* What is remembered of a device. A file that is absent, damaged or not ours alone says nothing. */
void us_speeds_recall(const us_device_facts *device, us_speeds *speeds);

/* Adds a training, in the place of one with as many operations. Where that fails, nothing has been
 * learnt, and it is no error. */
void us_speeds_remember(const us_device_facts *device, us_speed speed);

/* Trains for about as many seconds, once kernels are compiled, on made-up images, and remembers how
 * fast that was. */
unseen_status us_speeds_measure(const unseen_config *config, const char *device, double seconds,
                                const unseen_events *events, us_speed *speed, unseen_error *error);

#endif
