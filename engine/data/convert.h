/* SPDX-License-Identifier: MIT */
/* Arrays of any numbers made into what the kernels read: bytes or floats, in C order. */
#ifndef US_DATA_CONVERT_H
#define US_DATA_CONVERT_H

#include "data/array.h"

/* Whether us_array_convert has something to do. */
bool us_array_needs_converting(const us_array_header *header);

/* Integers within 0 to 255 become uint8, booleans 0 and 255; all other numbers become float32.
 * Integers that float32 does not hold are an error; floats that it does not hold become infinite.
 * Fewer digits of a fraction are no loss in a pixel. The mapping is read piece by piece into the
 * one array that takes its place; packed files are converted where they were unpacked, unless they
 * are in Fortran order. */
unseen_status us_array_convert(us_array *array, const char *path, unseen_error *error);

#endif
