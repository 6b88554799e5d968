/* SPDX-License-Identifier: MIT */
/* The choices that the tuner may try. */
#ifndef IMAGINED_VARIANTS_H
#define IMAGINED_VARIANTS_H

#include "device/device.h"

/* Launches, of every operator that the device's tuning was asked for, the points from which the
 * tuner starts, and from each of them those that differ in one parameter. */
unseen_status imagined_variants(us_device *device, unseen_error *error);

#endif
