/* SPDX-License-Identifier: MIT */
/* Gradient steps on values that are no parameters, such as codes, kept within limits. */
#ifndef US_OPS_BOUNDED_STEP_H
#define US_OPS_BOUNDED_STEP_H

#include "ops/layer.h"

typedef struct us_bounded_step us_bounded_step;

unseen_status us_bounded_step_create(us_device *device, us_shape shape, int batch,
                                     us_bounded_step **step, unseen_error *error);
void us_bounded_step_destroy(us_bounded_step *step);

/* y, of [shape][batch] as d, becomes y + scale d, but not below low nor above high. */
unseen_status us_bounded_step_run(us_bounded_step *step, us_buffer *y, us_buffer *d, float scale,
                                  float low, float high, unseen_error *error);

#endif
