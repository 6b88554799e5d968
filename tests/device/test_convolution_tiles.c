/* Every way of computing a convolution gives the same results: the tiles that a tuner may choose,
 * against the reference on the host. The default tiles are the self-test's. */
#include "test_device.h"
#include "test_operands.h"

#include <math.h>

#include "ops/convolution.h"
#include "ops/gather.h"
#include "selftest/reference.h"
#include "ops/weight_gradient.h"
#include "ops/winograd.h"
#include "ops/winograd_gradient.h"

enum { IMAGES = 37 };

/* A convolution's shapes; large is its input. */
typedef struct geometry {
    us_convolution_attributes attributes;
    us_shape large, small;
} geometry;

/* Not a round number anywhere: tiles overlap, borders are cut. */
static const geometry uneven = {
    {.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
    {7, 9, 8},
    {13, 5, 3}};

static size_t count_weights(const geometry *g) {
    return (size_t)g->large.channels * (size_t)g->small.channels * (size_t)g->attributes.kernel[0] *
           (size_t)g->attributes.kernel[1];
}

typedef struct operands {
    const geometry *geometry;
    us_device *device;
    int batch;
    double *large, *small, *weights, *bias; /* on the host, IMAGES wide */
    us_buffer *large_on, *small_on, *weights_on, *bias_on;
} operands;

/* Rows of `images` values, padded with zeros to `batch`. */
static us_buffer *upload(us_device *device, const double *values, size_t rows, int images,
                         int batch) {
    unseen_error error;
    us_buffer *made;
    size_t bytes = rows * (size_t)batch * sizeof(float);
    float *padded = room(rows * (size_t)batch, sizeof *padded);
    for (size_t row = 0; row < rows; row++)
        for (int i = 0; i < images; i++)
            padded[row * (size_t)batch + (size_t)i] =
                (float)values[row * (size_t)images + (size_t)i];
    TEST_OK(us_buffer_create(device, bytes, "operand", &made, &error));
    TEST_OK(us_buffer_write(made, 0, padded, bytes, &error));
    free(padded);
    return made;
}

static void expect(us_buffer *buffer, const double *values, size_t rows, int images, int batch,
                   const char *what) {
    unseen_error error;
    size_t bytes = rows * (size_t)batch * sizeof(float);
    float *got = room(rows * (size_t)batch, sizeof *got);
    TEST_OK(us_buffer_read(buffer, 0, got, bytes, &error));
    double scale = 0;
    for (size_t i = 0; i < rows * (size_t)images; i++)
        scale = fmax(scale, fabs(values[i]));
    for (size_t row = 0; row < rows; row++)
        for (int i = 0; i < images; i++) {
            double want = values[row * (size_t)images + (size_t)i];
            double have = got[row * (size_t)batch + (size_t)i];
            if (!(fabs(have - want) <= 1e-5 * scale))
                fail_msg("%s: %g instead of %g in row %zu", what, have, want, row);
        }
    free(got);
}

static operands open_operands(us_device *device, const geometry *g) {
    operands o = {.geometry = g, .device = device, .batch = us_device_pad(device, IMAGES)};
    size_t outputs = (size_t)g->small.channels;
    o.large = numbers(us_shape_size(g->large) * IMAGES, 1);
    o.small = numbers(us_shape_size(g->small) * IMAGES, 2);
    o.weights = numbers(count_weights(g), 3);
    o.bias = numbers(outputs, 4);
    o.large_on = upload(device, o.large, us_shape_size(g->large), IMAGES, o.batch);
    o.small_on = upload(device, o.small, us_shape_size(g->small), IMAGES, o.batch);
    o.weights_on = upload(device, o.weights, count_weights(g), 1, 1);
    o.bias_on = upload(device, o.bias, outputs, 1, 1);
    return o;
}

static void close_operands(operands *o) {
    double *host[] = {o->large, o->small, o->weights, o->bias};
    us_buffer *on[] = {o->large_on, o->small_on, o->weights_on, o->bias_on};
    for (int i = 0; i < 4; i++) {
        free(host[i]);
        us_buffer_destroy(on[i]);
    }
}

static us_gather_tiles fitted(const us_device *device, int batch, us_gather_tiles tiles) {
    int vectors = us_device_vectors(device, batch);
    if (tiles.vectors > vectors) tiles.vectors = vectors;
    if (device->execution == US_EXECUTION_LANES) tiles.staged = 0;
    return tiles;
}

/* channels, vectors, staged, run, outputs */
static const us_gather_tiles gather_tiles[] = {
    {1, 1, 0, 1, 0}, {4, 2, 0, 1, 0}, {5, 2, 0, 2, 0}, {7, 1, 0, 100, 0}, {4, 2, 7, 1, 0},
    {2, 1, 3, 1, 0}, {3, 2, 2, 2, 0}, {7, 1, 1, 3, 0}, {6, 2, 100, 1, 0},
};

/* One gather with these tiles, against what it should give. */
static void check_gather(const operands *o, const us_gather_spec *spec,
                         const us_gather_tiles *tiles, const double *want, size_t number) {
    unseen_error error;
    us_gather *gather;
    us_buffer *x = spec->up ? o->small_on : o->large_on;
    us_buffer *y = upload(o->device, want, us_shape_size(spec->out), 0, o->batch);
    TEST_OK(us_gather_create(spec, tiles, &gather, &error));
    us_gather_args args = {.x = x,
                           .weights = o->weights_on,
                           .bias = spec->bias ? o->bias_on : NULL,
                           .input = spec->up ? o->large_on : NULL,
                           .y = y};
    TEST_OK(us_gather_run(gather, &args, &error));
    char what[64];
    snprintf(what, sizeof what, "%s with tiles %zu", spec->up ? "up" : "down", number);
    expect(y, want, us_shape_size(spec->out), IMAGES, o->batch, what);
    us_gather_destroy(gather);
    us_buffer_destroy(y);
}

/* The convolution and the gradient of its input by each of the tiles that are possible. */
static size_t check_gathers(us_device *device, const geometry *g, const us_gather_tiles *all,
                            size_t count) {
    operands o = open_operands(device, g);
    const us_convolution_attributes *a = &g->attributes;
    double *forward = room(us_shape_size(g->small) * IMAGES, sizeof *forward);
    double *dx = room(us_shape_size(g->large) * IMAGES, sizeof *dx);
    us_reference call = {
        .attributes = a,
        .in = g->large,
        .out = g->small,
        .n = IMAGES,
        .activation = {US_ACTIVATION_RELU, 0},
        .input_activation = {US_ACTIVATION_LEAKY_RELU, 0.25f},
        .x = o.large,
        .y = forward,
        .dy = o.small,
        .dx = dx,
        .tensors = (double *[]){o.weights, o.bias},
    };
    us_reference_convolution_forward(&call);
    us_reference_convolution_backward(&call);
    size_t weights = (size_t)a->kernel[0] * (size_t)a->kernel[1] * (size_t)a->channels, checked = 0;
    us_gather_spec down = {
        .device = device,
        .in = g->large,
        .out = g->small,
        .batch = o.batch,
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .in_stride = weights,
        .tap_stride = (size_t)a->channels,
        .out_stride = 1,
        .bias = true,
        .activation = call.activation,
    };
    us_gather_spec up = down;
    up.up = true;
    up.in = g->small;
    up.out = g->large;
    up.in_stride = 1;
    up.out_stride = weights;
    up.bias = false;
    up.activation.kind = US_ACTIVATION_NONE;
    up.input_activation = call.input_activation;
    for (size_t i = 0; i < count; i++) {
        us_gather_tiles tiles = fitted(device, o.batch, all[i]);
        if (tiles.outputs == 0 || us_winograd_fits(&down, &tiles)) {
            check_gather(&o, &down, &tiles, forward, i);
            checked++;
        }
        if (tiles.outputs == 0 || us_winograd_fits(&up, &tiles)) {
            check_gather(&o, &up, &tiles, dx, i);
            checked++;
        }
    }
    free(forward);
    free(dx);
    close_operands(&o);
    return checked;
}

static void gathers_agree(void **state) {
    size_t count = sizeof gather_tiles / sizeof *gather_tiles;
    assert_int_equal(check_gathers(*state, &uneven, gather_tiles, count), 2 * count);
}

/* The gradients of weights and bias, computed twice and added, by each of the tiles that are
 * possible. */
static size_t check_weight_gradients(us_device *device, const geometry *g,
                                     const us_weight_gradient_tiles *all, size_t count) {
    const us_convolution_attributes *a = &g->attributes;
    operands o = open_operands(device, g);
    unseen_error error;
    size_t weights = count_weights(g), outputs = (size_t)a->channels, checked = 0;
    double *twice = room(weights, sizeof *twice), *bias = room(outputs, sizeof *bias);
    us_reference call = {
        .attributes = a,
        .in = g->large,
        .out = g->small,
        .n = IMAGES,
        .x = o.large,
        .dy = o.small,
        .tensors = (double *[]){o.weights, o.bias},
        .gradients = (double *[]){twice, bias},
    };
    us_reference_convolution_backward(&call);
    for (size_t i = 0; i < weights; i++)
        twice[i] *= 2;
    for (size_t i = 0; i < outputs; i++)
        bias[i] *= 2;
    us_weight_gradient_spec spec = {
        .device = device,
        .large = g->large,
        .small = g->small,
        .batch = o.batch,
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .large_stride = (size_t)a->kernel[0] * (size_t)a->kernel[1] * outputs,
        .tap_stride = outputs,
        .small_stride = 1,
        .bias = true,
    };
    for (size_t i = 0; i < count; i++) {
        if (all[i].outputs && !us_winograd_gradient_fits(&spec, &all[i])) continue;
        us_weight_gradient *gradient;
        us_buffer *weights_on = upload(device, twice, weights, 0, 1);
        us_buffer *bias_on = upload(device, bias, outputs, 0, 1);
        TEST_OK(us_weight_gradient_create(&spec, &all[i], &gradient, &error));
        for (int pass = 0; pass < 2; pass++)
            TEST_OK(us_weight_gradient_run(gradient, o.large_on, o.small_on, weights_on, bias_on,
                                           pass == 1, &error));
        char what[64];
        snprintf(what, sizeof what, "weight gradient with tiles %zu", i);
        expect(weights_on, twice, weights, 1, 1, what);
        snprintf(what, sizeof what, "bias gradient with tiles %zu", i);
        expect(bias_on, bias, outputs, 1, 1, what);
        us_weight_gradient_destroy(gradient);
        us_buffer_destroy(weights_on);
        us_buffer_destroy(bias_on);
        checked++;
    }
    free(twice);
    free(bias);
    close_operands(&o);
    return checked;
}

static void weight_gradients_agree(void **state) {
    /* small, large, taps, splits */
    static const us_weight_gradient_tiles tiles[] = {
        {1, 1, 1, 1, 0, 0, 0, 0}, {6, 1, 4, 1, 0, 0, 0, 0}, {6, 1, 4, 5, 0, 0, 0, 0},
        {5, 2, 3, 2, 0, 0, 0, 0}, {4, 3, 1, 3, 0, 0, 0, 0}, {13, 1, 2, 4, 0, 0, 0, 0},
    };
    size_t count = sizeof tiles / sizeof *tiles;
    assert_int_equal(check_weight_gradients(*state, &uneven, tiles, count), count);
}

static void winograd_agrees(void **state) {
    us_device *device = *state;
    /* channels, vectors, staged, run, outputs */
    static const us_gather_tiles tiles[] = {{5, 1, 0, 1, 2}, {6, 2, 0, 2, 2}, {3, 1, 0, 2, 2},
                                            {4, 2, 0, 2, 3}, {7, 1, 0, 1, 4}, {1, 2, 0, 2, 4},
                                            {5, 2, 4, 2, 4}, {4, 1, 1, 1, 3}};
    static const geometry geometries[] = {
        {{.channels = 13, .kernel = {4, 4}, .stride = {2, 2}, .padding = {1, 1}, .bias = true},
         {7, 18, 11},
         {13, 9, 5}},
        {{.channels = 9, .kernel = {4, 4}, .stride = {2, 2}, .padding = {0, 0}, .bias = true},
         {8, 7, 13},
         {9, 2, 5}},
        {{.channels = 9, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true},
         {7, 7, 5},
         {9, 4, 3}},
        {{.channels = 8, .kernel = {5, 5}, .stride = {2, 2}, .padding = {2, 2}, .bias = true},
         {7, 9, 12},
         {8, 5, 6}},
        {{.channels = 8, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .bias = true},
         {7, 7, 5},
         {8, 7, 5}},
        {{.channels = 7, .kernel = {6, 6}, .stride = {3, 3}, .padding = {3, 3}, .bias = true},
         {7, 10, 7},
         {7, 4, 3}},
        {{.channels = 7, .kernel = {4, 4}, .stride = {2, 2}, .padding = {3, 3}, .bias = true},
         {7, 1, 1},
         {7, 2, 2}},
        /* More channels than an item takes, in tiles that overlap. */
        {{.channels = 336, .kernel = {4, 4}, .stride = {2, 2}, .padding = {1, 1}, .bias = true},
         {8, 5, 6},
         {336, 2, 3}},
    };
    /* small, large, taps, splits, outputs, item_small, item_large, vectors */
    static const us_weight_gradient_tiles gradient_tiles[] = {
        {1, 3, 0, 1, 2, 4, 6, 1}, {1, 7, 0, 3, 2, 6, 7, 2}, {1, 2, 0, 2, 3, 6, 4, 2},
        {1, 6, 0, 1, 4, 7, 6, 1}, {1, 5, 0, 2, 4, 6, 5, 2}, {1, 4, 0, 2, 4, 13, 3, 1},
        {2, 6, 0, 1, 4, 9, 6, 1}, {2, 4, 0, 1, 2, 13, 7, 2}};
    if (device->execution == US_EXECUTION_LANES) skip(); /* made for vectors */
    for (size_t g = 0; g < sizeof geometries / sizeof *geometries; g++) {
        size_t gathers = check_gathers(device, &geometries[g], tiles, sizeof tiles / sizeof *tiles);
        assert_true(gathers >= 4);
        size_t gradients = check_weight_gradients(device, &geometries[g], gradient_tiles,
                                                  sizeof gradient_tiles / sizeof *gradient_tiles);
        assert_true(gradients >= 2);
    }
}

/* The default of a layer wide enough to be staged on CPUs. */
static void wide_layers_agree(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_convolution_attributes wide = {
        .channels = 61, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true};
    us_shape in = {70, 4, 4}, out = {61, 2, 2};
    int batch = us_device_pad(device, IMAGES);
    size_t weight_count = (size_t)70 * 61 * 9;
    double *x = numbers(us_shape_size(in) * IMAGES, 5), *w = numbers(weight_count, 6);
    double *b = numbers(61, 7), *y = room(us_shape_size(out) * IMAGES, sizeof *y);
    us_reference call = {.attributes = &wide,
                         .in = in,
                         .out = out,
                         .n = IMAGES,
                         .x = x,
                         .y = y,
                         .tensors = (double *[]){w, b}};
    us_reference_convolution_forward(&call);
    us_layer_plan plan = {
        .device = device, .attributes = &wide, .in = in, .out = out, .batch = batch};
    void *layer;
    TEST_OK(us_convolution_layer.create(&plan, &layer, &error));
    us_buffer *on[] = {upload(device, x, us_shape_size(in), IMAGES, batch),
                       upload(device, y, us_shape_size(out), 0, batch),
                       upload(device, w, weight_count, 1, 1), upload(device, b, 61, 1, 1)};
    us_layer_forward args = {.x = on[0], .y = on[1], .tensors = on + 2, .n = IMAGES};
    TEST_OK(us_convolution_layer.forward(layer, &args, &error));
    expect(on[1], y, us_shape_size(out), IMAGES, batch, "a wide layer");
    us_convolution_layer.destroy(layer);
    for (int i = 0; i < 4; i++)
        us_buffer_destroy(on[i]);
    free(x);
    free(w);
    free(b);
    free(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_agree),
        cmocka_unit_test(weight_gradients_agree),
        cmocka_unit_test(winograd_agrees),
        cmocka_unit_test(wide_layers_agree),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
