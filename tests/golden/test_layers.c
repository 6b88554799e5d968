/* SPDX-License-Identifier: MIT */
/* Every layer, forward and backward, against PyTorch over odd sizes. */
#include "golden.h"

#include <string.h>

#include "network/spec.h"

/* A case's layer on the device. */
typedef struct subject {
    const golden_case *c;
    us_device *device;
    cJSON *json;
    us_network_spec network;
    const us_layer_spec *spec;
    us_layer_plan plan;
    void *layer;
    us_buffer *tensors[US_LAYER_MAX_TENSORS], *gradients[US_LAYER_MAX_TENSORS];
    us_buffer *saved, *x, *y;
    int n;
} subject;

/* Between PyTorch's order and the device's: axis i on the device is PyTorch's axis order[i]. */
static void reorder(const us_tensor_spec *spec, const float *from, float *to, bool to_device) {
    size_t size = (size_t)us_tensor_spec_size(spec);
    for (size_t place = 0; place < size; place++) {
        int index[4] = {0};
        size_t rest = place;
        for (int i = spec->rank - 1; i >= 0; i--) {
            size_t length = (size_t)spec->dims[spec->order[i]];
            index[spec->order[i]] = (int)(rest % length);
            rest /= length;
        }
        size_t torch = 0;
        for (int axis = 0; axis < spec->rank; axis++)
            torch = torch * (size_t)spec->dims[axis] + (size_t)index[axis];
        if (to_device)
            to[place] = from[torch];
        else
            to[torch] = from[place];
    }
}

static void read_spec(subject *s) {
    unseen_error error;
    s->json = cJSON_CreateArray();
    cJSON_AddItemToArray(s->json,
                         cJSON_Duplicate(cJSON_GetObjectItem(s->c->attributes, "layer"), true));
    us_json layers = {.value = s->json, .file = "layers.safetensors"};
    TEST_OK(
        us_network_spec_read(&layers, "golden", golden_shape(s->c, "input"), &s->network, &error));
    s->spec = &s->network.layers[0];
}

static void create_tensors(subject *s) {
    for (int t = 0; t < s->spec->tensor_count; t++) {
        const us_tensor_spec *tensor = &s->spec->tensors[t];
        size_t size = (size_t)us_tensor_spec_size(tensor);
        float *values = golden_floats(s->c, tensor->name, size);
        float *ordered = malloc(size * sizeof *ordered);
        assert_non_null(ordered);
        reorder(tensor, values, ordered, true);
        s->tensors[t] = golden_buffer(s->device, ordered, size);
        for (size_t i = 0; i < size; i++)
            ordered[i] = 77; /* a gradient that must be replaced */
        if (tensor->trainable) s->gradients[t] = golden_buffer(s->device, ordered, size);
        free(ordered);
        free(values);
    }
}

/* False: the layer does not compute activations on its output, so there is nothing to compare. */
static bool set_up(subject *s, const golden_case *c) {
    unseen_error error;
    memset(s, 0, sizeof *s);
    s->c = c;
    s->device = c->golden->device;
    read_spec(s);
    s->n = (int)golden_number(c, "batch");
    s->plan = (us_layer_plan){
        .device = s->device,
        .attributes = s->spec->attributes,
        .in = s->spec->in,
        .out = s->spec->out,
        .batch = us_device_pad(&s->device->facts, s->n),
        .activation = golden_activation(c, "activation"),
        .input_activation = golden_activation(c, "input_activation"),
    };
    const us_layer_type *type = s->spec->type;
    if (s->plan.activation.kind != US_ACTIVATION_NONE && !type->folds_activation) return false;
    TEST_OK(type->create(&s->plan, &s->layer, &error));
    create_tensors(s);
    size_t saved = type->saved_floats
                       ? type->saved_floats(s->spec->attributes, s->spec->in, s->plan.batch)
                       : 0;
    if (saved) s->saved = golden_buffer(s->device, NULL, saved);
    float *x = golden_floats(c, "x", (size_t)s->n * us_shape_size(s->spec->in));
    s->x = golden_batch(s->device, x, s->spec->in, s->n, s->plan.batch, 0.75f);
    s->y = golden_buffer(s->device, NULL, us_shape_size(s->spec->out) * (size_t)s->plan.batch);
    free(x);
    return true;
}

