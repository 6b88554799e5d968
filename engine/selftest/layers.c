/* SPDX-License-Identifier: MIT */
/* Every layer, forward and backward, against its reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftest/reference.h"
#include "selftest/selftest.h"
#include "selftest/cases.h"

typedef struct layer_case {
    const us_layer_type *type;
    const char *keys; /* JSON */
    us_shape in;
    int n, room; /* images, and those that the batch has room for (0: no more) */
    us_activation activation, input_activation;
    double scale, shift; /* of the input; scale 0: 1 */
} layer_case;

static const layer_case cases[] = {
    {CONVOLUTION,
     "{\"channels\": 5, \"kernel\": 3, \"padding\": 1}",
     {3, 7, 5},
     17,
     0,
     RELU,
     NONE,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 3, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {5, 7, 5},
     17,
     40,
     TANH,
     LEAKY,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 12, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {3, 8, 8},
     1,
     0,
     LEAKY,
     TANH,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 24, \"kernel\": 4, \"stride\": 2, \"padding\": 1, \"bias\": false}",
     {12, 6, 8},
     5,
     128,
     NONE,
     RELU,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 8, \"kernel\": 5, \"stride\": 2, \"padding\": 2}",
     {1, 7, 5},
     33,
     128,
     SIGMOID,
     NONE,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 24, \"kernel\": 5, \"stride\": 2, \"padding\": 2}",
     {8, 13, 11},
     17,
     128,
     LEAKY,
     RELU,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 18, \"kernel\": 3, \"padding\": 1}",
     {12, 7, 6},
     33,
     0,
     RELU,
     LEAKY,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 12, \"kernel\": 4, \"padding\": 1}",
     {6, 7, 8},
     1,
     0,
     TANH,
     NONE,
     0,
     0},
    {CONVOLUTION, "{\"channels\": 1, \"kernel\": 4}", {5, 4, 4}, 17, 0, SIGMOID, LEAKY, 0, 0},
    {CONVOLUTION, "{\"channels\": 3, \"kernel\": 1}", {1, 1, 1}, 1, 0, NONE, NONE, 0, 0},
    {CONVOLUTION,
     "{\"channels\": 7, \"kernel\": [1, 3], \"stride\": [3, 1], \"padding\": [0, 1]}",
     {2, 7, 5},
     3,
     0,
     NONE,
     TANH,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 52, \"kernel\": 3, \"stride\": 2, \"padding\": 1}",
     {50, 7, 5},
     17,
     0,
     LEAKY,
     RELU,
     0,
     0},
    {CONVOLUTION,
     "{\"channels\": 64, \"kernel\": 5, \"stride\": 2, \"padding\": 2, \"bias\": false}",
     {48, 5, 7},
     1,
     128,
     NONE,
     LEAKY,
     0,
     0},
    {CONVOLUTION, "{\"channels\": 1, \"kernel\": 4}", {256, 4, 4}, 17, 0, SIGMOID, LEAKY, 0, 0},
    {CONVOLUTION,
     "{\"channels\": 64, \"kernel\": 3, \"padding\": 1}",
     {52, 1, 1},
     128,
     0,
     RELU,
     TANH,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 49, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {56, 4, 3},
     17,
     0,
     TANH,
     RELU,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 3, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {12, 4, 4},
     17,
     0,
     TANH,
     RELU,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 24, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {5, 3, 2},
     33,
     128,
     RELU,
     NONE,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 5, \"kernel\": 3, \"stride\": 2, \"padding\": 1, \"output_padding\": 1}",
     {3, 4, 3},
     1,
     0,
     LEAKY,
     SIGMOID,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 8, \"kernel\": 5, \"stride\": 2, \"padding\": 2, \"output_padding\": 1}",
     {18, 6, 5},
     20,
     0,
     RELU,
     TANH,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 1, \"kernel\": 3, \"stride\": 1, \"bias\": false}",
     {1, 1, 1},
     5,
     0,
     NONE,
     NONE,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 2, \"kernel\": [5, 2], \"stride\": [3, 2], \"padding\": [2, 0]}",
     {5, 3, 5},
     3,
     0,
     NONE,
     TANH,
     0,
     0},
    {DENSE, "{\"units\": 3}", {12, 1, 1}, 17, 0, NONE, RELU, 0, 0},
    {DENSE, "{\"units\": 12}", {3, 1, 1}, 17, 128, RELU, NONE, 0, 0},
    {DENSE, "{\"units\": 1}", {1, 1, 1}, 1, 0, SIGMOID, NONE, 0, 0},
    {DENSE, "{\"units\": 5, \"bias\": false}", {105, 1, 1}, 1, 0, NONE, TANH, 0, 0},
    {DENSE, "{\"units\": 130}", {70, 1, 1}, 33, 0, LEAKY, LEAKY, 0, 0},
    {DENSE, "{\"units\": 16}", {2500, 1, 1}, 40, 0, RELU, NONE, 0, 0},
    {DENSE, "{\"units\": 2500}", {17, 1, 1}, 64, 0, TANH, RELU, 0, 0},
    {DENSE, "{\"units\": 640}", {515, 1, 1}, 7, 0, TANH, SIGMOID, 0, 0},
    {BATCHNORM, "{}", {3, 7, 5}, 17, 0, RELU, NONE, 0, 0},
    {BATCHNORM, "{\"momentum\": 0.3}", {5, 1, 1}, 17, 128, LEAKY, TANH, 0, 0},
    {BATCHNORM, "{\"affine\": false}", {1, 3, 5}, 1, 0, NONE, RELU, 0, 0},
    {BATCHNORM, "{\"epsilon\": 0.001}", {3, 1, 1}, 1, 0, NONE, NONE, 0, 0},
    {BATCHNORM, "{}", {40, 1, 1}, 33, 0, TANH, NONE, 0, 0},
    {BATCHNORM, "{}", {2, 33, 31}, 40, 0, SIGMOID, NONE, 0, 0},
    {BATCHNORM, "{}", {3, 9, 7}, 33, 0, NONE, NONE, 0.25, 1000},
    {&us_groupnorm_layer, "{}", {3, 7, 5}, 17, 0, RELU, NONE, 0, 0},
    {&us_groupnorm_layer, "{\"groups\": 3}", {12, 7, 5}, 1, 0, NONE, TANH, 0, 0},
    {&us_groupnorm_layer, "{\"groups\": 5}", {5, 1, 3}, 33, 128, LEAKY, RELU, 0, 0},
    {&us_groupnorm_layer,
     "{\"groups\": 4, \"affine\": false}",
     {40, 1, 1},
     17,
     0,
     TANH,
     NONE,
     0,
     0},
    {&us_groupnorm_layer,
     "{\"groups\": 2, \"epsilon\": 0.1}",
     {4, 9, 8},
     128,
     0,
     NONE,
     LEAKY,
     3,
     1},
    {&us_groupnorm_layer, "{}", {1, 1, 3}, 1, 0, NONE, NONE, 0, 0},
    {&us_gelu_layer, "{}", {3, 7, 5}, 17, 0, NONE, NONE, 2, 0},
    {&us_gelu_layer, "{}", {1, 1, 1}, 1, 0, NONE, TANH, 0, 0},
    {&us_gelu_layer, "{}", {5, 1, 1}, 33, 128, NONE, LEAKY, 3, 0},
    {&us_average_pool_layer, "{\"kernel\": 2}", {3, 8, 6}, 17, 0, NONE, LEAKY, 0, 0},
    {&us_average_pool_layer, "{}", {5, 7, 5}, 17, 128, NONE, RELU, 0, 0},
    {&us_average_pool_layer,
     "{\"kernel\": 3, \"stride\": 2, \"padding\": 1}",
     {3, 7, 5},
     1,
     0,
     NONE,
     NONE,
     0,
     0},
    {&us_max_pool_layer, "{\"kernel\": 2}", {3, 7, 5}, 17, 0, NONE, TANH, 0, 0},
    {&us_max_pool_layer, "{}", {1, 1, 1}, 1, 0, NONE, NONE, 0, 0},
    {&us_max_pool_layer,
     "{\"kernel\": [3, 2], \"stride\": [1, 3], \"padding\": [1, 0]}",
     {5, 7, 5},
     33,
     60,
     NONE,
     LEAKY,
     0,
     0},
    {&us_max_pool_layer, "{\"kernel\": 3, \"stride\": 2}", {2, 13, 11}, 5, 0, NONE, NONE, 0, 0},
    {&us_relu_layer, "{}", {5, 7, 5}, 17, 0, NONE, NONE, 0, 0},
    {&us_relu_layer, "{}", {1, 1, 1}, 1, 0, NONE, TANH, 0, 0},
    {&us_leaky_relu_layer, "{\"slope\": 0.3}", {3, 7, 5}, 17, 0, NONE, NONE, 0, 0},
    {&us_tanh_layer, "{}", {3, 5, 1}, 1, 0, NONE, RELU, 3, 0},
    {&us_sigmoid_layer, "{}", {1, 7, 5}, 17, 0, NONE, LEAKY, 5, 0},
};

