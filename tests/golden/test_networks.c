/* SPDX-License-Identifier: MIT */
/* Whole networks, forward and backward, against PyTorch: how stages are joined, above all where
 * outputs are read more than once. What is in a case: tools/pytorch/golden_networks.py. */
#include "golden.h"

#include <string.h>
#include <unistd.h>

#include "network/network.h"

/* A case's network on the device. */
typedef struct subject {
    const golden_case *c;
    us_device *device;
    cJSON *layers;
    us_network_spec spec;
    us_network *network;
    us_tape *tape, *scoring; /* the latter keeps nothing for a pass backward */
    us_buffer *x, *dy, *dx;
    us_activation input_activation;
    int n, batch;
} subject;

/* The network is called CASE/net, so that its tensors have the names they have in the golden file.
 */
static void read_spec(subject *s) {
    unseen_error error;
    char name[US_NETWORK_NAME];
    snprintf(name, sizeof name, "%s/net", s->c->name);
    s->layers = cJSON_Duplicate(cJSON_GetObjectItem(s->c->attributes, "layers"), true);
    us_json layers = {.value = s->layers, .file = "networks.safetensors"};
    TEST_OK(us_network_spec_read(&layers, name, golden_shape(s->c, "input"), &s->spec, &error));
}

static us_buffer *read_batch(subject *s, const char *name, us_shape shape, float padding) {
    float *values = golden_floats(s->c, name, (size_t)s->n * us_shape_size(shape));
    us_buffer *buffer = golden_batch(s->device, values, shape, s->n, s->batch, padding);
    free(values);
    return buffer;
}

static void set_up(subject *s, const golden_case *c) {
    unseen_error error;
    memset(s, 0, sizeof *s);
    s->c = c;
    s->device = c->golden->device;
    s->n = (int)golden_number(c, "batch");
    s->batch = us_device_pad(&s->device->facts, s->n);
    s->input_activation = golden_activation(c, "input_activation");
    read_spec(s);
    us_network_options options = {.batch = s->n,
                                  .input_activation = s->input_activation,
                                  .logits = golden_flag(c, "logits", false),
                                  .training = true};
    TEST_OK(us_network_create(s->device, &s->spec, &options, &s->network, &error));
    TEST_OK(us_network_load(s->network, &c->golden->file, &error));
    TEST_OK(us_tape_create(s->network, true, &s->tape, &error));
    TEST_OK(us_tape_create(s->network, false, &s->scoring, &error));
    s->x = read_batch(s, "x", s->spec.in, 0.75f);
    s->dy = read_batch(s, "dy", s->spec.out, 0);
    s->dx = golden_buffer(s->device, NULL, us_shape_size(s->spec.in) * (size_t)s->batch);
}

static void tear_down(subject *s) {
    us_buffer_destroy(s->x);
    us_buffer_destroy(s->dy);
    us_buffer_destroy(s->dx);
    us_tape_destroy(s->tape);
    us_tape_destroy(s->scoring);
    us_network_destroy(s->network);
    us_network_spec_release(&s->spec);
    cJSON_Delete(s->layers);
}

/* ---- comparing ---- */

static void compare_batch(subject *s, us_buffer *buffer, us_shape shape, const char *name,
                          bool zero_padding) {
    size_t size = (size_t)s->n * us_shape_size(shape);
    float *expected = golden_floats(s->c, name, size);
    float *value = golden_read_batch(buffer, shape, s->n, s->batch, zero_padding);
    golden_compare(s->c, name, value, expected, size, GOLDEN_TOLERANCE);
    free(value);
    free(expected);
}

/* The network's tensors, or others like them, by way of a file. */
static void save_and_open(subject *s, us_buffer *like, us_safetensors *file) {
    unseen_error error;
    us_safetensors_builder builder;
    char path[] = "/tmp/unseen-golden-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    TEST_OK(us_safetensors_begin(&builder, &error));
    if (like)
        TEST_OK(us_network_save_like(s->network, like, "", &builder, &error));
    else
        TEST_OK(us_network_save(s->network, &builder, &error));
    TEST_OK(us_safetensors_write(&builder, path, &error));
    us_safetensors_end(&builder);
    TEST_OK(us_safetensors_open(path, file, &error));
    unlink(path); /* it stays mapped */
}

