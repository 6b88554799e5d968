/* SPDX-License-Identifier: MIT */
#include "network/network.h"

#include <stdlib.h>
#include <string.h>

#include "network/internal.h"

us_activation us_network_output_activation(const us_network *network) {
    return network->plan.output_activation;
}

/* ---- memory ---- */

size_t us_network_tensor_bytes(const us_device_facts *device, const us_tensor_spec *tensor) {
    size_t bytes = (size_t)us_tensor_spec_size(tensor) * sizeof(float);
    return (bytes + device->alignment - 1) / device->alignment * device->alignment;
}

static unseen_status create_views(us_network *network, unseen_error *error) {
    size_t parameter_offset = 0, statistic_offset = 0;
    for (int s = 0; s < network->plan.count; s++) {
        us_stage *stage = &network->stages[s];
        for (int t = 0; t < stage->spec->tensor_count; t++) {
            const us_tensor_spec *tensor = &stage->spec->tensors[t];
            size_t bytes = (size_t)us_tensor_spec_size(tensor) * sizeof(float);
            size_t *offset = tensor->trainable ? &parameter_offset : &statistic_offset;
            us_buffer *parent = tensor->trainable ? network->parameters : network->statistics;
            stage->offset[t] = *offset;
            US_TRY(us_buffer_view(parent, *offset, bytes, &stage->tensors[t], error));
            if (tensor->trainable)
                US_TRY(us_buffer_view(network->gradients, *offset, bytes, &stage->gradients[t],
                                      error));
            *offset += us_network_tensor_bytes(&network->device->facts, tensor);
        }
    }
    return UNSEEN_OK;
}

size_t us_network_spec_floats(const us_device_facts *device, const us_network_spec *spec) {
    size_t bytes = 0;
    for (int i = 0; i < spec->count; i++)
        for (int t = 0; t < spec->layers[i].tensor_count; t++)
            if (spec->layers[i].tensors[t].trainable)
                bytes += us_network_tensor_bytes(device, &spec->layers[i].tensors[t]);
    return bytes / sizeof(float);
}

static unseen_status create_flat(us_network *network, const us_network_share *share,
                                 unseen_error *error) {
    us_device *device = network->device;
    const size_t bytes = network->floats * sizeof(float);
    if (share) {
        network->shares = true;
        network->parameters = share->parameters;
        network->gradients = share->gradients;
        network->gradient_parts = share->parts;
        network->first = share->first;
        return UNSEEN_OK;
    }
    US_TRY(us_buffer_create(device, bytes, "parameters", &network->parameters, error));
    US_TRY(us_buffer_create(device, bytes, "gradients", &network->gradients, error));
    if (!network->options.training || device->facts.execution != US_EXECUTION_LANES)
        return UNSEEN_OK;
    return us_gradient_parts_create(network->gradients, &network->gradient_parts, error);
}

static unseen_status create_tensors(us_network *network, unseen_error *error) {
    for (int s = 0; s < network->plan.count; s++)
        for (int t = 0; t < network->stages[s].spec->tensor_count; t++) {
            const us_tensor_spec *tensor = &network->stages[s].spec->tensors[t];
            size_t floats =
                us_network_tensor_bytes(&network->device->facts, tensor) / sizeof(float);
            *(tensor->trainable ? &network->floats : &network->statistic_floats) += floats;
        }
    us_device *device = network->device;
    if (network->floats) US_TRY(create_flat(network, network->options.share, error));
    if (network->options.same)
        network->statistics = network->options.same->statistics;
    else if (network->statistic_floats)
        US_TRY(us_buffer_create(device, network->statistic_floats * sizeof(float),
                                "running statistics", &network->statistics, error));
    return create_views(network, error);
}

/* ---- creation ---- */

static unseen_status create_folded(us_network *network, us_stage *stage, unseen_error *error) {
    size_t channels = (size_t)stage->spec->out.channels;
    US_TRY(us_buffer_create(network->device,
                            (size_t)us_tensor_spec_size(&stage->spec->tensors[0]) * sizeof(float),
                            "folded weights", &stage->folded[0], error));
    return us_buffer_create(network->device, channels * sizeof(float), "a folded bias",
                            &stage->folded[1], error);
}

static unseen_status create_stage(us_network *network, int index, unseen_error *error) {
    const us_stage_plan *planned = &network->plan.stages[index];
    us_stage *stage = &network->stages[index];
    const us_layer_spec *spec = stage->spec;
    us_layer_plan plan = {
        .device = network->device,
        .label = {.network = network->spec->name, .layer = stage->index},
        .attributes = spec->attributes,
        .in = spec->in,
        .out = spec->out,
        .batch = network->batch,
        .activation = planned->activation,
        .input_activation = planned->input_activation,
        .fusion = planned->fusion,
        .precision = network->options.precision,
        .gradient_parts = network->gradient_parts,
        .training = network->options.training,
        .group = network->options.group,
    };
    for (int t = 0; t < spec->tensor_count; t++)
        plan.gradient_offset[t] = network->first + stage->offset[t] / sizeof(float);
    if (spec->type->saved_floats)
        stage->saved_floats = spec->type->saved_floats(spec->attributes, spec->in, network->batch);
    unseen_status status = spec->type->create(&plan, &stage->layer, error);
    if (status != UNSEEN_OK)
        us_error_context(error, "layer %s.%s (%s)", network->spec->name, spec->path,
                         spec->type->name);
    return status;
}

