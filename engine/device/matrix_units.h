/* SPDX-License-Identifier: MIT */
/* Whether matrix units do what they should: drivers' compilers may not know them. */
#ifndef US_DEVICE_MATRIX_UNITS_H
#define US_DEVICE_MATRIX_UNITS_H

#include "device/device.h"

/* Compiles and runs a small product on them; NONE: by the stand-in that other devices have, for
 * tests. */
bool us_matrix_units_compute(us_device *device, us_matrix_units units);

/* For people: "none", ... */
const char *us_matrix_units_name(us_matrix_units units);

#endif
