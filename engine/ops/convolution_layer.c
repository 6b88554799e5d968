#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/convolution.h"
#include "ops/gather.h"
#include "ops/weight_gradient.h"

/* Those of backward are NULL until needed: a network that only scores has none. */
typedef struct us_convolution {
    us_layer_plan plan;
    us_convolution_attributes attributes;
    bool transposed;
    us_gather *forward, *backward;
    us_gather *folded; /* forward with the normalisation that follows */
    us_weight_gradient *gradient;
} us_convolution;

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

static us_gather_spec gather_spec(const us_convolution *layer) {
    const us_convolution_attributes *a = &layer->attributes;
    return (us_gather_spec){
        .device = layer->plan.device,
        .batch = layer->plan.batch,
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .tap_stride = (size_t)layer->plan.out.channels,
    };
}

static size_t channel_stride(const us_convolution *layer) {
    return (size_t)layer->attributes.kernel[0] * (size_t)layer->attributes.kernel[1] *
           (size_t)layer->plan.out.channels;
}

static unseen_status build_forward(us_convolution *layer, bool folded, unseen_error *error) {
    us_gather **forward = folded ? &layer->folded : &layer->forward;
    if (*forward) return UNSEEN_OK;
    us_gather_spec spec = gather_spec(layer);
    spec.up = layer->transposed;
    spec.in = layer->plan.in;
    spec.out = layer->plan.out;
    spec.in_stride = channel_stride(layer);
    spec.out_stride = 1;
    spec.bias = layer->attributes.bias || folded;
    spec.activation = folded ? layer->plan.normalized_activation : layer->plan.activation;
    spec.moments = layer->plan.is_normalized;
    spec.compared = layer->plan.compared;
    return us_gather_create(&spec, NULL, forward, error);
}

static unseen_status build_backward(us_convolution *layer, unseen_error *error) {
    if (layer->backward) return UNSEEN_OK;
    us_gather_spec spec = gather_spec(layer);
    spec.up = !layer->transposed;
    spec.in = layer->plan.out;
    spec.out = layer->plan.in;
    spec.in_stride = 1;
    spec.out_stride = channel_stride(layer);
    spec.input_activation = layer->plan.input_activation;
    spec.moments = layer->plan.is_normalized || layer->plan.input_is_normalized;
    return us_gather_create(&spec, NULL, &layer->backward, error);
}

static unseen_status build_gradient(us_convolution *layer, unseen_error *error) {
    if (layer->gradient) return UNSEEN_OK;
    const us_convolution_attributes *a = &layer->attributes;
    bool transposed = layer->transposed;
    us_weight_gradient_spec spec = {
        .device = layer->plan.device,
        .large = transposed ? layer->plan.out : layer->plan.in,
        .small = transposed ? layer->plan.in : layer->plan.out,
        .batch = layer->plan.batch,
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .large_stride = transposed ? 1 : channel_stride(layer),
        .tap_stride = (size_t)layer->plan.out.channels,
        .small_stride = transposed ? channel_stride(layer) : 1,
        .bias = a->bias && !layer->plan.is_normalized,
        .bias_of_large = transposed,
    };
    return us_weight_gradient_create(&spec, NULL, &layer->gradient, error);
}

unseen_status us_convolution_create(const us_layer_plan *plan, bool transposed, void **layer,
                                    unseen_error *error) {
    *layer = NULL;
    us_convolution *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a convolution");
    made->plan = *plan;
    made->attributes = *(const us_convolution_attributes *)plan->attributes;
    made->transposed = transposed;
    unseen_status status = build_forward(made, false, error);
    us_purpose purpose = plan->device->purpose;
    plan->device->purpose = US_PURPOSE_TRAINING;
    if (status == UNSEEN_OK && plan->training) status = build_gradient(made, error);
    if (status == UNSEEN_OK && plan->training) status = build_backward(made, error);
    plan->device->purpose = purpose;
    if (status != UNSEEN_OK) {
        us_convolution_destroy(made);
        return status;
    }
    *layer = made;
    return UNSEEN_OK;
}

void us_convolution_destroy(void *layer) {
    us_convolution *convolution = layer;
    if (!convolution) return;
    us_gather_destroy(convolution->forward);
    us_gather_destroy(convolution->backward);
    us_gather_destroy(convolution->folded);
    us_weight_gradient_destroy(convolution->gradient);
    free(convolution);
}

unseen_status us_convolution_forward(void *layer, const us_layer_forward *args,
                                     unseen_error *error) {
    us_convolution *convolution = layer;
    US_TRY(build_forward(convolution, args->folded, error));
    us_gather_args gather = {
        .x = args->x,
        .weights = args->tensors[0],
        .bias = convolution->attributes.bias || args->folded ? args->tensors[1] : NULL,
        .y = args->y,
        .n = args->n,
        .reuse = args->reuse,
        .moments = args->moments,
        .target = args->target,
    };
    return us_gather_run(args->folded ? convolution->folded : convolution->forward, &gather, error);
}

unseen_status us_convolution_backward(void *layer, const us_layer_backward *args,
                                      unseen_error *error) {
    us_convolution *convolution = layer;
    us_device *device = convolution->plan.device;
    if (args->dx) { /* first, as the layer before waits for it */
        device->label.pass = US_PASS_INPUT_GRADIENT;
        US_TRY(build_backward(convolution, error));
        us_gather_args gather = {
            .x = args->dy,
            .weights = args->tensors[0],
            .input = args->x,
            .y = args->dx,
            .normalized = args->normalized,
            .statistics = args->statistics,
            .sums = args->dx_sums,
            .n = args->n,
        };
        US_TRY(us_gather_run(convolution->backward, &gather, error));
    }
    if (!args->gradients) return UNSEEN_OK;
    device->label.pass = US_PASS_WEIGHT_GRADIENT;
    US_TRY(build_gradient(convolution, error));
    us_buffer *bias = convolution->attributes.bias ? args->gradients[1] : NULL;
    us_buffer *large = convolution->transposed ? args->dy : args->x;
    us_buffer *small = convolution->transposed ? args->x : args->dy;
    return us_weight_gradient_run(convolution->gradient, large, small, args->gradients[0], bias,
                                  args->accumulate, error);
}
