/* SPDX-License-Identifier: MIT */
/* How much the numbers that a network gives for the images of a batch differ: their standard
 * deviation, kept on the device. */
#ifndef US_OPS_SPREAD_H
#define US_OPS_SPREAD_H

#include "ops/layer.h"

typedef struct us_spread us_spread;

unseen_status us_spread_create(us_device *device, int batch, us_spread **spread,
                               unseen_error *error);
void us_spread_destroy(us_spread *spread);

/* out[slot] becomes the deviation of values[0 .. n-1] if that is larger. values: [batch] */
unseen_status us_spread_run(us_spread *spread, us_buffer *values, us_buffer *out, int slot, int n,
                            unseen_error *error);

#endif
