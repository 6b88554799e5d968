/* SPDX-License-Identifier: MIT */
/* Masks: which pixels of each image are anomalous. */
#ifndef US_DATA_MASKS_H
#define US_DATA_MASKS_H

#include "data/array.h"
#include "data/photographs.h"

typedef struct us_masks {
    us_array array;        /* whole numbers or bool, count x height x width, C order; or: */
    us_images photographs; /* grey, fitted as the images are; path NULL: none */
    int64_t *order;        /* of photographs: which is the mask of each image, -1: none; heap */
    int64_t count;
    int height, width;
    char *path;
} us_masks;

/* Opens photographs (also a list with a column "mask"), fitted by the request, or an array (.npy or
 * IDX, plain or gzip) of whole numbers or bool, of the shape (N, H, W), or (N, H, W, 1) or (N, 1,
 * H, W). request NULL: arrays alone. UNSEEN_BAD_INPUT names file and fault. */
unseen_status us_masks_open(const char *path, const us_photographs_request *request,
                            us_masks *masks, unseen_error *error);
void us_masks_close(us_masks *masks); /* zeroed masks are fine */

/* Masks of an array are in the order of the images, of which ids->count and ids->path are needed;
 * as many as there are. Photographs find theirs by name, both without their endings, the mask's
 * also without "_mask", and masks in lists by the names of the images beside them; an image without
 * a mask is normal. UNSEEN_BAD_INPUT where that cannot be.
 */
unseen_status us_masks_match(us_masks *masks, const us_ids *images, unseen_error *error);

/* Writes height x width bytes: 1 where an image is anomalous, which is where an array is not 0, and
 * where half of a photograph's pixel is not black (us_photograph_form). */
void us_masks_read(const us_masks *masks, int64_t image, unsigned char *mask);

/* UNSEEN_FAILURE where the file was truncated since it was opened. */
unseen_status us_masks_check(const us_masks *masks, unseen_error *error);

#endif
