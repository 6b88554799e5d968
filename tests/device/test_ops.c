/* SPDX-License-Identifier: MIT */
/* Every operator against its host reference, and every reference's backward against finite
 * differences of its forward. */
#include "test_device.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/random.h"
#include "ops/image_batch.h"
#include "ops/optimizer.h"
#include "ops/pixel_score.h"
#include "selftest/reference.h"

/* ---- the self-test ---- */

static int count_cases(const unseen_event *event, void *user) {
    int *seen = user;
    assert_int_equal(event->kind, UNSEEN_EVENT_PROGRESS);
    assert_int_equal(event->done, *seen);
    assert_true(event->done <= event->total);
    ++*seen;
    return 0;
}

static void every_operator_agrees_with_its_reference(void **state) {
    (void)state;
    char *json = NULL;
    int seen = 0;
    unseen_error error = {0};
    const unseen_events events = {count_cases, &seen};
    unseen_status status =
        unseen_selftest(getenv("UNSEEN_DEVICE"), NULL, 0, &events, &json, &error);
    if (!json) fail_msg("%s", error.message);
    cJSON *root = cJSON_Parse(json);
    assert_non_null(root);
    const cJSON *results = cJSON_GetObjectItem(root, "results"), *result;
    cJSON_ArrayForEach(result, results) {
        if (cJSON_IsTrue(cJSON_GetObjectItem(result, "passed"))) continue;
        char *text = cJSON_PrintUnformatted(result);
        print_error("%s\n", text);
        free(text);
    }
    assert_int_equal(status, UNSEEN_OK);
    assert_int_equal(cJSON_GetObjectItem(root, "failed")->valueint, 0);
    assert_int_equal(cJSON_GetObjectItem(root, "cases")->valueint, cJSON_GetArraySize(results));
    assert_true(cJSON_GetArraySize(results) > 200);
    assert_true(seen > 50);
    cJSON_Delete(root);
    unseen_string_free(json);
}

static int stop_at_the_third(const unseen_event *event, void *user) {
    (void)user;
    return event->done == 2;
}

static void the_self_test_can_be_stopped(void **state) {
    (void)state;
    char *json = NULL;
    unseen_error error = {0};
    const unseen_events events = {stop_at_the_third, NULL};
    assert_int_equal(unseen_selftest(getenv("UNSEEN_DEVICE"), NULL, 0, &events, &json, &error),
                     UNSEEN_INTERRUPTED);
    unseen_string_free(json);
}

/* ---- references against finite differences ---- */

typedef struct difference_case {
    const us_layer_type *type;
    const char *keys;
    us_shape in;
    int n;
    us_activation input_activation;
} difference_case;

static const difference_case difference_cases[] = {
    {&us_convolution_layer,
     "{\"channels\": 3, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {2, 5, 6},
     3,
     {US_ACTIVATION_TANH, 0}},
    {&us_convolution_layer,
     "{\"channels\": 2, \"kernel\": [1, 3], \"stride\": [2, 1], \"padding\": [0, 1]}",
     {1, 3, 4},
     1,
     {US_ACTIVATION_NONE, 0}},
    {&us_convolution_transpose_layer,
     "{\"channels\": 2, \"kernel\": 4, \"stride\": 2, \"padding\": 1}",
     {3, 3, 2},
     2,
     {US_ACTIVATION_SIGMOID, 0}},
    {&us_convolution_transpose_layer,
     "{\"channels\": 3, \"kernel\": 3, \"stride\": 2, \"padding\": 1, \"output_padding\": 1}",
     {2, 2, 3},
     1,
     {US_ACTIVATION_NONE, 0}},
    {&us_dense_layer, "{\"units\": 4}", {5, 1, 1}, 3, {US_ACTIVATION_LEAKY_RELU, 0.2f}},
    {&us_dense_layer, "{\"units\": 1, \"bias\": false}", {3, 1, 1}, 1, {US_ACTIVATION_NONE, 0}},
    {&us_batchnorm_layer, "{}", {3, 2, 2}, 3, {US_ACTIVATION_TANH, 0}},
    {&us_batchnorm_layer, "{\"affine\": false}", {2, 1, 1}, 4, {US_ACTIVATION_NONE, 0}},
};

typedef struct difference_test {
    us_reference call;
    us_tensor_spec specs[US_LAYER_MAX_TENSORS];
    size_t sizes[US_LAYER_MAX_TENSORS], in, out;
    int count;
    double *z; /* x before its activation */
    double *tensors[US_LAYER_MAX_TENSORS], *gradients[US_LAYER_MAX_TENSORS];
} difference_test;

static double *numbers(size_t count, uint32_t stream) {
    double *values = calloc(count, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)us_random_normal(1, US_STREAM_TEST, stream, i);
    return values;
}

/* The sum of dy y, whose gradient backward is to give. */
static double objective(difference_test *t, const us_reference_layer *layer) {
    for (size_t i = 0; i < t->in; i++)
        t->call.x[i] = us_activate(t->call.input_activation, t->z[i]);
    layer->forward(&t->call);
    double sum = 0;
    for (size_t i = 0; i < t->out; i++)
        sum += t->call.dy[i] * t->call.y[i];
    return sum;
}

