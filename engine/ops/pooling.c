/* SPDX-License-Identifier: MIT */
/* Average and maximum pooling, over windows or over the whole image. */
#include <stdlib.h>

#include "ops/attributes.h"
#include "ops/layer.h"

typedef struct pooling {
    us_layer_plan plan;
    bool maximum;
    us_kernel *forward;
    us_kernel *backward; /* NULL until needed: a network that only scores has none */
    size_t lane_groups;
} pooling;

/* ---- shapes ---- */

us_pooling_window us_pooling_window_of(const us_pooling_attributes *a, us_shape in) {
    const int sides[2] = {in.height, in.width};
    us_pooling_window window;
    for (int axis = 0; axis < 2; axis++) {
        window.kernel[axis] = a->kernel[axis] ? a->kernel[axis] : sides[axis];
        window.stride[axis] = a->stride[axis] ? a->stride[axis] : window.kernel[axis];
        window.padding[axis] = a->padding[axis];
    }
    return window;
}

static unseen_status infer_side(const us_pooling_window *window, int axis, int in, int *out,
                                unseen_error *error) {
    const char *dimension = axis == 0 ? "height" : "width";
    const int kernel = window->kernel[axis], padding = window->padding[axis];
    if (padding > kernel / 2)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a padding of %d is more than half of the kernel's %d: windows would lie in "
                       "the padding alone",
                       padding, kernel);
    if (in + 2 * padding < kernel)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the %s of the input, %d with a padding of %d on both sides, is smaller "
                       "than the kernel's %d: make \"kernel\" smaller",
                       dimension, in, padding, kernel);
    *out = (in + 2 * padding - kernel) / window->stride[axis] + 1;
    return UNSEEN_OK;
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    const us_pooling_window window = us_pooling_window_of(attributes, in);
    US_TRY(infer_side(&window, 0, in.height, &out->height, error));
    US_TRY(infer_side(&window, 1, in.width, &out->width, error));
    out->channels = in.channels;
    return UNSEEN_OK;
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    const us_pooling_window window = us_pooling_window_of(attributes, in);
    return (double)us_shape_size(out) * window.kernel[0] * window.kernel[1];
}

/* The taps that the maximum took. */
static size_t saved_floats(const void *attributes, us_shape in, int batch) {
    us_shape out;
    unseen_error unused;
    if (infer(attributes, in, &out, &unused) != UNSEEN_OK) return 0;
    return us_shape_size(out) * (size_t)batch;
}

/* ---- on a device ---- */

static void destroy(void *pointer) {
    pooling *layer = pointer;
    if (!layer) return;
    us_kernel_destroy(layer->forward);
    us_kernel_destroy(layer->backward);
    free(layer);
}

static unseen_status create_kernel(const pooling *layer, const us_build *build, const char *name,
                                   us_kernel **kernel, unseen_error *error) {
    const us_layer_plan *plan = &layer->plan;
    const us_device_facts *device = &plan->device->facts;
    const us_pooling_window w = us_pooling_window_of(plan->attributes, plan->in);
    const bool lanes = device->execution == US_EXECUTION_LANES;
    char options[US_ACTIVATION_OPTIONS];
    if (*kernel) return UNSEEN_OK;
    us_activation_options(options, (us_activation){US_ACTIVATION_NONE, 0}, plan->input_activation);
    return us_kernel_create(
        build, "pooling", name, kernel, error,
        "-DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_HEIGHT=%d -DOUT_WIDTH=%d -DBATCH=%d -DKERNEL_H=%d "
        "-DKERNEL_W=%d -DSTRIDE_Y=%d -DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DMAXIMUM=%d "
        "-DVECTORS=%d %s",
        plan->in.height, plan->in.width, plan->out.height, plan->out.width, plan->batch,
        w.kernel[0], w.kernel[1], w.stride[0], w.stride[1], w.padding[0], w.padding[1],
        layer->maximum, lanes ? 1 : us_device_vectors(device, plan->batch), options);
}

static unseen_status create_backward(pooling *layer, unseen_error *error) {
    us_build build = us_layer_build(&layer->plan, US_PASS_INPUT_GRADIENT);
    build.purpose = US_PURPOSE_TRAINING;
    return create_kernel(layer, &build, "pooling_backward", &layer->backward, error);
}

static unseen_status create(const us_layer_plan *plan, bool maximum, void **out,
                            unseen_error *error) {
    *out = NULL;
    pooling *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "a pooling layer");
    const us_device_facts *device = &plan->device->facts;
    const us_build build = us_layer_build(plan, US_PASS_FORWARD);
    layer->plan = *plan;
    layer->maximum = maximum;
    layer->lane_groups = device->execution == US_EXECUTION_LANES
                             ? (size_t)us_device_vectors(device, plan->batch)
                             : 1;
    unseen_status status = create_kernel(layer, &build, "pooling_forward", &layer->forward, error);
    if (status == UNSEEN_OK && plan->training) status = create_backward(layer, error);
    if (status == UNSEEN_OK)
        *out = layer;
    else
        destroy(layer);
    return status;
}

static unseen_status create_average(const us_layer_plan *plan, void **layer, unseen_error *error) {
    return create(plan, false, layer, error);
}

static unseen_status create_maximum(const us_layer_plan *plan, void **layer, unseen_error *error) {
    return create(plan, true, layer, error);
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    pooling *layer = pointer;
    const size_t groups[3] = {layer->lane_groups, us_shape_size(layer->plan.out), 1};
    return us_kernel_run(layer->forward, groups, error, "bbb", args->x, args->y, args->saved);
}

static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    pooling *layer = pointer;
    if (!args->dx) return UNSEEN_OK;
    US_TRY(create_backward(layer, error));
    const size_t groups[3] = {layer->lane_groups, us_shape_size(layer->plan.in), 1};
    return us_kernel_run(layer->backward, groups, error, "bbbb", args->x, args->dy, args->saved,
                         args->dx);
}

/* ---- as layers ---- */

static const us_key keys[] = {
    {.name = "kernel",
     .kind = US_KEY_INTS,
     .count = 2,
     .offset = offsetof(us_pooling_attributes, kernel),
     .minimum = 0,
     .maximum = 65536,
     .help = "Size of the window: one number, or [height, width]; 0, the default, is the whole "
             "image."},
    {.name = "stride",
     .kind = US_KEY_INTS,
     .count = 2,
     .offset = offsetof(us_pooling_attributes, stride),
     .minimum = 0,
     .maximum = 65536,
     .help = "Step between neighbouring windows: one number, or [height, width]; 0, the default, "
             "is the kernel's size."},
    {.name = "padding",
     .kind = US_KEY_INTS,
     .count = 2,
     .offset = offsetof(us_pooling_attributes, padding),
     .minimum = 0,
     .maximum = 32768,
     .help = "Pixels around the image on each side, at most half of the kernel: zeros for the "
             "average, left out of the maximum."},
    {.kind = US_KEY_END},
};

const us_layer_type us_average_pool_layer = {
    .name = "average_pool",
    .help = "The mean of each window, as PyTorch's AvgPool2d.",
    .keys = keys,
    .attributes_size = sizeof(us_pooling_attributes),
    .infer = infer,
    .flops = flops,
    .create = create_average,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};

const us_layer_type us_max_pool_layer = {
    .name = "max_pool",
    .help = "The largest value of each window, as PyTorch's MaxPool2d.",
    .keys = keys,
    .attributes_size = sizeof(us_pooling_attributes),
    .infer = infer,
    .flops = flops,
    .saved_floats = saved_floats,
    .create = create_maximum,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};
