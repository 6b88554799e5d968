/* SPDX-License-Identifier: MIT */
/* Masks: which pixels of each image are anomalous. */
#ifndef US_DATA_MASKS_H
#define US_DATA_MASKS_H

#include "data/array.h"

typedef struct us_masks {
    us_array array; /* whole numbers or bool, count x height x width, C order */
    int64_t count;
    int height, width;
    char *path;
} us_masks;

/* Opens an array (.npy or IDX, plain or gzip) of whole numbers or bool, of the shape (N, H, W), or
 * (N, H, W, 1) or (N, 1, H, W). UNSEEN_BAD_INPUT names file and fault. */
unseen_status us_masks_open(const char *path, us_masks *masks, unseen_error *error);
void us_masks_close(us_masks *masks); /* zeroed masks are fine */

/* UNSEEN_BAD_INPUT where there are not as many masks as images. */
unseen_status us_masks_match(const us_masks *masks, int64_t images, const char *images_path,
                             unseen_error *error);

/* Writes height x width bytes: 1 where the mask of an image is not 0. */
void us_masks_read(const us_masks *masks, int64_t image, unsigned char *mask);

/* UNSEEN_FAILURE where the file was truncated since it was opened. */
unseen_status us_masks_check(const us_masks *masks, unseen_error *error);

#endif
