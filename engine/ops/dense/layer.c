/* SPDX-License-Identifier: MIT */
/* Dense layers: y[o] = a(sum over i of weight[i][o] x[i] + bias[o]). Such a layer is a convolution
 * of images of one pixel, and computed as one. */
#include <math.h>

#include "ops/attributes.h"
#include "ops/convolution/layer.h"

static unseen_status create(const us_layer_plan *plan, void **layer, unseen_error *error) {
    const us_dense_attributes *dense = plan->attributes;
    const us_convolution_attributes attributes = {
        .channels = dense->units, .kernel = {1, 1}, .stride = {1, 1}, .bias = dense->bias};
    us_layer_plan of_pixels = *plan;
    of_pixels.attributes = &attributes;
    return us_convolution_layer_create(&of_pixels, false, layer, error);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    const us_dense_attributes *dense = attributes;
    if (in.height != 1 || in.width != 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a dense layer takes one row of features: put {\"layer\": \"flatten\"} "
                       "before it");
    if ((int64_t)in.channels * dense->units > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%d x %d weights are more than a layer can have",
                       in.channels, dense->units);
    *out = (us_shape){dense->units, 1, 1};
    return UNSEEN_OK;
}

/* torch.nn.Linear's: uniform within 1 / sqrt(inputs), weight and bias alike. */
static int tensors(const void *attributes, us_shape in,
                   us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    const us_dense_attributes *dense = attributes;
    const float bound = (float)(1 / sqrt((double)in.channels));
    specs[0] = (us_tensor_spec){
        .name = "weight",
        .rank = 2,
        .dims = {dense->units, in.channels},
        .order = {1, 0},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    specs[1] = (us_tensor_spec){
        .name = "bias",
        .rank = 1,
        .dims = {dense->units},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    return dense->bias ? 2 : 1;
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    (void)attributes;
    return 2.0 * in.channels * out.channels;
}

static const us_key keys[] = {
    {.name = "units",
     .kind = US_KEY_INT,
     .offset = offsetof(us_dense_attributes, units),
     .required = true,
     .minimum = 1,
     .maximum = 1 << 24,
     .help = "Features of the output."},
    {.name = "bias",
     .kind = US_KEY_BOOL,
     .offset = offsetof(us_dense_attributes, bias),
     .fallback = {1},
     .help = "Whether a number per output is added."},
    {.kind = US_KEY_END},
};

const us_layer_type us_dense_layer = {
    .name = "dense",
    .help = "Every output is a weighted sum of all inputs.",
    .keys = keys,
    .attributes_size = sizeof(us_dense_attributes),
    .infer = infer,
    .tensors = tensors,
    .flops = flops,
    .folds_activation = true,
    .create = create,
    .destroy = us_convolution_layer_destroy,
    .forward = us_convolution_layer_forward,
    .backward = us_convolution_layer_backward,
};
