/* SPDX-License-Identifier: MIT */
/* How exact the factors of products are, where a device's matrix units multiply; sums are floats. A
 * device without them computes with floats. */
#ifndef US_OPS_PRECISION_H
#define US_OPS_PRECISION_H

#include "device/device.h"

typedef enum us_precision {
    US_PRECISION_FP32, /* as floats */
    US_PRECISION_TF32, /* 11 bits of mantissa */
    US_PRECISION_BF16, /* 8 bits of mantissa */
} us_precision;

extern const char *const us_precision_names[]; /* in this order; NULL ends */

/* Products on a device's matrix units for each multiply-add; 0: they have no such factors, or none
 * that are exact enough. */
int us_precision_products(const us_device_facts *device, us_precision precision);

/* What a device makes of the wish. */
us_precision us_precision_on(const us_device_facts *device, us_precision wanted);

/* Says so where that is not what was asked for. */
void us_precision_tell(const us_device *device, us_precision wanted, const unseen_events *events);

/* The largest error of a sum of products, relative to the largest sum, that rounding explains. */
double us_precision_tolerance(us_precision precision);

#endif
