#include "network/network.h"

#include <stdlib.h>
#include <string.h>

#include "network/internal.h"

/* ---- which layers become stages ---- */

static void plan_stages(us_network *network) {
    const us_network_spec *spec = network->spec;
    us_activation pending = network->options.input_activation;
    int last = spec->count - 1;
    for (int i = 0; i < spec->count; i++) {
        const us_layer_spec *layer = &spec->layers[i];
        if (layer->type->is_view) continue;
        us_stage *previous = network->count ? &network->stages[network->count - 1] : NULL;
        us_activation own = {0};
        if (layer->type->activation) {
            own = layer->type->activation(layer->attributes);
            if (network->options.logits && i == last && own.kind == US_ACTIVATION_SIGMOID) continue;
            if (previous && previous->spec->type->folds_activation &&
                previous->activation.kind == US_ACTIVATION_NONE) {
                previous->activation = pending = own;
                continue;
            }
        }
        /* Behind a view, only if no mean is over outputs of different biases. */
        if (previous && layer->type->is_normalization &&
            previous->activation.kind == US_ACTIVATION_NONE &&
            layer->in.channels % previous->spec->out.channels == 0)
            previous->bias_gradient_is_zero = true;
        network->stages[network->count++] =
            (us_stage){.spec = layer, .index = i, .activation = own, .input_activation = pending};
        pending = own;
    }
}

us_activation us_network_output_activation(const us_network *network) {
    return network->count ? network->stages[network->count - 1].activation
                          : network->options.input_activation;
}

/* ---- memory ---- */

size_t us_network_tensor_bytes(const us_device *device, const us_tensor_spec *tensor) {
    size_t bytes = (size_t)us_tensor_spec_size(tensor) * sizeof(float);
    return (bytes + device->alignment - 1) / device->alignment * device->alignment;
}

static unseen_status create_views(us_network *network, unseen_error *error) {
    size_t parameter_offset = 0, statistic_offset = 0;
    for (int s = 0; s < network->count; s++) {
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
            *offset += us_network_tensor_bytes(network->device, tensor);
        }
    }
    return UNSEEN_OK;
}

static unseen_status create_tensors(us_network *network, unseen_error *error) {
    for (int s = 0; s < network->count; s++)
        for (int t = 0; t < network->stages[s].spec->tensor_count; t++) {
            const us_tensor_spec *tensor = &network->stages[s].spec->tensors[t];
            size_t floats = us_network_tensor_bytes(network->device, tensor) / sizeof(float);
            *(tensor->trainable ? &network->floats : &network->statistic_floats) += floats;
        }
    us_device *device = network->device;
    if (network->floats) {
        size_t bytes = network->floats * sizeof(float);
        US_TRY(us_buffer_create(device, bytes, "parameters", &network->parameters, error));
        US_TRY(us_buffer_create(device, bytes, "gradients", &network->gradients, error));
    }
    if (network->statistic_floats)
        US_TRY(us_buffer_create(device, network->statistic_floats * sizeof(float),
                                "running statistics", &network->statistics, error));
    return create_views(network, error);
}

/* ---- creation ---- */

static unseen_status create_stage(us_network *network, us_stage *stage, unseen_error *error) {
    const us_layer_spec *spec = stage->spec;
    us_layer_plan plan = {
        .device = network->device,
        .attributes = spec->attributes,
        .in = spec->in,
        .out = spec->out,
        .batch = network->batch,
        .activation = stage->activation,
        .input_activation = stage->input_activation,
        .bias_gradient_is_zero = stage->bias_gradient_is_zero,
        .training = network->options.training,
    };
    if (spec->type->saved_floats)
        stage->saved_floats = spec->type->saved_floats(spec->attributes, spec->in, network->batch);
    unseen_status status = spec->type->create(&plan, &stage->layer, error);
    if (status != UNSEEN_OK)
        us_error_context(error, "layer %s.%d (%s)", network->spec->name, stage->index,
                         spec->type->name);
    return status;
}

unseen_status us_network_create(us_device *device, const us_network_spec *spec,
                                const us_network_options *options, us_network **out,
                                unseen_error *error) {
    *out = NULL;
    us_network *network = calloc(1, sizeof *network);
    if (!network) return us_fail_memory(error, "a network");
    unseen_status status = UNSEEN_OK;
    network->device = device;
    network->spec = spec;
    network->options = *options;
    network->batch = us_device_pad(device, options->batch);
    network->stages = calloc((size_t)spec->count, sizeof *network->stages);
    if (!network->stages) {
        status = us_fail_memory(error, "a network");
        goto done;
    }
    plan_stages(network);
    status = create_tensors(network, error);
    if (status != UNSEEN_OK) {
        us_error_context(error, "network %s", spec->name);
        goto done;
    }
    for (int s = 0; s < network->count; s++)
        US_CHECK(create_stage(network, &network->stages[s], error));
done:
    if (status == UNSEEN_OK)
        *out = network;
    else
        us_network_destroy(network);
    return status;
}

void us_network_destroy(us_network *network) {
    if (!network) return;
    for (int s = 0; network->stages && s < network->count; s++) {
        us_stage *stage = &network->stages[s];
        if (stage->layer) stage->spec->type->destroy(stage->layer);
        for (int t = 0; t < US_LAYER_MAX_TENSORS; t++) {
            us_buffer_destroy(stage->tensors[t]);
            us_buffer_destroy(stage->gradients[t]);
        }
    }
    us_buffer_destroy(network->parameters);
    us_buffer_destroy(network->gradients);
    us_buffer_destroy(network->statistics);
    free(network->stages);
    free(network);
}

const us_network_spec *us_network_get_spec(const us_network *network) {
    return network->spec;
}

us_buffer *us_network_parameters(const us_network *network) {
    return network->parameters;
}

us_buffer *us_network_gradients(const us_network *network) {
    return network->gradients;
}

size_t us_network_floats(const us_network *network) {
    return network->floats;
}

int us_network_stages(const us_network *network) {
    return network->count;
}