enum { CASES = sizeof cases / sizeof *cases };

/* Layers of enough channels for matrix units, with each precision that is not the default. */
static const layer_case wide[] = {
    {CONVOLUTION,
     "{\"channels\": 96, \"kernel\": 3, \"stride\": 2, \"padding\": 1}",
     {64, 5, 3},
     17,
     128,
     LEAKY,
     RELU,
     0,
     0},
    {TRANSPOSED,
     "{\"channels\": 72, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {100, 1, 3},
     33,
     0,
     RELU,
     TANH,
     0,
     0},
    {DENSE, "{\"units\": 130}", {516, 1, 1}, 33, 128, NONE, RELU, 0, 0},
};
static const us_precision lower[] = {US_PRECISION_TF32, US_PRECISION_BF16};

enum { WIDE = sizeof wide / sizeof *wide, LOWER = sizeof lower / sizeof *lower };

/* One case at work. */
typedef struct layer_test {
    us_selftest *test;
    const layer_case *wanted;
    us_precision precision;
    us_layer_plan plan;
    void *attributes, *layer;
    int count;
    us_tensor_spec specs[US_LAYER_MAX_TENSORS];
    us_test_values x, y, dy, dx, tensors[US_LAYER_MAX_TENSORS], gradients[US_LAYER_MAX_TENSORS];
    us_buffer *saved;
    us_reference call;
    double *host_tensors[US_LAYER_MAX_TENSORS], *host_gradients[US_LAYER_MAX_TENSORS];
    us_buffer *device_tensors[US_LAYER_MAX_TENSORS], *device_gradients[US_LAYER_MAX_TENSORS];
} layer_test;

