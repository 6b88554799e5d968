/* SPDX-License-Identifier: MIT */
/* The reconstruction score of each image of a batch. */
#ifndef US_OPS_PIXEL_SCORE_H
#define US_OPS_PIXEL_SCORE_H

#include "ops/layer.h"

/* e[p] = sum over channels of (x - y)^2 at pixel p, over the P pixels of an image. */
typedef enum us_pixel_score_kind {
    US_PIXEL_SCORE_ROOT_SUM, /* sqrt(sum e): the assignment's score */
    US_PIXEL_SCORE_MEAN,     /* sum e / (P channels) */
    US_PIXEL_SCORE_MAXIMUM,  /* max e */
    US_PIXEL_SCORE_TOP_K,    /* mean of the k largest e */
    US_PIXEL_SCORE_SUM,      /* sum e */
    US_PIXEL_SCORE_RELATIVE, /* sqrt(sum e) / (1 + sqrt(sum of (x + 1)^2 over pixels and channels)):
                                the error beside how far the image is from a black one. The 1 is
                                half of a white value: a black image has a score, too */
} us_pixel_score_kind;

typedef struct us_pixel_score us_pixel_score;

unseen_status us_pixel_score_create(us_device *device, us_pixel_score_kind kind, int top_k,
                                    us_shape shape, int batch, us_pixel_score **score,
                                    unseen_error *error);
void us_pixel_score_destroy(us_pixel_score *score);

/* What the layer that gives y is to compare it with, for us_pixel_score_run to add up; without an
 * image where the score needs more than a sum over all pixels. */
us_target us_pixel_score_target(const us_pixel_score *score, us_buffer *x);

/* scores: a float per lane of the batch. errors: those of y; NULL or none: y itself is compared. */
unseen_status us_pixel_score_run(us_pixel_score *score, us_buffer *x, us_buffer *y,
                                 const us_errors *errors, us_buffer *scores, unseen_error *error);

#endif
