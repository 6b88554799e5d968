/* Sums of two tensors of the same shape, [C][H][W][batch]. Where padded lanes of both are 0, so are
 * those of the sum. */
#ifndef US_OPS_ELEMENTWISE_H
#define US_OPS_ELEMENTWISE_H

#include "ops/layer.h"

typedef struct us_elementwise us_elementwise;

/* activation: for us_elementwise_add_gradient. */
unseen_status us_elementwise_create(us_device *device, us_shape shape, int batch,
                                    us_activation activation, us_elementwise **elementwise,
                                    unseen_error *error);
void us_elementwise_destroy(us_elementwise *elementwise);

/* y becomes y + scale d, but not below low nor above high. */
unseen_status us_elementwise_step_within(us_elementwise *elementwise, us_buffer *y, us_buffer *d,
                                         float scale, float low, float high, unseen_error *error);

/* dy becomes (dy + d) times the derivative of the activation at its output x: two gradients with
 * respect to x become one with respect to the value before the activation. */
unseen_status us_elementwise_add_gradient(us_elementwise *elementwise, us_buffer *dy, us_buffer *d,
                                          us_buffer *x, unseen_error *error);

#endif
