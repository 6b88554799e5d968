/* SPDX-License-Identifier: MIT */
/* What a device can do at most, measured: the yardstick of benchmarks. */
#ifndef US_OPS_PEAK_H
#define US_OPS_PEAK_H

#include "device/device.h"

/* FLOP/s of fused multiply-adds on registers, each counted as two: the best of several launches. */
unseen_status us_peak_measure(us_device *device, double *flops_per_second, unseen_error *error);

/* Bytes per second that a copy reads and writes. */
unseen_status us_peak_measure_memory(us_device *device, double *bytes_per_second,
                                     unseen_error *error);

#endif