static void check_gradient(difference_test *t, const us_reference_layer *layer, double *values,
                           const double *gradient, size_t count, const char *what) {
    const double step = 1e-5;
    for (size_t i = 0; i < count; i++) {
        const double kept = values[i];
        values[i] = kept + step;
        const double above = objective(t, layer);
        values[i] = kept - step;
        const double below = objective(t, layer);
        values[i] = kept;
        const double expected = (above - below) / (2 * step);
        if (fabs(expected - gradient[i]) > 1e-6 * (1 + fabs(expected)))
            fail_msg("%s of %s at %zu: %.9g, by differences %.9g", what, layer->type->name, i,
                     gradient[i], expected);
    }
}

static void check_case(const difference_case *wanted) {
    unseen_error error;
    us_json root;
    TEST_OK(us_json_parse(wanted->keys, strlen(wanted->keys), "test", &root, &error));
    void *attributes = calloc(1, wanted->type->attributes_size + 1);
    assert_non_null(attributes);
    TEST_OK(us_json_read(&root, wanted->type->keys, attributes, &error));
    cJSON_Delete(root.value);
    const us_reference_layer *layer = us_reference_find(wanted->type);
    assert_non_null(layer);

    difference_test t = {0};
    us_shape out;
    TEST_OK(wanted->type->infer(attributes, wanted->in, &out, &error));
    t.in = us_shape_size(wanted->in) * (size_t)wanted->n;
    t.out = us_shape_size(out) * (size_t)wanted->n;
    t.count = wanted->type->tensors(attributes, wanted->in, t.specs);
    t.z = numbers(t.in, 100);
    for (int i = 0; i < t.count; i++) {
        t.sizes[i] = 1;
        for (int axis = 0; axis < t.specs[i].rank; axis++)
            t.sizes[i] *= (size_t)t.specs[i].dims[axis];
        t.tensors[i] = numbers(t.sizes[i], (uint32_t)(101 + i));
        t.gradients[i] = numbers(t.sizes[i], 0);
    }
    t.call = (us_reference){
        .attributes = attributes,
        .in = wanted->in,
        .out = out,
        .n = wanted->n,
        .input_activation = wanted->input_activation,
        .training = true,
        .x = numbers(t.in, 0),
        .y = numbers(t.out, 0),
        .tensors = t.tensors,
        .dy = numbers(t.out, 110),
        .dx = numbers(t.in, 0),
        .gradients = t.gradients,
    };
    objective(&t, layer);
    layer->backward(&t.call);
    check_gradient(&t, layer, t.z, t.call.dx, t.in, "input gradient");
    for (int i = 0; i < t.count; i++)
        if (t.specs[i].trainable)
            check_gradient(&t, layer, t.tensors[i], t.gradients[i], t.sizes[i], t.specs[i].name);

    for (int i = 0; i < t.count; i++) {
        free(t.tensors[i]);
        free(t.gradients[i]);
    }
    double *const all[] = {t.z, t.call.x, t.call.y, t.call.dy, t.call.dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(attributes);
}

static void layers_backward_is_the_derivative_of_forward(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof difference_cases / sizeof *difference_cases; i++)
        check_case(&difference_cases[i]);
}

static void slopes_of_activations_are_their_derivatives(void **state) {
    (void)state;
    for (int kind = US_ACTIVATION_NONE; kind <= US_ACTIVATION_SIGMOID; kind++)
        for (double z = -3.05; z < 3; z += 0.1) {
            const us_activation activation = {(us_activation_kind)kind, 0.2f};
            const double expected =
                (us_activate(activation, z + 1e-6) - us_activate(activation, z - 1e-6)) / 2e-6;
            const double slope = us_activation_slope(activation, us_activate(activation, z));
            assert_true(fabs(slope - expected) < 1e-7);
        }
}

static double loss_at(us_loss_kind kind, us_activation activation, double *z, double *y,
                      const double *target, double *dy) {
    for (int i = 0; i < 7; i++)
        y[i] = us_activate(activation, z[i]);
    return us_reference_loss(kind, activation, 7, y, target, 0.3, dy);
}

static void losses_gradient_is_their_derivative(void **state) {
    (void)state;
    const struct {
        us_loss_kind kind;
        us_activation_kind activation;
    } cases[] = {{US_LOSS_MEAN_SQUARED_ERROR, US_ACTIVATION_TANH},
                 {US_LOSS_BINARY_CROSS_ENTROPY, US_ACTIVATION_SIGMOID},
                 {US_LOSS_BINARY_CROSS_ENTROPY_LOGITS, US_ACTIVATION_NONE}};
    for (size_t c = 0; c < 6; c++) {
        const us_loss_kind kind = cases[c / 2].kind;
        const us_activation activation = {cases[c / 2].activation, 0};
        double *z = numbers(7, 120), *target = numbers(7, 121), y[7], dy[7], unused[7];
        for (int i = 0; i < 7; i++)
            target[i] = target[i] > 0;
        const double *given = c % 2 ? target : NULL;
        loss_at(kind, activation, z, y, given, dy);
        for (int i = 0; i < 7; i++) {
            const double kept = z[i];
            z[i] = kept + 1e-5;
            const double above = loss_at(kind, activation, z, y, given, unused);
            z[i] = kept - 1e-5;
            const double below = loss_at(kind, activation, z, y, given, unused);
            z[i] = kept;
            assert_true(fabs(dy[i] - (above - below) / 2e-5) < 1e-8);
        }
        free(z);
        free(target);
    }
}