/* Beyond what is normal, so that a sum that takes padded lanes in goes visibly wrong. */
static const float PADDING = 77;
static const double LIMIT = 2e-5;

unseen_status us_test_attributes_read(const us_layer_type *type, const char *keys,
                                      void **attributes, unseen_error *error) {
    us_json root;
    *attributes = NULL;
    US_TRY(us_json_parse(keys, strlen(keys), type->name, &root, error));
    *attributes = calloc(1, type->attributes_size + 1);
    unseen_status status = *attributes ? us_json_read(&root, type->keys, *attributes, error)
                                       : us_fail_memory(error, "the self-test");
    cJSON_Delete(root.value);
    return status;
}

void us_test_attributes_release(const us_layer_type *type, void *attributes) {
    if (attributes) us_json_release(type->keys, attributes);
    free(attributes);
}

unseen_status us_test_tensor_create(us_selftest *test, const us_tensor_spec *spec,
                                    us_test_values *values, unseen_error *error) {
    size_t size = 1;
    for (int axis = 0; axis < spec->rank; axis++)
        size *= (size_t)spec->dims[axis];
    US_TRY(us_test_values_create(test, size, 1, 1, values, error));
    us_test_values_random(test, values, 0.3, spec->init == US_INIT_CONSTANT);
    if (strcmp(spec->name, "running_var") == 0)
        for (size_t v = 0; v < size; v++)
            values->host[v] *= values->host[v];
    return us_test_values_upload(values, 0, error);
}

