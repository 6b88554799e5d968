/* SPDX-License-Identifier: MIT */
/* How long a sweep takes, before it is begun or while it goes on. A run's training takes its
 * images, times its epochs, times the operations on an image, divided by the speed of the device:
 * that of those runs that are done, or else what is remembered of the device, or else measured. */
#ifndef US_SWEEP_ESTIMATE_H
#define US_SWEEP_ESTIMATE_H

#include "sweep/state.h"

struct us_estimate {
    double *seconds; /* of training that is left, for every run; NaN: not known */
    double total;    /* in all, by all devices and, with halving, of those that go on */
    int devices;
    char basis[600]; /* what it rests on, or why it is not known: a sentence */
};

/* Estimates, into sweep->estimate. That no speed is known is no error. Call once it is decided who
 * goes on. */
unseen_status us_estimate_make(us_sweep *sweep, unseen_error *error);
void us_estimate_release(us_estimate *estimate); /* NULL is fine */

#endif