/* ---- wrong input ---- */

static void wrong_shapes_say_what_to_do(void **state) {
    (void)state;
    unseen_error error;
    us_shape out;
    const int three[2] = {3, 1}; /* as us_dense_attributes: units, bias */
    assert_int_equal(us_dense_layer.infer(three, (us_shape){3, 4, 4}, &out, &error),
                     UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "flatten"));
    const int shape[3] = {3, 2, 2};
    TEST_OK(us_reshape_layer.infer(shape, (us_shape){12, 1, 1}, &out, &error));
    assert_int_equal(out.width, 2);
    assert_int_equal(us_reshape_layer.infer(shape, (us_shape){13, 1, 1}, &out, &error),
                     UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "13"));
    TEST_OK(us_flatten_layer.infer(NULL, (us_shape){3, 5, 7}, &out, &error));
    assert_int_equal(out.channels, 105);
}

static void wrong_image_sources_are_refused(void **state) {
    us_device *device = *state;
    static const unsigned char pixels[4 * 2 * 2 * 3];
    const us_image_source good = {
        .pixels = pixels, .count = 4, .height = 2, .width = 2, .channels = 3, .white = 255};
    const us_shape shape = {3, 2, 2};
    const int batch = us_device_pad(&device->facts, 4);
    us_image_store *store = NULL;
    us_image_loader *loader = NULL;
    unseen_error error;
    us_image_source source = good;
    source.count = 0;
    assert_int_equal(us_image_store_create(device, &source, &store, &error), UNSEEN_BAD_INPUT);
    source = good;
    source.white = 0;
    assert_int_equal(us_image_store_create(device, &source, &store, &error), UNSEEN_BAD_INPUT);
    assert_null(store);
    TEST_OK(us_image_store_create(device, &good, &store, &error));
    assert_int_equal(us_image_loader_create(store, NULL, 0, shape, batch, &loader, &error),
                     UNSEEN_BAD_INPUT);
    assert_int_equal(us_image_loader_create(store, NULL, 5, shape, batch, &loader, &error),
                     UNSEEN_BAD_INPUT);
    const uint32_t selection[] = {0, 4};
    assert_int_equal(us_image_loader_create(store, selection, 2, shape, batch, &loader, &error),
                     UNSEEN_BAD_INPUT);
    const us_shape two = {2, 2, 2};
    assert_int_equal(us_image_loader_create(store, NULL, 4, two, batch, &loader, &error),
                     UNSEEN_BAD_INPUT);
    assert_null(loader);

    TEST_OK(us_image_loader_create(store, NULL, 4, shape, batch, &loader, &error));
    us_buffer *out = NULL;
    TEST_OK(us_buffer_create(device, sizeof(float) * 12 * (size_t)batch, "test", &out, &error));
    us_image_batch_args args = {.out = out, .first = 2, .n = 3};
    assert_int_equal(us_image_batch_load(loader, &args, &error), UNSEEN_FAILURE);
    args.n = 2;
    TEST_OK(us_image_batch_load(loader, &args, &error));
    us_buffer_destroy(out);
    us_image_loader_destroy(loader);
    us_image_store_destroy(store);
}

static void wrong_sizes_are_refused(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_optimizer *optimizer = NULL;
    assert_int_equal(us_optimizer_create(device, NULL, US_OPTIMIZER_ADAM, 0, &optimizer, &error),
                     UNSEEN_BAD_INPUT);
    assert_int_equal(
        us_optimizer_create(device, NULL, US_OPTIMIZER_ADAM, (size_t)INT32_MAX, &optimizer, &error),
        UNSEEN_BAD_INPUT);
    assert_null(optimizer);
    us_pixel_score *score = NULL;
    assert_int_equal(us_pixel_score_create(device, US_PIXEL_SCORE_TOP_K, 0, (us_shape){3, 2, 2},
                                           us_device_pad(&device->facts, 1), &score, &error),
                     UNSEEN_BAD_INPUT);
    assert_null(score);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_agrees_with_its_reference),
        cmocka_unit_test(the_self_test_can_be_stopped),
        cmocka_unit_test(layers_backward_is_the_derivative_of_forward),
        cmocka_unit_test(slopes_of_activations_are_their_derivatives),
        cmocka_unit_test(losses_gradient_is_their_derivative),
        cmocka_unit_test(wrong_shapes_say_what_to_do),
        cmocka_unit_test(wrong_image_sources_are_refused),
        cmocka_unit_test(wrong_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
