/* SPDX-License-Identifier: MIT */
#include "ops/convolution/layer.h"

#include <stddef.h>

static const us_key keys[] = {US_CONVOLUTION_KEYS, {.kind = US_KEY_END}};

static unseen_status infer_side(const char *dimension, int axis, int in, int *out,
                                const us_convolution_attributes *a, unseen_error *error) {
    int padded = in + 2 * a->padding[axis];
    if (padded < a->kernel[axis])
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the %s of the input, %d with a padding of %d on both sides, is smaller "
                       "than the kernel's %d: make \"kernel\" smaller or \"padding\" larger",
                       dimension, in, a->padding[axis], a->kernel[axis]);
    *out = (padded - a->kernel[axis]) / a->stride[axis] + 1;
    if (*out > US_CONVOLUTION_MAX_SIDE)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the %s of the output would be %d; at most %d is possible", dimension, *out,
                       US_CONVOLUTION_MAX_SIDE);
    return UNSEEN_OK;
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    const us_convolution_attributes *a = attributes;
    US_TRY(infer_side("height", 0, in.height, &out->height, a, error));
    US_TRY(infer_side("width", 1, in.width, &out->width, a, error));
    out->channels = a->channels;
    return UNSEEN_OK;
}

static int tensors(const void *attributes, us_shape in,
                   us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    return us_convolution_tensors(attributes, in, false, specs);
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    const us_convolution_attributes *a = attributes;
    return 2.0 * (double)us_shape_size(out) * in.channels * a->kernel[0] * a->kernel[1];
}

static unseen_status create(const us_layer_plan *plan, void **layer, unseen_error *error) {
    return us_convolution_layer_create(plan, false, layer, error);
}

const us_layer_type us_convolution_layer = {
    .name = "convolution",
    .help = "Two-dimensional convolution, as PyTorch's Conv2d.",
    .keys = keys,
    .attributes_size = sizeof(us_convolution_attributes),
    .infer = infer,
    .tensors = tensors,
    .flops = flops,
    .folds_activation = true,
    .folds_normalization = true,
    .create = create,
    .destroy = us_convolution_layer_destroy,
    .forward = us_convolution_layer_forward,
    .backward = us_convolution_layer_backward,
};
