/* SPDX-License-Identifier: MIT */
/* What the keys of a layer's config fill, for the layers that have any. */
#ifndef US_OPS_ATTRIBUTES_H
#define US_OPS_ATTRIBUTES_H

#include <stdbool.h>

typedef struct us_dense_attributes {
    int units;
    bool bias;
} us_dense_attributes;

typedef struct us_batchnorm_attributes {
    double momentum, epsilon;
    bool affine;
} us_batchnorm_attributes;

typedef struct us_leaky_relu_attributes {
    double slope;
} us_leaky_relu_attributes;

typedef struct us_reshape_attributes {
    int shape[3];
} us_reshape_attributes;

#endif
