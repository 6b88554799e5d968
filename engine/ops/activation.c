/* SPDX-License-Identifier: MIT */
/* Activations on the host, and as layers of their own for where no layer before them can compute
 * them: at a network's start or after a view; and the Gaussian error linear unit, which none can, as
 * its slope is no function of its value. */
#include <math.h>
#include <stdlib.h>

#include "ops/activation.h"
#include "ops/attributes.h"
#include "ops/elementwise.h"

/* ---- on the host ---- */

double us_activate(us_activation activation, double v) {
    switch (activation.kind) {
    case US_ACTIVATION_RELU:
        return v > 0 ? v : 0;
    case US_ACTIVATION_LEAKY_RELU:
        return v > 0 ? v : v * (double)activation.slope;
    case US_ACTIVATION_TANH:
        return tanh(v);
    case US_ACTIVATION_SIGMOID:
        return 1 / (1 + exp(-v));
    case US_ACTIVATION_NONE:
        break;
    }
    return v;
}

double us_activation_slope(us_activation activation, double y) {
    switch (activation.kind) {
    case US_ACTIVATION_RELU:
        return y > 0 ? 1 : 0;
    case US_ACTIVATION_LEAKY_RELU:
        return y > 0 ? 1 : (double)activation.slope;
    case US_ACTIVATION_TANH:
        return 1 - y * y;
    case US_ACTIVATION_SIGMOID:
        return y * (1 - y);
    case US_ACTIVATION_NONE:
        break;
    }
    return 1;
}

/* ---- as layers ---- */

typedef struct us_activation_layer {
    us_kernel *forward, *backward;
    size_t groups;
} us_activation_layer;

static void destroy(void *pointer) {
    us_activation_layer *layer = pointer;
    if (!layer) return;
    us_kernel_destroy(layer->forward);
    us_kernel_destroy(layer->backward);
    free(layer);
}

/* The file of kernels and, in it, what runs forward and backward. */
typedef struct kernel_names {
    const char *file, *forward, *backward;
} kernel_names;

static unseen_status create(const us_layer_plan *plan, const kernel_names *names,
                            us_activation activation, void **out, unseen_error *error) {
    *out = NULL;
    const us_build ahead = us_layer_build(plan, US_PASS_FORWARD);
    const us_build back = us_layer_build(plan, US_PASS_BACKWARD);
    us_elementwise cut;
    US_TRY(us_elementwise_plan(&plan->device->facts, plan->in, plan->batch, &cut, error));
    us_activation_layer *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "an activation layer");
    layer->groups = cut.groups;
    char options[US_ACTIVATION_OPTIONS];
    us_activation_options(options, activation, plan->input_activation);
    unseen_status status =
        us_kernel_create(&ahead, names->file, names->forward, &layer->forward, error,
                         "-DCOUNT=%zu -DVECTORS=%d %s", cut.count, cut.vectors, options);
    if (status == UNSEEN_OK)
        status = us_kernel_create(&back, names->file, names->backward, &layer->backward, error,
                                  "-DCOUNT=%zu -DVECTORS=%d %s", cut.count, cut.vectors, options);
    if (status != UNSEEN_OK) {
        destroy(layer);
        return status;
    }
    *out = layer;
    return UNSEEN_OK;
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    us_activation_layer *layer = pointer;
    return us_kernel_run(layer->forward, (size_t[]){layer->groups, 1, 1}, error, "bb", args->x,
                         args->y);
}

/* Of an activation dy is already with respect to x, the value before it, so that only the derivative
 * of what produced x remains to be multiplied; GELU's own comes to it. */
static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    us_activation_layer *layer = pointer;
    if (!args->dx) return UNSEEN_OK;
    return us_kernel_run(layer->backward, (size_t[]){layer->groups, 1, 1}, error, "bbb", args->x,
                         args->dy, args->dx);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    (void)attributes;
    (void)error;
    *out = in;
    return UNSEEN_OK;
}

static const us_key no_keys[] = {{.kind = US_KEY_END}};

static const kernel_names activation_names = {"activation", "activation_forward",
                                              "activation_backward"};

/* The functions of a layer type whose activation is KIND. */
#define DEFINE_ACTIVATION(NAME, KIND, SLOPE)                                                       \
    static us_activation NAME##_activation(const void *attributes) {                               \
        (void)attributes;                                                                          \
        return (us_activation){KIND, SLOPE};                                                       \
    }                                                                                              \
    static unseen_status NAME##_create(const us_layer_plan *plan, void **layer,                    \
                                       unseen_error *error) {                                      \
        return create(plan, &activation_names, NAME##_activation(plan->attributes), layer, error); \
    }

DEFINE_ACTIVATION(relu, US_ACTIVATION_RELU, 0)
DEFINE_ACTIVATION(leaky_relu, US_ACTIVATION_LEAKY_RELU,
                  (float)((const us_leaky_relu_attributes *)attributes)->slope)
DEFINE_ACTIVATION(tanh, US_ACTIVATION_TANH, 0)
DEFINE_ACTIVATION(sigmoid, US_ACTIVATION_SIGMOID, 0)

static const us_key leaky_relu_keys[] = {
    {.name = "slope",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_leaky_relu_attributes, slope),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {0.01},
     .help = "What negative values are multiplied by."},
    {.kind = US_KEY_END},
};

const us_layer_type us_relu_layer = {
    .name = "relu",
    .help = "max(0, x).",
    .keys = no_keys,
    .infer = infer,
    .activation = relu_activation,
    .create = relu_create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};

const us_layer_type us_leaky_relu_layer = {
    .name = "leaky_relu",
    .help = "x where it is positive, slope times x elsewhere.",
    .keys = leaky_relu_keys,
    .attributes_size = sizeof(us_leaky_relu_attributes),
    .infer = infer,
    .activation = leaky_relu_activation,
    .create = leaky_relu_create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};

const us_layer_type us_tanh_layer = {
    .name = "tanh",
    .help = "The hyperbolic tangent, from -1 to 1.",
    .keys = no_keys,
    .infer = infer,
    .activation = tanh_activation,
    .create = tanh_create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};

const us_layer_type us_sigmoid_layer = {
    .name = "sigmoid",
    .help = "1 / (1 + exp(-x)), from 0 to 1.",
    .keys = no_keys,
    .infer = infer,
    .activation = sigmoid_activation,
    .create = sigmoid_create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};

/* By erf itself (Hendrycks and Gimpel, arXiv 1606.08415). */
static unseen_status gelu_create(const us_layer_plan *plan, void **layer, unseen_error *error) {
    static const kernel_names names = {"gelu", "gelu_forward", "gelu_backward"};
    return create(plan, &names, (us_activation){US_ACTIVATION_NONE, 0}, layer, error);
}

const us_layer_type us_gelu_layer = {
    .name = "gelu",
    .help = "x times the share of a standard normal distribution below x, as PyTorch's GELU.",
    .keys = no_keys,
    .infer = infer,
    .create = gelu_create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};
