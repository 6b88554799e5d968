/* SPDX-License-Identifier: MIT */
/* The sums of gradients that a residual layer calls for, and some detectors: an output that several
 * layers or networks read has the sum of their gradients. */
#ifndef US_OPS_RESIDUAL_H
#define US_OPS_RESIDUAL_H

#include "ops/layer.h"

typedef struct us_gradient_sum us_gradient_sum;

/* activation: the one that produced x if `gradient` lacks its derivative, else NONE. batch: padded.
 */
unseen_status us_gradient_sum_create(const us_build *build, us_shape shape, int batch,
                                     us_activation activation, us_gradient_sum **sum,
                                     unseen_error *error);
void us_gradient_sum_destroy(us_gradient_sum *sum);

/* sum = base + gradient times the derivative of the activation at x. */
typedef struct us_gradient_sum_args {
    us_buffer *base; /* NULL: zero */
    us_buffer *x, *gradient;
    us_buffer *sum; /* may be base */
} us_gradient_sum_args;
unseen_status us_gradient_sum_run(us_gradient_sum *sum, const us_gradient_sum_args *args,
                                  unseen_error *error);

#endif
