/* SPDX-License-Identifier: MIT */
/* The operators on the host, in double and as plainly as possible: what the self-test and the tests
 * compare devices with. Nothing here is fast, and nothing here fails.
 *
 * Activations are [channels][height][width][n], n images without padded lanes; weights lie as on
 * the device (layer.h). */
#ifndef US_SELFTEST_REFERENCE_H
#define US_SELFTEST_REFERENCE_H

#include "ops/activation.h"
#include "ops/gaussian_code.h"
#include "ops/layer.h"
#include "ops/loss.h"
#include "ops/optimizer.h"
#include "ops/pixel_score.h"

/* A call of a layer, forward or backward; each reads and writes what its comment says. */
typedef struct us_reference {
    const void *attributes; /* what the layer type's keys filled */
    us_shape in, out;
    int n;
    us_activation activation;       /* forward: applied to what is written into y */
    us_activation input_activation; /* backward: dx is multiplied by its derivative at x */
    us_training training;           /* BatchNorm */
    double *x;                      /* [in][n]: read */
    double *y;                      /* [out][n]: forward writes it */
    double **tensors; /* in the order of type->tensors: read; forward in training updates running
                         statistics */
    double *dy;       /* [out][n]: backward reads it: with respect to the value before activation */
    double *dx;       /* [in][n]: backward writes it; NULL: not wanted */
    double **gradients; /* backward overwrites them; NULL, or NULL entries: not wanted */
} us_reference;

typedef struct us_reference_layer {
    const us_layer_type *type;
    void (*forward)(const us_reference *call);
    void (*backward)(const us_reference *call);
} us_reference_layer;

/* The reference of a layer type; NULL for views, which compute nothing. */
const us_reference_layer *us_reference_find(const us_layer_type *type);

/* reference_convolution.c */
void us_reference_convolution_forward(const us_reference *call);
void us_reference_convolution_backward(const us_reference *call);
void us_reference_convolution_transpose_forward(const us_reference *call);
void us_reference_convolution_transpose_backward(const us_reference *call);

/* The mean loss over `count` values; target NULL: target_constant. dy (may be NULL) is overwritten
 * with the gradient of the mean with respect to the value before `activation`. */
double us_reference_loss(us_loss_kind kind, us_activation activation, size_t count, const double *y,
                         const double *target, double target_constant, double *dy);

/* The standard deviation of `count` values. */
double us_reference_spread(size_t count, const double *values);

/* One step on `count` parameters; of args only the numbers are read. moment2 is NULL for SGD. */
void us_reference_optimizer(us_optimizer_kind kind, const us_optimizer_args *args, size_t count,
                            double *parameters, const double *gradients, double *moment1,
                            double *moment2);

/* reference_codes.c: of one feature, see gaussian_code.h */
double us_reference_gaussian_sample(double mean, double log_variance, double noise);
double us_reference_gaussian_divergence(double mean, double log_variance);

/* The score of each of n images; `errors` is room for height x width values. */
void us_reference_pixel_score(us_pixel_score_kind kind, int top_k, us_shape shape, int n,
                              const double *x, const double *y, double *scores, double *errors);

#endif
