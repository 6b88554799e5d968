/* SPDX-License-Identifier: MIT */
/* The gradient of a reconstruction score (pixel_score.h) by the image and by its reconstruction. */
#ifndef US_OPS_PIXEL_GRADIENT_H
#define US_OPS_PIXEL_GRADIENT_H

#include "ops/pixel_score.h"

typedef struct us_pixel_gradient us_pixel_gradient;

/* As us_pixel_score_create; activation: the one that produced the reconstruction. */
unseen_status us_pixel_gradient_create(us_device *device, us_pixel_score_kind kind, int top_k,
                                       us_shape shape, int batch, us_activation activation,
                                       us_pixel_gradient **gradient, unseen_error *error);
void us_pixel_gradient_destroy(us_pixel_gradient *gradient); /* NULL is fine */

/* Images and gradients are [channels][height][width][batch]. Where the score has a kink (equal
 * errors of which some are among the largest, an error of 0 under a root) it is a gradient between
 * those of both sides. */
typedef struct us_pixel_gradient_args {
    us_buffer *x, *y;
    us_buffer *slopes; /* `batch` floats, that both gradients are multiplied by */
    us_buffer *dx;     /* by x alone, y being held */
    us_buffer *dy;     /* by y, before its activation; accumulate: added to what is there */
    int n;
    bool accumulate;
} us_pixel_gradient_args;
unseen_status us_pixel_gradient_run(us_pixel_gradient *gradient, const us_pixel_gradient_args *args,
                                    unseen_error *error);

#endif
