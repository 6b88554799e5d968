/* SPDX-License-Identifier: MIT */
/* What convolution and convolution_transpose share: their keys, and their kernels, which are the
 * same with the roles of input and output swapped. */
#ifndef US_OPS_CONVOLUTION_LAYER_H
#define US_OPS_CONVOLUTION_LAYER_H

#include "ops/layer.h"

enum { US_CONVOLUTION_MAX_SIDE = 65536 };

/* Pairs are {along height, along width}. */
typedef struct us_convolution_attributes {
    int channels;
    int kernel[2], stride[2], padding[2];
    int output_padding[2]; /* of convolution_transpose only */
    bool bias;
} us_convolution_attributes;

/* The keys that both have. */
#define US_CONVOLUTION_KEYS                                                                        \
    {.name = "channels",                                                                           \
     .kind = US_KEY_INT,                                                                           \
     .offset = offsetof(us_convolution_attributes, channels),                                      \
     .required = true,                                                                             \
     .minimum = 1,                                                                                 \
     .maximum = 65536,                                                                             \
     .help = "Channels of the output."},                                                           \
        {.name = "kernel",                                                                         \
         .kind = US_KEY_INTS,                                                                      \
         .count = 2,                                                                               \
         .offset = offsetof(us_convolution_attributes, kernel),                                    \
         .required = true,                                                                         \
         .minimum = 1,                                                                             \
         .maximum = 64,                                                                            \
         .help = "Size of the kernel: one number, or [height, width]."},                           \
        {.name = "stride",                                                                         \
         .kind = US_KEY_INTS,                                                                      \
         .count = 2,                                                                               \
         .offset = offsetof(us_convolution_attributes, stride),                                    \
         .minimum = 1,                                                                             \
         .maximum = 64,                                                                            \
         .fallback = {1, 1},                                                                       \
         .help = "Step between neighbouring pixels: one number, or [height, width]."},             \
        {.name = "padding",                                                                        \
         .kind = US_KEY_INTS,                                                                      \
         .count = 2,                                                                               \
         .offset = offsetof(us_convolution_attributes, padding),                                   \
         .minimum = 0,                                                                             \
         .maximum = 64,                                                                            \
         .help = "Zeros around the image on each side: one number, or [height, width]."},          \
    {                                                                                              \
        .name = "bias", .kind = US_KEY_BOOL, .offset = offsetof(us_convolution_attributes, bias),  \
        .fallback = {1}, .help = "Whether a number per channel is added."                          \
    }

/* Fills the specs of weight and bias; `transposed` chooses PyTorch's order and initialization. */
int us_convolution_tensors(const us_convolution_attributes *attributes, us_shape in,
                           bool transposed, us_tensor_spec specs[US_LAYER_MAX_TENSORS]);

/* As of us_layer_type, with `transposed` added. The attributes are copied. */
unseen_status us_convolution_layer_create(const us_layer_plan *plan, bool transposed, void **layer,
                                          unseen_error *error);
void us_convolution_layer_destroy(void *layer);
unseen_status us_convolution_layer_forward(void *layer, const us_layer_forward *args,
                                           unseen_error *error);
unseen_status us_convolution_layer_backward(void *layer, const us_layer_backward *args,
                                            unseen_error *error);

#endif