unseen_status us_network_create_sums(us_network *network, unseen_error *error) {
    const us_network_plan *plan = &network->plan;
    if (network->sums) return UNSEEN_OK;
    network->sums = calloc((size_t)plan->step_count + 1, sizeof *network->sums);
    if (!network->sums) return us_fail_memory(error, "a network");
    for (int i = 0; i < plan->step_count; i++) {
        const us_gradient_step *step = &plan->steps[i];
        if (!step->is_sum) continue;
        us_activation activation = {0};
        if (step->derivative)
            activation = step->stage == US_NETWORK_INPUT ? network->options.input_activation
                                                         : plan->stages[step->stage].activation;
        const us_build build = {network->device,
                                US_PURPOSE_TRAINING,
                                {network->spec->name, step->layer, US_PASS_BACKWARD}};
        US_TRY(us_gradient_sum_create(&build, us_stage_shape(network->spec, plan, step->stage),
                                      network->batch, activation, &network->sums[i], error));
    }
    return UNSEEN_OK;
}

static unseen_status create_layers(us_network *network, unseen_error *error) {
    for (int s = 0; s < network->plan.count; s++) {
        const us_stage_plan *planned = &network->plan.stages[s];
        US_TRY(create_stage(network, s, error));
        if (planned->folds) US_TRY(create_folded(network, &network->stages[planned->input], error));
    }
    if (network->gradient_parts && !network->shares)
        US_TRY(us_gradient_parts_allocate(network->gradient_parts, error));
    if (!network->options.training) return UNSEEN_OK;
    return us_network_create_sums(network, error);
}

static unseen_status plan(us_network *network, unseen_error *error) {
    const us_network_options *options = &network->options;
    const us_network_plan_options wanted = {options->input_activation, options->logits,
                                            options->compared};
    US_TRY(us_network_plan_make(network->spec, &wanted, &network->plan, error));
    network->stages = calloc((size_t)network->plan.count + 1, sizeof *network->stages);
    if (!network->stages) return us_fail_memory(error, "a network");
    for (int s = 0; s < network->plan.count; s++) {
        us_stage *stage = &network->stages[s];
        stage->index = network->plan.stages[s].layer;
        stage->spec = &network->spec->layers[stage->index];
    }
    return UNSEEN_OK;
}

unseen_status us_network_create(us_device *device, const us_network_spec *spec,
                                const us_network_options *options, us_network **out,
                                unseen_error *error) {
    *out = NULL;
    us_network *network = calloc(1, sizeof *network);
    if (!network) return us_fail_memory(error, "a network");
    network->device = device;
    network->spec = spec;
    network->options = *options;
    network->batch = us_device_pad(&device->facts, options->batch);
    unseen_status status = plan(network, error);
    if (status == UNSEEN_OK) {
        status = create_tensors(network, error);
        if (status != UNSEEN_OK) us_error_context(error, "network %s", spec->name);
    }
    if (status == UNSEEN_OK) status = create_layers(network, error);
    if (status == UNSEEN_OK)
        *out = network;
    else
        us_network_destroy(network);
    return status;
}

void us_network_destroy(us_network *network) {
    if (!network) return;
    for (int s = 0; network->stages && s < network->plan.count; s++) {
        us_stage *stage = &network->stages[s];
        if (stage->layer) stage->spec->type->destroy(stage->layer);
        for (int t = 0; t < US_LAYER_MAX_TENSORS; t++) {
            us_buffer_destroy(stage->tensors[t]);
            us_buffer_destroy(stage->gradients[t]);
        }
        us_buffer_destroy(stage->folded[0]);
        us_buffer_destroy(stage->folded[1]);
    }
    for (int i = 0; network->sums && i < network->plan.step_count; i++)
        us_gradient_sum_destroy(network->sums[i]);
    if (!network->shares) {
        us_gradient_parts_destroy(network->gradient_parts);
        us_buffer_destroy(network->parameters);
        us_buffer_destroy(network->gradients);
    }
    if (!network->options.same) us_buffer_destroy(network->statistics);
    us_network_plan_release(&network->plan);
    free(network->sums);
    free(network->stages);
    free(network);
}

us_buffer *us_network_parameters(us_network *network) {
    network->has_scored = false;
    return network->parameters;
}

us_buffer *us_network_gradients(const us_network *network) {
    return network->gradients;
}

us_gradient_table us_network_gradient_parts(const us_network *network) {
    return us_gradient_parts_table(network->gradient_parts, network->first);
}

unseen_status us_network_sum_gradients(us_network *network, unseen_error *error) {
    return us_gradient_parts_sum(network->gradient_parts, error);
}

size_t us_network_floats(const us_network *network) {
    return network->floats;
}
