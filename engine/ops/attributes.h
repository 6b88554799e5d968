/* SPDX-License-Identifier: MIT */
/* What the keys of a layer's config fill, for the layers that have any. */
#ifndef US_OPS_ATTRIBUTES_H
#define US_OPS_ATTRIBUTES_H

#include <stdbool.h>

#include "ops/layer.h"

typedef struct us_dense_attributes {
    int units;
    bool bias;
} us_dense_attributes;

typedef struct us_batchnorm_attributes {
    double momentum, epsilon;
    bool affine;
} us_batchnorm_attributes;

typedef struct us_groupnorm_attributes {
    int groups;
    double epsilon;
    bool affine;
} us_groupnorm_attributes;

typedef struct us_leaky_relu_attributes {
    double slope;
} us_leaky_relu_attributes;

typedef struct us_reshape_attributes {
    int shape[3];
} us_reshape_attributes;

/* Pairs are {along height, along width}. */
typedef struct us_pooling_attributes {
    int kernel[2]; /* 0: the whole image */
    int stride[2]; /* 0: the kernel's size */
    int padding[2];
} us_pooling_attributes;

typedef struct us_pooling_window {
    int kernel[2], stride[2], padding[2];
} us_pooling_window;

/* pooling.c: with the zeros filled in, for an image of the given sides. */
us_pooling_window us_pooling_window_of(const us_pooling_attributes *attributes, us_shape in);

#endif
