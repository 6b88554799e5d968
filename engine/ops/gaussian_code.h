/* SPDX-License-Identifier: MIT */
/* Codes that two networks describe by the mean m and the logarithm v of the variance of a normal
 * distribution for each feature (Kingma and Welling, arXiv 1312.6114). Per feature,
 *
 *   sample      z = m + D(v) noise
 *   divergence  KL = (m^2 + E(v) - 1 - v) / 2, from N(0, 1)
 *
 * where E(v) = exp(v) and D(v) = exp(v / 2) up to US_GAUSSIAN_LARGEST_LOG_VARIANCE, and beyond it
 * their tangents from there: no loss overflows, and every gradient is that of its loss. */
#ifndef US_OPS_GAUSSIAN_CODE_H
#define US_OPS_GAUSSIAN_CODE_H

#include "ops/layer.h"

/* A standard deviation of 22,026: far beyond what a network can learn to decode. */
#define US_GAUSSIAN_LARGEST_LOG_VARIANCE 20.0

typedef struct us_gaussian_code us_gaussian_code;

typedef struct us_gaussian_code_plan {
    us_shape shape;
    int batch;
    us_activation mean_activation, log_variance_activation; /* that produced m and v */
    bool training; /* otherwise only us_gaussian_code_divergence */
} us_gaussian_code_plan;

unseen_status us_gaussian_code_create(us_device *device, const us_gaussian_code_plan *plan,
                                      us_gaussian_code **code, unseen_error *error);
void us_gaussian_code_destroy(us_gaussian_code *code);

/* Tensors are [shape][batch]. */
typedef struct us_gaussian_code_values {
    us_buffer *mean, *log_variance;
    us_buffer *noise; /* of N(0, 1); 0 in padded lanes */
    int n;
} us_gaussian_code_values;

/* z is 0 in padded lanes. */
unseen_status us_gaussian_code_sample(us_gaussian_code *code, const us_gaussian_code_values *values,
                                      us_buffer *z, unseen_error *error);

/* divergences[j]: the sum over the features of image j; 0 in padded lanes. Takes no noise. */
unseen_status us_gaussian_code_divergence(us_gaussian_code *code,
                                          const us_gaussian_code_values *values,
                                          us_buffer *divergences, unseen_error *error);

/* losses[slot]: the mean over images of the divergence. Takes no noise. */
unseen_status us_gaussian_code_loss(us_gaussian_code *code, const us_gaussian_code_values *values,
                                    us_buffer *losses, int slot, unseen_error *error);

typedef struct us_gaussian_code_gradients {
    us_buffer *dz;
    float weight; /* of us_gaussian_code_loss in what dz is the gradient of */
    /* Written: with respect to the values before the two activations, 0 in padded lanes. None may
     * be dz. */
    us_buffer *mean, *log_variance;
} us_gaussian_code_gradients;
unseen_status us_gaussian_code_backward(us_gaussian_code *code,
                                        const us_gaussian_code_values *values,
                                        const us_gaussian_code_gradients *gradients,
                                        unseen_error *error);

#endif
