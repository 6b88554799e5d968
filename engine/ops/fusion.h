/* SPDX-License-Identifier: MIT */
/* What a layer may do for its neighbours while it has their values at hand, in place of passes of
 * their own over memory. network/plan.c decides which of it is wanted; a layer does what it can and
 * says so by setting what it was asked to set. All zero: nothing. */
#ifndef US_OPS_FUSION_H
#define US_OPS_FUSION_H

#include "device/device.h"
#include "ops/activation.h"

/* Sums over the values of each channel, in parts: [channel][value][part], `stride` floats to a
 * value, a multiple of the device's vector width, with zeros after the last part. */
typedef struct us_parts {
    us_buffer *buffer;
    int stride; /* 0: there are none */
} us_parts;

/* Squared errors, summed in parts: [part][batch]. */
typedef struct us_errors {
    us_buffer *buffer;
    int count; /* of parts; 0: there are none */
} us_errors;

/* What y is compared with. A layer that compares it does not write y itself, and sets errors: of
 * each image, of (y - image)^2. */
typedef struct us_target {
    us_buffer *image; /* as y; NULL: y is wanted */
    us_buffer *dy;    /* NULL, or receives scale * (y - image), with respect to the value before the
                         activation of y; 0 in padded lanes */
    double scale;
    us_errors errors; /* valid until the layer's next pass */
} us_target;

/* What passes may ask for, known when a layer is created. */
typedef struct us_fusion {
    /* Nothing but a normalisation reads y. Its mean takes any bias away, so the gradient of a bias
     * is exactly zero and need not be computed. Passes forward may ask for moments, and, where the
     * layer folds_normalization, for what that normalisation gives. */
    bool is_normalized;
    us_activation normalized_activation; /* that normalisation's */
    /* A normalisation gave x. Passes backward may ask for the sums that it needs. The layer that
     * this one mirrors takes moments, with a kernel that both may share. */
    bool input_is_normalized;
    bool compared; /* y is the network's output, and will mostly have a us_target */
} us_fusion;

/* What a pass forward is asked for. */
typedef struct us_forward_fusion {
    bool folded;        /* y is what the normalisation after this layer gives; tensors are those of
                           its fold */
    us_parts x_moments; /* for a normalisation: taken by the layer that gave x */
    us_parts *moments;  /* NULL: not wanted; else set where the layer takes them: of y's channels
                           count, mean and sum of squared deviations */
    us_target *target;  /* NULL: y is wanted */
} us_forward_fusion;

/* What a pass backward is asked for, where dx goes to a normalisation alone, which gave x. */
typedef struct us_backward_fusion {
    /* What that one normalised and saved, [4][channels] of mean, 1 / deviation, scale and shift:
     * x = a((normalized - mean) * scale + shift), a being the input's activation. */
    us_buffer *normalized, *statistics;
    us_parts *dx_sums; /* set where the layer takes them: of dx and dx * (normalized - mean) */
    us_parts dy_sums;  /* for a normalisation: such sums, if the layer that gave dy took them */
} us_backward_fusion;

#endif
