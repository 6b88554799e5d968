/* SPDX-License-Identifier: MIT */
/* Headers of NumPy's .npy files, versions 1 to 3 (numpy/lib/format.py describes them). */
#ifndef US_DATA_NPY_H
#define US_DATA_NPY_H

#include "data/array.h"

/* Whether the bytes start like a .npy file, or like the beginning of one that is cut short. */
bool us_npy_is(const unsigned char *bytes, size_t size);

/* Reads the header at the start of `size` bytes: all of the file, or at least its first
 * US_ARRAY_MAX_HEADER. Object, structured, complex and text types are refused. */
unseen_status us_npy_header(const unsigned char *bytes, size_t size, const char *path,
                            us_array_header *header, unseen_error *error);

/* The header of an array in C order of 3 or 4 axes. type: as NumPy names it, "|u1", "<u2", "<f4".
 */
enum { US_NPY_HEADER = 128 };
void us_npy_write_header(const char *type, int axes, const int64_t *dims,
                         char header[US_NPY_HEADER]);

#endif
