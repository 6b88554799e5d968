/* SPDX-License-Identifier: MIT */
/* Short names for the tables of the self-test's cases. */
#ifndef US_SELFTEST_CASES_H
#define US_SELFTEST_CASES_H

#include "ops/layer.h"

#define NONE                                                                                       \
    { US_ACTIVATION_NONE, 0 }
#define RELU                                                                                       \
    { US_ACTIVATION_RELU, 0 }
#define LEAKY                                                                                      \
    { US_ACTIVATION_LEAKY_RELU, 0.2f }
#define TANH                                                                                       \
    { US_ACTIVATION_TANH, 0 }
#define SIGMOID                                                                                    \
    { US_ACTIVATION_SIGMOID, 0 }

#define CONVOLUTION &us_convolution_layer
#define TRANSPOSED &us_convolution_transpose_layer
#define DENSE &us_dense_layer
#define BATCHNORM &us_batchnorm_layer

#endif
