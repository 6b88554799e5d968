/* SPDX-License-Identifier: MIT */
/* GroupNorm (Wu and He, arXiv 1803.08494): each image by itself, so that training and scoring
 * compute the same, whatever the batch. One group of all channels is LayerNorm over an image. */
#include <stdlib.h>

#include "ops/activation.h"
#include "ops/attributes.h"
#include "ops/layer.h"

typedef struct groupnorm {
    us_groupnorm_attributes attributes;
    us_kernel *forward, *input_gradient, *gradients;
    size_t lane_groups;
    int channels;
} groupnorm;

static void destroy(void *pointer) {
    groupnorm *layer = pointer;
    if (!layer) return;
    us_kernel_destroy(layer->forward);
    us_kernel_destroy(layer->input_gradient);
    us_kernel_destroy(layer->gradients);
    free(layer);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    const us_groupnorm_attributes *a = attributes;
    *out = in;
    if (us_shape_size(in) == (size_t)a->groups)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "each of %d groups has a single value, which would become 0 whatever it is",
                       a->groups);
    if (in.channels % a->groups == 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%d channels cannot be cut into %d groups of equal size", in.channels,
                   a->groups);
}

static int tensors(const void *attributes, us_shape in,
                   us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    const us_groupnorm_attributes *a = attributes;
    static const char *const names[] = {"weight", "bias"};
    for (int i = 0; a->affine && i < 2; i++)
        specs[i] = (us_tensor_spec){.name = names[i],
                                    .rank = 1,
                                    .dims = {in.channels},
                                    .trainable = true,
                                    .init = US_INIT_CONSTANT,
                                    .value = i == 0};
    return a->affine ? 2 : 0;
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    (void)attributes;
    (void)out;
    return 8 * (double)us_shape_size(in);
}

static size_t saved_floats(const void *attributes, us_shape in, int batch) {
    const us_groupnorm_attributes *a = attributes;
    (void)in;
    return 2 * (size_t)a->groups * (size_t)batch;
}

static unseen_status create_kernel(const groupnorm *layer, const us_layer_plan *plan, us_pass pass,
                                   const char *name, us_kernel **kernel, unseen_error *error) {
    us_build build = us_layer_build(plan, pass);
    if (pass != US_PASS_FORWARD) build.purpose = US_PURPOSE_TRAINING;
    if (*kernel) return UNSEEN_OK;
    char options[US_ACTIVATION_OPTIONS];
    us_activation_options(options, plan->activation, plan->input_activation);
    return us_kernel_create(&build, "groupnorm", name, kernel, error,
                            "-DCHANNELS=%d -DPIXELS=%d -DBATCH=%d -DGROUP_CHANNELS=%d -DVECTORS=%d "
                            "-DAFFINE=%d %s",
                            plan->in.channels, plan->in.height * plan->in.width, plan->batch,
                            plan->in.channels / layer->attributes.groups,
                            us_device_vectors(&plan->device->facts, plan->batch),
                            layer->attributes.affine, options);
}

static unseen_status create(const us_layer_plan *plan, void **out, unseen_error *error) {
    *out = NULL;
    groupnorm *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "a GroupNorm layer");
    layer->attributes = *(const us_groupnorm_attributes *)plan->attributes;
    layer->channels = plan->in.channels;
    layer->lane_groups = (size_t)us_device_vectors(&plan->device->facts, plan->batch);
    unseen_status status =
        create_kernel(layer, plan, US_PASS_FORWARD, "groupnorm_forward", &layer->forward, error);
    if (status == UNSEEN_OK)
        status = create_kernel(layer, plan, US_PASS_INPUT_GRADIENT, "groupnorm_input_gradient",
                               &layer->input_gradient, error);
    if (status == UNSEEN_OK && layer->attributes.affine)
        status = create_kernel(layer, plan, US_PASS_WEIGHT_GRADIENT, "groupnorm_gradients",
                               &layer->gradients, error);
    if (status == UNSEEN_OK)
        *out = layer;
    else
        destroy(layer);
    return status;
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    groupnorm *layer = pointer;
    const bool affine = layer->attributes.affine;
    const size_t groups[3] = {layer->lane_groups, (size_t)layer->attributes.groups, 1};
    return us_kernel_run(layer->forward, groups, error, "bbbfbb", args->x,
                         affine ? args->tensors[0] : NULL, affine ? args->tensors[1] : NULL,
                         layer->attributes.epsilon, args->y, args->saved);
}

static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    groupnorm *layer = pointer;
    const bool affine = layer->attributes.affine;
    const size_t groups[3] = {layer->lane_groups, (size_t)layer->attributes.groups, 1};
    if (args->dx)
        US_TRY(us_kernel_run(layer->input_gradient, groups, error, "bbbbb", args->x, args->dy,
                             affine ? args->tensors[0] : NULL, args->saved, args->dx));
    if (!affine || !args->gradients) return UNSEEN_OK;
    return us_kernel_run(layer->gradients, (size_t[]){(size_t)layer->channels, 1, 1}, error,
                         "bbbbbi", args->x, args->dy, args->saved, args->gradients[0],
                         args->gradients[1], (int32_t)args->accumulate);
}

static const us_key keys[] = {
    {.name = "groups",
     .kind = US_KEY_INT,
     .offset = offsetof(us_groupnorm_attributes, groups),
     .minimum = 1,
     .maximum = 65536,
     .fallback = {1},
     .help = "Groups that the channels are cut into; 1: LayerNorm over the whole image."},
    {.name = "epsilon",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_groupnorm_attributes, epsilon),
     .maximum = 1,
     .above_minimum = true,
     .fallback = {1e-5},
     .help = "Added to the variance."},
    {.name = "affine",
     .kind = US_KEY_BOOL,
     .offset = offsetof(us_groupnorm_attributes, affine),
     .fallback = {1},
     .help = "Whether each channel is then multiplied by a weight and gets a bias added."},
    {.kind = US_KEY_END},
};

const us_layer_type us_groupnorm_layer = {
    .name = "groupnorm",
    .help = "Each image's groups of channels with a mean of 0 and a variance of 1, as PyTorch's "
            "GroupNorm.",
    .keys = keys,
    .attributes_size = sizeof(us_groupnorm_attributes),
    .infer = infer,
    .tensors = tensors,
    .flops = flops,
    .saved_floats = saved_floats,
    .folds_activation = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};