static unseen_status create_tensors(layer_test *t, unseen_error *error) {
    if (t->wanted->type->tensors)
        t->count = t->wanted->type->tensors(t->attributes, t->plan.in, t->specs);
    for (int i = 0; i < t->count; i++) {
        US_TRY(us_test_tensor_create(t->test, &t->specs[i], &t->tensors[i], error));
        t->host_tensors[i] = t->tensors[i].host;
        t->device_tensors[i] = t->tensors[i].device;
        if (!t->specs[i].trainable) continue;
        US_TRY(us_test_values_create(t->test, t->tensors[i].rows, 1, 1, &t->gradients[i], error));
        t->host_gradients[i] = t->gradients[i].host;
        t->device_gradients[i] = t->gradients[i].device;
    }
    return UNSEEN_OK;
}

static unseen_status create_activations(layer_test *t, unseen_error *error) {
    const size_t in = us_shape_size(t->plan.in), out = us_shape_size(t->plan.out);
    const int n = t->wanted->n, batch = t->plan.batch;
    US_TRY(us_test_values_create(t->test, in, n, batch, &t->x, error));
    US_TRY(us_test_values_create(t->test, in, n, batch, &t->dx, error));
    US_TRY(us_test_values_create(t->test, out, n, batch, &t->y, error));
    US_TRY(us_test_values_create(t->test, out, n, batch, &t->dy, error));
    us_test_values_random(t->test, &t->x, t->wanted->scale > 0 ? t->wanted->scale : 1,
                          t->wanted->shift);
    for (size_t i = 0; i < in * (size_t)n; i++)
        t->x.host[i] = (double)(float)us_activate(t->wanted->input_activation, t->x.host[i]);
    us_test_values_random(t->test, &t->dy, 1, 0.1);
    US_TRY(us_test_values_upload(&t->x, PADDING, error));
    return us_test_values_upload(&t->dy, 0, error);
}

static unseen_status create(layer_test *t, unseen_error *error) {
    const layer_case *wanted = t->wanted;
    us_device *device = t->test->device;
    US_TRY(us_test_attributes_read(wanted->type, wanted->keys, &t->attributes, error));
    t->plan = (us_layer_plan){
        .device = device,
        .attributes = t->attributes,
        .in = wanted->in,
        .batch = us_device_pad(&device->facts, wanted->room > wanted->n ? wanted->room : wanted->n),
        .activation = wanted->activation,
        .input_activation = wanted->input_activation,
        .precision = t->precision,
    };
    US_TRY(wanted->type->infer(t->attributes, wanted->in, &t->plan.out, error));
    US_TRY(create_tensors(t, error));
    US_TRY(create_activations(t, error));
    if (wanted->type->saved_floats) {
        const size_t floats = wanted->type->saved_floats(t->attributes, wanted->in, t->plan.batch);
        US_TRY(us_buffer_create(device, floats * sizeof(float), "the self-test", &t->saved, error));
    }
    t->call = (us_reference){
        .attributes = t->attributes,
        .in = t->plan.in,
        .out = t->plan.out,
        .n = wanted->n,
        .activation = wanted->activation,
        .input_activation = wanted->input_activation,
        .x = t->x.host,
        .y = t->y.host,
        .tensors = t->host_tensors,
        .dy = t->dy.host,
        .dx = t->dx.host,
        .gradients = t->host_gradients,
    };
    return wanted->type->create(&t->plan, &t->layer, error);
}

static unseen_status compare(layer_test *t, const us_test_values *values, const char *what,
                             double limit, bool zero_padding, unseen_error *error) {
    return us_test_values_compare(t->test, values, t->wanted->type->name, what, t->plan.in, limit,
                                  1e-3, zero_padding, error);
}

static unseen_status check_forward(layer_test *t, us_training training, double limit,
                                   unseen_error *error) {
    const us_layer_forward args = {
        .x = t->x.device,
        .y = t->y.device,
        .tensors = t->device_tensors,
        .saved = t->saved,
        .n = t->wanted->n,
        .training = training,
    };
    US_TRY(t->wanted->type->forward(t->layer, &args, error));
    t->call.training = training;
    us_reference_find(t->wanted->type)->forward(&t->call);
    static const char *const what[] = {"forward, scoring", "forward", "forward, statistics still",
                                       "forward, statistics fixed"};
    US_TRY(compare(t, &t->y, what[training], limit, false, error));
    for (int i = 0; training && i < t->count; i++)
        if (!t->specs[i].trainable)
            US_TRY(compare(t, &t->tensors[i], t->specs[i].name, limit, false, error));
    return UNSEEN_OK;
}

