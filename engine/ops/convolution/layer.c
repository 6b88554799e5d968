/* SPDX-License-Identifier: MIT */
#include "ops/convolution/layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/convolution/table.h"
#include "tuning/tuning.h"

/* Those of backward are NULL until needed: a network that only scores has none. */
typedef struct convolution_layer {
    us_layer_plan plan;
    us_convolution_attributes attributes;
    bool transposed;
    us_convolution *forward, *backward, *gradient;
    us_convolution *folded; /* forward with the normalisation that follows */
    int gradient_place;     /* of what the gradient leaves in parts; -1: nothing */
} convolution_layer;

int us_convolution_tensors(const us_convolution_attributes *attributes, us_shape in,
                           bool transposed, us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    int kernel_h = attributes->kernel[0], kernel_w = attributes->kernel[1];
    /* PyTorch takes the second dimension of the weight for the inputs of a unit, also where, in
     * ConvTranspose2d, it is the outputs (torch.nn.init._calculate_fan_in_and_fan_out). */
    double fan_in = (double)(transposed ? attributes->channels : in.channels) * kernel_h * kernel_w;
    float bound = (float)(1.0 / sqrt(fan_in));
    specs[0] = (us_tensor_spec){
        .name = "weight",
        .rank = 4,
        .dims = {attributes->channels, in.channels, kernel_h, kernel_w},
        .order = {1, 2, 3, 0},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    if (transposed) {
        specs[0].dims[0] = in.channels;
        specs[0].dims[1] = attributes->channels;
        memcpy(specs[0].order, (int[]){0, 2, 3, 1}, sizeof specs[0].order);
    }
    if (!attributes->bias) return 1;
    specs[1] = (us_tensor_spec){
        .name = "bias",
        .rank = 1,
        .dims = {attributes->channels},
        .order = {0},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    return 2;
}

/* What all passes of the layer have in common. */
static us_convolution_problem common_problem(const convolution_layer *layer,
                                             us_convolution_pass pass) {
    const us_convolution_attributes *a = &layer->attributes;
    const us_layer_plan *plan = &layer->plan;
    const size_t channel = (size_t)a->kernel[0] * (size_t)a->kernel[1] * (size_t)a->channels;
    us_convolution_problem problem = {
        .pass = pass,
        .large = layer->transposed ? plan->out : plan->in,
        .small = layer->transposed ? plan->in : plan->out,
        .batch = plan->batch,
        .precision = us_precision_on(&plan->device->facts, plan->precision),
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .large_stride = layer->transposed ? 1 : channel,
        .tap_stride = (size_t)a->channels,
        .small_stride = layer->transposed ? channel : 1,
    };
    if (us_device_is_gpu(&plan->device->facts)) us_convolution_flatten(&problem);
    return problem;
}

static unseen_status create_pass(const us_build *build, const us_convolution_problem *problem,
                                 us_convolution **made, unseen_error *error) {
    us_choice choice;
    us_device *device = build->device;
    US_TRY(us_tuning_choose(device->tuning, &device->facts, &us_convolution_tunable, problem,
                            &choice, error));
    return us_convolution_create(build, problem, &choice, made, error);
}

static unseen_status build_forward(convolution_layer *layer, bool folded, unseen_error *error) {
    us_convolution **forward = folded ? &layer->folded : &layer->forward;
    if (*forward) return UNSEEN_OK;
    const us_layer_plan *plan = &layer->plan;
    us_convolution_problem problem =
        common_problem(layer, layer->transposed ? US_CONVOLUTION_UP : US_CONVOLUTION_DOWN);
    problem.bias = layer->attributes.bias || folded;
    problem.activation = folded ? plan->fusion.normalized_activation : plan->activation;
    problem.moments = plan->fusion.is_normalized;
    problem.compared = plan->fusion.compared;
    const us_build build = us_layer_build(plan, US_PASS_FORWARD);
    return create_pass(&build, &problem, forward, error);
}

/* Kernels of backward passes are many and slow to compile: scoring does without. */
static us_build gradient_build(const convolution_layer *layer, us_pass pass) {
    us_build build = us_layer_build(&layer->plan, pass);
    build.purpose = US_PURPOSE_TRAINING;
    return build;
}

static unseen_status build_backward(convolution_layer *layer, unseen_error *error) {
    if (layer->backward) return UNSEEN_OK;
    us_convolution_problem problem =
        common_problem(layer, layer->transposed ? US_CONVOLUTION_DOWN : US_CONVOLUTION_UP);
    problem.input_activation = layer->plan.input_activation;
    /* us_convolution_flatten makes an output channel of each pixel, of which a BatchNorm has no use
     * for the sums. */
    const bool channels_kept = us_convolution_out(&problem).channels == layer->plan.in.channels;
    problem.moments = channels_kept &&
                      (layer->plan.fusion.is_normalized || layer->plan.fusion.input_is_normalized);
    const us_build build = gradient_build(layer, US_PASS_INPUT_GRADIENT);
    return create_pass(&build, &problem, &layer->backward, error);
}

static unseen_status build_gradient(convolution_layer *layer, unseen_error *error) {
    if (layer->gradient) return UNSEEN_OK;
    us_convolution_problem problem = common_problem(layer, US_CONVOLUTION_WEIGHTS);
    problem.bias = layer->attributes.bias && !layer->plan.fusion.is_normalized;
    problem.bias_of_large = layer->transposed;
    const us_build build = gradient_build(layer, US_PASS_WEIGHT_GRADIENT);
    return create_pass(&build, &problem, &layer->gradient, error);
}

/* Before the room is allocated, so while the network's layers are created. */
static unseen_status reserve_parts(convolution_layer *layer, unseen_error *error) {
    const us_layer_plan *plan = &layer->plan;
    us_split_gradient split[2];
    const size_t floats = us_convolution_parts(layer->gradient, split);
    if (!plan->gradient_parts || floats == 0) return UNSEEN_OK;
    return us_gradient_parts_reserve(plan->gradient_parts, floats, split, 2, plan->gradient_offset,
                                     &layer->gradient_place, error);
}

unseen_status us_convolution_layer_create(const us_layer_plan *plan, bool transposed, void **layer,
                                          unseen_error *error) {
    *layer = NULL;
    convolution_layer *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a convolution");
    made->plan = *plan;
    made->attributes = *(const us_convolution_attributes *)plan->attributes;
    made->plan.attributes = &made->attributes;
    made->transposed = transposed;
    made->gradient_place = -1;
    unseen_status status = build_forward(made, false, error);
    if (status == UNSEEN_OK && plan->training) status = build_gradient(made, error);
    if (status == UNSEEN_OK && plan->training) status = reserve_parts(made, error);
    if (status == UNSEEN_OK && plan->training) status = build_backward(made, error);
    if (status == UNSEEN_OK)
        *layer = made;
    else
        us_convolution_layer_destroy(made);
    return status;
}

void us_convolution_layer_destroy(void *pointer) {
    convolution_layer *layer = pointer;
    if (!layer) return;
    us_convolution_destroy(layer->forward);
    us_convolution_destroy(layer->backward);
    us_convolution_destroy(layer->folded);
    us_convolution_destroy(layer->gradient);
    free(layer);
}

unseen_status us_convolution_layer_forward(void *pointer, const us_layer_forward *args,
                                           unseen_error *error) {
    convolution_layer *layer = pointer;
    US_TRY(build_forward(layer, args->fusion.folded, error));
    const us_convolution_args pass = {
        .large = layer->transposed ? args->y : args->x,
        .small = layer->transposed ? args->x : args->y,
        .weights = args->tensors[0],
        .bias = layer->attributes.bias || args->fusion.folded ? args->tensors[1] : NULL,
        .n = args->n,
        .reuse = args->reuse,
        .moments = args->fusion.moments,
        .target = args->fusion.target,
    };
    return us_convolution_run(args->fusion.folded ? layer->folded : layer->forward, &pass, error);
}

static unseen_status run_input_gradient(convolution_layer *layer, const us_layer_backward *args,
                                        unseen_error *error) {
    US_TRY(build_backward(layer, error));
    const us_convolution_args pass = {
        .large = layer->transposed ? args->dy : args->dx,
        .small = layer->transposed ? args->dx : args->dy,
        .weights = args->tensors[0],
        .input = args->x,
        .n = args->n,
        .sums = args->fusion.dx_sums,
        .normalized = args->fusion.normalized,
        .statistics = args->fusion.statistics,
    };
    return us_convolution_run(layer->backward, &pass, error);
}

static unseen_status run_weight_gradient(convolution_layer *layer, const us_layer_backward *args,
                                         unseen_error *error) {
    US_TRY(build_gradient(layer, error));
    const us_convolution_args pass = {
        .large = layer->transposed ? args->dy : args->x,
        .small = layer->transposed ? args->x : args->dy,
        .weights = args->gradients[0],
        .bias = layer->attributes.bias ? args->gradients[1] : NULL,
        .n = args->n,
        .accumulate = args->accumulate,
        .parts = us_gradient_parts_room(layer->plan.gradient_parts, layer->gradient_place),
    };
    return us_convolution_run(layer->gradient, &pass, error);
}

unseen_status us_convolution_layer_backward(void *pointer, const us_layer_backward *args,
                                            unseen_error *error) {
    convolution_layer *layer = pointer;
    if (args->dx) /* first, as the layer before waits for it */
        US_TRY(run_input_gradient(layer, args, error));
    return args->gradients ? run_weight_gradient(layer, args, error) : UNSEEN_OK;
}
