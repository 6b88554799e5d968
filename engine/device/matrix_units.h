/* SPDX-License-Identifier: MIT */
/* Kinds of matrix units, and whether a device's do what they should: drivers' compilers may not
 * know them. */
#ifndef US_DEVICE_MATRIX_UNITS_H
#define US_DEVICE_MATRIX_UNITS_H

#include "device/device.h"

/* What a unit multiplies is shared by a warp of items_high x items_wide. Each of them has as many
 * of the sums of a fragment of lines x lines. A step takes 8 words of 32 bits of each line. Twin of
 * the files that cl_kernels/matrix_unit.cl includes. */
typedef struct us_matrix_unit {
    const char *name; /* for people */
    int items_high, items_wide;
    int lines;
    bool has_words; /* of 32 bits: floats or TF32; all have BF16 */
} us_matrix_unit;

/* Of NONE, the name alone. */
const us_matrix_unit *us_matrix_unit_of(us_matrix_units units);

/* Compiles and runs small products on a device, with each kind of factors that the units have.
 * emulated: in OpenCL C, for tests. */
bool us_matrix_units_compute(us_device *device, us_matrix_units units, bool emulated);

#endif