/* Twice, so that what is accumulated is twice the gradient. */
static unseen_status check_backward(layer_test *t, double limit, unseen_error *error) {
    us_reference_find(t->wanted->type)->backward(&t->call);
    for (int pass = 0; pass < 2; pass++) {
        const us_layer_backward args = {
            .x = t->x.device,
            .y = t->y.device,
            .dy = t->dy.device,
            .dx = t->dx.device,
            .tensors = t->device_tensors,
            .gradients = t->device_gradients,
            .saved = t->saved,
            .n = t->wanted->n,
            .training = t->call.training,
            .accumulate = pass == 1,
        };
        US_TRY(t->wanted->type->backward(t->layer, &args, error));
        if (pass == 0) US_TRY(compare(t, &t->dx, "input gradient", limit, true, error));
        for (int i = 0; i < t->count; i++) {
            if (!t->specs[i].trainable) continue;
            char what[64];
            snprintf(what, sizeof what, "%s gradient%s", t->specs[i].name,
                     pass ? ", accumulated" : "");
            US_TRY(compare(t, &t->gradients[i], what, limit, false, error));
            for (size_t v = 0; v < t->gradients[i].rows; v++)
                t->gradients[i].host[v] *= 2;
        }
    }
    return UNSEEN_OK;
}

static void destroy(layer_test *t) {
    if (t->layer) t->wanted->type->destroy(t->layer);
    us_test_values *const values[] = {&t->x, &t->y, &t->dy, &t->dx};
    for (size_t i = 0; i < 4; i++)
        us_test_values_destroy(values[i]);
    for (int i = 0; i < US_LAYER_MAX_TENSORS; i++) {
        us_test_values_destroy(&t->tensors[i]);
        us_test_values_destroy(&t->gradients[i]);
    }
    us_buffer_destroy(t->saved);
    us_test_attributes_release(t->wanted->type, t->attributes);
}

static unseen_status run(us_selftest *test, const layer_case *wanted, us_precision precision,
                         unseen_error *error) {
    layer_test t = {.test = test, .wanted = wanted, .precision = precision};
    const us_precision used = us_precision_on(&test->device->facts, precision);
    const double usual = used == US_PRECISION_FP32 ? LIMIT : us_precision_tolerance(used);
    /* A mean of many deviations leaves fewer digits to the deviations themselves, and a weight's
     * gradient has that rounding times the sum of dy. */
    const bool far = wanted->shift > 100;
    const double limit = far ? 1e-3 : usual;
    unseen_status status = create(&t, error);
    if (status == UNSEEN_OK && wanted->type->is_normalization)
        status = check_forward(&t, US_TRAINING_NONE, limit, error);
    if (status == UNSEEN_OK && wanted->type->is_normalization)
        status = check_forward(&t, US_TRAINING_STILL, limit, error);
    if (status == UNSEEN_OK && wanted->type->is_normalization)
        status = check_forward(&t, US_TRAINING_FIXED, limit, error);
    if (status == UNSEEN_OK && wanted->type->is_normalization)
        status = check_backward(&t, far ? 4e-3 : usual, error);
    if (status == UNSEEN_OK) status = check_forward(&t, US_TRAINING_MOVES, limit, error);
    if (status == UNSEEN_OK) status = check_backward(&t, far ? 4e-3 : usual, error);
    destroy(&t);
    if (status != UNSEEN_OK)
        us_error_context(error, "%s %s on %d x %d x %d", wanted->type->name, wanted->keys,
                         wanted->in.channels, wanted->in.height, wanted->in.width);
    return status;
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    return run(test, &cases[number], US_PRECISION_FP32, error);
}

static unseen_status run_lower(us_selftest *test, int number, unseen_error *error) {
    return run(test, &wide[number / LOWER], lower[number % LOWER], error);
}
const us_selftest_group us_selftest_layers = {"layer", CASES, run_case};
const us_selftest_group us_selftest_precisions = {"precision", WIDE *LOWER, run_lower};