/* Compares tensors NAME with `factor` times the golden PREFIX.NAME; gives how many there were. */
static int compare_tensors(subject *s, us_buffer *like, const char *prefix, float factor) {
    us_safetensors file;
    int compared = 0;
    save_and_open(s, like, &file);
    for (int i = 0; i < file.count; i++) {
        const us_safetensors_tensor *tensor = &file.tensors[i];
        char name[256];
        snprintf(name, sizeof name, "%s.%s", prefix, tensor->name + strlen(s->c->name) + 1);
        if (!golden_has(s->c, name)) continue;
        size_t size = tensor->bytes / sizeof(float);
        float *expected = golden_floats(s->c, name, size), *value = malloc(tensor->bytes);
        assert_non_null(value);
        memcpy(value, tensor->data, tensor->bytes);
        for (size_t j = 0; j < size; j++)
            expected[j] *= factor;
        golden_compare(s->c, name, value, expected, size, GOLDEN_TOLERANCE);
        free(value);
        free(expected);
        compared++;
    }
    us_safetensors_close(&file);
    return compared;
}

static int golden_count(const subject *s, const char *prefix) {
    char start[160];
    int count = 0, length = snprintf(start, sizeof start, "%s/%s.", s->c->name, prefix);
    for (int i = 0; i < s->c->golden->file.count; i++)
        count += strncmp(s->c->golden->file.tensors[i].name, start, (size_t)length) == 0;
    return count;
}

static void compare_gradients(subject *s, float factor) {
    unseen_error error;
    int compared = 0;
    TEST_OK(us_network_sum_gradients(s->network, &error));
    us_buffer *gradients = us_network_gradients(s->network);
    if (gradients) compared = compare_tensors(s, gradients, "gradients", factor);
    assert_int_equal(compared, golden_count(s, "gradients"));
}

/* ---- the passes ---- */

static void check_forward(subject *s) {
    unseen_error error;
    TEST_OK(us_network_forward(s->network, s->tape, s->x, s->n, US_TRAINING_MOVES, &error));
    compare_batch(s, us_tape_output(s->tape), s->spec.out, "y", false);
    if (us_network_floats(s->network))
        assert_int_equal(compare_tensors(s, NULL, "after", 1), golden_count(s, "after"));
}

/* Three times: everything; gradients added to those there, without dx; dx alone. */
static void check_backward(subject *s) {
    unseen_error error;
    us_network_backward_args args = {.dy = s->dy, .dx = s->dx, .n = s->n, .parameters = true};
    TEST_OK(us_network_backward(s->network, s->tape, &args, &error));
    compare_batch(s, s->dx, s->spec.in, "dx", true);
    compare_gradients(s, 1);

    args.dx = NULL;
    args.accumulate = true;
    TEST_OK(us_network_backward(s->network, s->tape, &args, &error));
    compare_gradients(s, 2);

    TEST_OK(us_buffer_zero(s->dx, &error));
    args.dx = s->dx;
    args.parameters = false;
    TEST_OK(us_network_backward(s->network, s->tape, &args, &error));
    compare_batch(s, s->dx, s->spec.in, "dx", true);
    compare_batch(s, s->dy, s->spec.out, "dy", true); /* it is the caller's */
    compare_gradients(s, 2);
}

static void score(subject *s) {
    unseen_error error;
    TEST_OK(us_network_forward(s->network, s->scoring, s->x, s->n, US_TRAINING_NONE, &error));
}

/* What scoring keeps from here must not outlive these parameters. */
static void score_with_others(subject *s) {
    unseen_error error;
    TEST_OK(us_network_initialize(s->network, 9, &error));
    score(s);
    TEST_OK(us_network_load(s->network, &s->c->golden->file, &error));
}

/* The second pass takes what the first one kept. */
static void check_scoring(subject *s) {
    for (int pass = 0; pass < 2; pass++) {
        score(s);
        compare_batch(s, us_tape_output(s->scoring), s->spec.out, "y_scoring", false);
    }
    compare_batch(s, s->x, s->spec.in, "x", false);
}

static void agrees_with_pytorch(void **state) {
    subject s;
    set_up(&s, *state);
    score_with_others(&s);
    check_forward(&s);
    check_backward(&s);
    check_scoring(&s);
    tear_down(&s);
}

int main(void) {
    golden g;
    golden_open(&g, "networks", true);
    int result = golden_run(&g, "networks", agrees_with_pytorch);
    golden_close(&g);
    return result;
}
