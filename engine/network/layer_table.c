/* SPDX-License-Identifier: MIT */
#include "network/layer_table.h"

#include <string.h>

const us_layer_type *const us_layer_types[] = {
    &us_convolution_layer, &us_convolution_transpose_layer,
    &us_dense_layer,       &us_batchnorm_layer,
    &us_relu_layer,        &us_leaky_relu_layer,
    &us_tanh_layer,        &us_sigmoid_layer,
    &us_flatten_layer,     &us_reshape_layer,
    &us_residual_layer,    NULL,
};

const us_layer_type *us_layer_type_find(const char *name) {
    for (int i = 0; us_layer_types[i]; i++)
        if (strcmp(us_layer_types[i]->name, name) == 0) return us_layer_types[i];
    return NULL;
}
