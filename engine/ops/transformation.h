/* SPDX-License-Identifier: MIT */
/* Geometric transformations of a batch of images, drawn for each image or the same for all.
 *
 * Transformation t of R x F x S is made of the shift t mod S, the flip t / S mod F and the rotation
 * t / (S F). In this order an image is
 *
 *   flipped   left to right, if the flip is 1;
 *   shifted   by shift / 3 down and shift mod 3 right: 0 means not at all, 1 and 2 mean shift_y
 *             (shift_x) pixels forwards and backwards. Beyond an edge follows the mirror image;
 *   rotated   by as many quarters counterclockwise as the rotation says.
 *
 * Transformation 0 leaves an image as it is. */
#ifndef US_OPS_TRANSFORMATION_H
#define US_OPS_TRANSFORMATION_H

#include "ops/layer.h"

typedef struct us_transformations {
    int rotations;        /* 4, of square images, or 1 */
    int flips;            /* 2 or 1 */
    int shifts;           /* 9 or 1 */
    int shift_y, shift_x; /* pixels, less than the image's height and width */
} us_transformations;

static inline int us_transformations_count(const us_transformations *set) {
    return set->rotations * set->flips * set->shifts;
}

typedef struct us_transformation us_transformation;

unseen_status us_transformation_create(us_device *device, us_purpose purpose,
                                       const us_transformations *set, us_shape shape, int batch,
                                       us_transformation **out, unseen_error *error);
void us_transformation_destroy(us_transformation *transformation);

/* labels: `batch` int32_t. That of image j is floor(w count / 2^32), w word 0 of (seed,
 * US_STREAM_NOISE, substream, j); or `fixed` for all, where that is not negative. */
unseen_status us_transformation_draw(us_transformation *transformation, us_buffer *labels,
                                     int fixed, uint64_t seed, uint32_t substream,
                                     unseen_error *error);

/* out: image j < n of x by transformation labels[j], or by t for all; padded lanes are 0. */
unseen_status us_transformation_each(us_transformation *transformation, us_buffer *x,
                                     us_buffer *labels, us_buffer *out, int n, unseen_error *error);
unseen_status us_transformation_all(us_transformation *transformation, us_buffer *x, int t,
                                    us_buffer *out, int n, unseen_error *error);

/* dx becomes the gradient with respect to the images, of all lanes, from that with respect to what
 * transformation t makes of them, or is increased by it (accumulate). */
unseen_status us_transformation_adjoint(us_transformation *transformation, us_buffer *gradient,
                                        int t, bool accumulate, us_buffer *dx, unseen_error *error);

#endif
