/* SPDX-License-Identifier: MIT */
/* Headers of IDX files, the format of MNIST: two zero bytes, the element type, the rank, then each
 * dimension as a big-endian 32-bit number (http://yann.lecun.com/exdb/mnist). */
#ifndef US_DATA_IDX_H
#define US_DATA_IDX_H

#include "data/array.h"

/* Whether the bytes start like an IDX file, or like the beginning of one that is cut short. */
bool us_idx_is(const unsigned char *bytes, size_t size);

/* As us_npy_header. */
unseen_status us_idx_header(const unsigned char *bytes, size_t size, const char *path,
                            us_array_header *header, unseen_error *error);

#endif
