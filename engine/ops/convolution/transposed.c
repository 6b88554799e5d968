/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "ops/convolution/layer.h"

static const us_key keys[] = {
    US_CONVOLUTION_KEYS,
    {.name = "output_padding",
     .kind = US_KEY_INTS,
     .count = 2,
     .offset = offsetof(us_convolution_attributes, output_padding),
     .minimum = 0,
     .maximum = 63,
     .help = "Rows and columns added to the output, fewer than the stride: one number, or "
             "[height, width]."},
    {.kind = US_KEY_END},
};

static unseen_status infer_side(const char *dimension, int axis, int in, int *out,
                                const us_convolution_attributes *a, unseen_error *error) {
    if (a->output_padding[axis] >= a->stride[axis])
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the \"output_padding\" of the %s, %d, must be smaller than its \"stride\", "
                       "%d",
                       dimension, a->output_padding[axis], a->stride[axis]);
    int64_t side = (int64_t)(in - 1) * a->stride[axis] - 2 * a->padding[axis] + a->kernel[axis] +
                   a->output_padding[axis];
    if (side < 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "nothing is left of the %s: an input of %d with stride %d and kernel %d "
                       "makes %d, and a padding of %d takes away that much on both sides: make "
                       "\"padding\" smaller",
                       dimension, in, a->stride[axis], a->kernel[axis],
                       (int)(side + 2 * a->padding[axis]), a->padding[axis]);
    if (side > US_CONVOLUTION_MAX_SIDE)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the %s of the output would be %lld; at most %d is possible: make "
                       "\"stride\" smaller",
                       dimension, (long long)side, US_CONVOLUTION_MAX_SIDE);
    *out = (int)side;
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
    return us_convolution_tensors(attributes, in, true, specs);
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    const us_convolution_attributes *a = attributes;
    return 2.0 * (double)us_shape_size(in) * out.channels * a->kernel[0] * a->kernel[1];
}

static unseen_status create(const us_layer_plan *plan, void **layer, unseen_error *error) {
    return us_convolution_layer_create(plan, true, layer, error);
}

const us_layer_type us_convolution_transpose_layer = {
    .name = "convolution_transpose",
    .help = "Two-dimensional transposed convolution, as PyTorch's ConvTranspose2d.",
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
