/* SPDX-License-Identifier: MIT */
/* Losses, forward and backward in one pass. The mean is over images and features, as PyTorch's.
 *
 * losses[slot], on the device, becomes weight * loss (the loss without its weight if plain_loss is
 * set), or is increased by it (accumulate_loss).
 *
 * dy becomes the gradient of weight * loss with respect to the value before `activation`, plus
 * accumulate_gradient times what it held (ignored if that is 0). It is zero in padded lanes. */
#ifndef US_OPS_LOSS_H
#define US_OPS_LOSS_H

#include "ops/layer.h"

typedef enum us_loss_kind {
    US_LOSS_MEAN_SQUARED_ERROR,
    US_LOSS_BINARY_CROSS_ENTROPY,        /* of probabilities; logs bounded below by -100 */
    US_LOSS_BINARY_CROSS_ENTROPY_LOGITS, /* stable for any logit */
} us_loss_kind;

typedef struct us_loss us_loss;

/* A loss whose sum is left in parts, and where it is to go: losses[slot] becomes scale times the
 * sum, or is increased by it. */
typedef struct us_loss_rest {
    us_loss *loss;
    us_buffer *parts;
    int count; /* 0: nothing is left to do */
    us_buffer *losses;
    int slot;
    double scale;
    bool accumulate;
} us_loss_rest;

/* activation: the one that produced y. */
unseen_status us_loss_create(us_device *device, us_loss_kind kind, us_shape shape, int batch,
                             us_activation activation, us_loss **loss, unseen_error *error);
void us_loss_destroy(us_loss *loss);

typedef struct us_loss_args {
    us_buffer *y;      /* not read with errors */
    us_errors errors;  /* of y, if the layer that gave it was handed us_loss_target: dy is known */
    us_buffer *target; /* as y; NULL: the constant below everywhere */
    float target_constant;
    us_buffer *dy;     /* may be NULL */
    us_buffer *losses; /* floats; NULL: the gradient alone */
    int slot;
    /* Or NULL: spreads[spread_slot] becomes the standard deviation of y, whose shape is 1 x 1 x 1,
     * if that is more than it was, or a NaN. They may be in the buffer that losses are in. */
    us_buffer *spreads;
    int spread_slot;
    int n;
    float weight;
    bool plain_loss, accumulate_loss;
    float accumulate_gradient;
    us_loss_rest *rest; /* NULL, or set: who asked for it passes it to an optimizer that runs before
                           this loss does again, or to us_loss_finish */
} us_loss_args;
/* What that layer is to compare y with, for us_loss_run to add up; without an image where this loss
 * has to see y itself. Of the args y and errors are not read. */
us_target us_loss_target(const us_loss *loss, const us_loss_args *args);
unseen_status us_loss_run(us_loss *loss, const us_loss_args *args, unseen_error *error);
unseen_status us_loss_finish(const us_loss_rest *rest, unseen_error *error);

#endif