static void tear_down(subject *s) {
    if (s->layer) s->spec->type->destroy(s->layer);
    for (int t = 0; t < US_LAYER_MAX_TENSORS; t++) {
        us_buffer_destroy(s->tensors[t]);
        us_buffer_destroy(s->gradients[t]);
    }
    us_buffer_destroy(s->saved);
    us_buffer_destroy(s->x);
    us_buffer_destroy(s->y);
    us_network_spec_release(&s->network);
    cJSON_Delete(s->json);
}

/* Compares tensors (or gradients) named PREFIX + the tensor's name, times factor, where the golden
 * file has them. */
static void compare_tensors(subject *s, us_buffer *const *buffers, const char *prefix,
                            float factor) {
    for (int t = 0; t < s->spec->tensor_count; t++) {
        const us_tensor_spec *tensor = &s->spec->tensors[t];
        char name[64];
        snprintf(name, sizeof name, "%s%s", prefix, tensor->name);
        if (!buffers[t] || !golden_has(s->c, name)) continue;
        size_t size = (size_t)us_tensor_spec_size(tensor);
        float *expected = golden_floats(s->c, name, size), *ordered = golden_read(buffers[t], size);
        float *value = malloc(size * sizeof *value);
        assert_non_null(value);
        reorder(tensor, ordered, value, false);
        for (size_t i = 0; i < size; i++)
            expected[i] *= factor;
        golden_compare(s->c, name, value, expected, size, GOLDEN_TOLERANCE);
        free(value);
        free(ordered);
        free(expected);
    }
}

static void compare_batch(subject *s, us_buffer *buffer, us_shape shape, const char *name,
                          bool zero_padding) {
    size_t size = (size_t)s->n * us_shape_size(shape);
    float *expected = golden_floats(s->c, name, size);
    float *value = golden_read_batch(buffer, shape, s->n, s->plan.batch, zero_padding);
    golden_compare(s->c, name, value, expected, size, GOLDEN_TOLERANCE);
    free(value);
    free(expected);
}

static void check_forward(subject *s) {
    unseen_error error;
    us_layer_forward forward = {
        .x = s->x,
        .y = s->y,
        .tensors = s->tensors,
        .saved = s->saved,
        .n = s->n,
        .training = golden_flag(s->c, "training", true),
    };
    TEST_OK(s->spec->type->forward(s->layer, &forward, &error));
    compare_batch(s, s->y, s->spec->out, "y", false);
    compare_tensors(s, s->tensors, "after_", 1);
}

/* Three times: everything; gradients added to those there, without dx; dx alone. */
static void check_backward(subject *s) {
    unseen_error error;
    us_shape in = s->spec->in, out = s->spec->out;
    float *dy = golden_floats(s->c, "dy", (size_t)s->n * us_shape_size(out));
    us_buffer *gradient = golden_batch(s->device, dy, out, s->n, s->plan.batch, 0);
    us_buffer *dx = golden_buffer(s->device, NULL, us_shape_size(in) * (size_t)s->plan.batch);
    us_layer_backward backward = {
        .x = s->x,
        .y = s->y,
        .dy = gradient,
        .dx = dx,
        .tensors = s->tensors,
        .gradients = s->gradients,
        .saved = s->saved,
        .n = s->n,
    };
    TEST_OK(s->spec->type->backward(s->layer, &backward, &error));
    compare_batch(s, dx, in, "dx", true);
    compare_tensors(s, s->gradients, "d", 1);

    backward.dx = NULL;
    backward.accumulate = true;
    TEST_OK(s->spec->type->backward(s->layer, &backward, &error));
    compare_tensors(s, s->gradients, "d", 2);

    TEST_OK(us_buffer_zero(dx, &error));
    backward.dx = dx;
    backward.gradients = NULL;
    TEST_OK(s->spec->type->backward(s->layer, &backward, &error));
    compare_batch(s, dx, in, "dx", true);
    us_buffer_destroy(dx);
    us_buffer_destroy(gradient);
    free(dy);
}

static void agrees_with_pytorch(void **state) {
    subject s;
    bool runs = set_up(&s, *state);
    if (runs) {
        check_forward(&s);
        if (golden_has(s.c, "dy")) check_backward(&s);
    }
    tear_down(&s);
    if (!runs) skip();
}

int main(void) {
    golden g;
    golden_open(&g, "layers", true);
    int result = golden_run(&g, "layers", agrees_with_pytorch);
    golden_close(&g);
    return result;
}
