/* SPDX-License-Identifier: MIT */
/* Convolutions as operators: each pass of a layer is computed by one of a table of algorithms. */
#ifndef US_OPS_CONVOLUTION_TABLE_H
#define US_OPS_CONVOLUTION_TABLE_H

#include "ops/convolution/algorithm.h"

extern const us_algorithm *const us_convolution_algorithms[]; /* NULL ends */

typedef struct us_convolution us_convolution;

unseen_status us_convolution_create(const us_build *build, const us_convolution_problem *problem,
                                    const us_choice *choice, us_convolution **convolution,
                                    unseen_error *error);
void us_convolution_destroy(us_convolution *convolution); /* NULL is fine */

/* Enqueues. Uses the device's scratch. */
unseen_status us_convolution_run(us_convolution *convolution, const us_convolution_args *args,
                                 unseen_error *error);

/* ---- tunable.c ---- */

extern const us_tunable us_convolution_tunable;

/* See us_convolution_implementation.parts. 0: there are none. */
size_t us_convolution_parts(const us_convolution *convolution, us_split_gradient split[2]);

#endif
