/* SPDX-License-Identifier: MIT */
/* Views: the same values under another shape. In [C][H][W][batch] nothing moves. */
#include "ops/attributes.h"
#include "ops/layer.h"

static const us_key flatten_keys[] = {{.kind = US_KEY_END}};

static unseen_status flatten_infer(const void *attributes, us_shape in, us_shape *out,
                                   unseen_error *error) {
    (void)attributes;
    const size_t size = us_shape_size(in);
    if (size > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%zu features are more than a layer can have",
                       size);
    *out = (us_shape){(int)size, 1, 1};
    return UNSEEN_OK;
}

const us_layer_type us_flatten_layer = {
    .name = "flatten",
    .help = "Channels, rows and columns become one row of features, as dense layers take them.",
    .keys = flatten_keys,
    .infer = flatten_infer,
    .is_view = true,
};

static const us_key reshape_keys[] = {
    {.name = "shape",
     .kind = US_KEY_INTS,
     .offset = offsetof(us_reshape_attributes, shape),
     .required = true,
     .minimum = 1,
     .maximum = 1 << 28,
     .count = 3,
     .help = "Channels, height and width of the output."},
    {.kind = US_KEY_END},
};

static unseen_status reshape_infer(const void *attributes, us_shape in, us_shape *out,
                                   unseen_error *error) {
    const us_reshape_attributes *reshape = attributes;
    const us_shape shape = {reshape->shape[0], reshape->shape[1], reshape->shape[2]};
    /* Each dimension is below 2^29, so the product of the first two cannot overflow. */
    const size_t size = us_shape_size(in), plane = (size_t)shape.channels * (size_t)shape.height;
    if (size % plane || size / plane != (size_t)shape.width)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "shape %d x %d x %d does not hold the %zu values of the input",
                       shape.channels, shape.height, shape.width, size);
    *out = shape;
    return UNSEEN_OK;
}

const us_layer_type us_reshape_layer = {
    .name = "reshape",
    .help = "The same values as channels x height x width.",
    .keys = reshape_keys,
    .attributes_size = sizeof(us_reshape_attributes),
    .infer = reshape_infer,
    .is_view = true,
};
