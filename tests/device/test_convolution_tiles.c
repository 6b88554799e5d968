/* Every way of computing a convolution gives the same results: the tiles that a tuner may choose,
 * against the reference on the host. The default tiles are the self-test's. */
#include "test_device.h"

#include <math.h>

#include "ops/convolution.h"
#include "ops/gather.h"
#include "ops/reference.h"
#include "ops/weight_gradient.h"

enum { IMAGES = 37 };

/* Not a round number anywhere: tiles overlap, borders are cut. */
static const us_convolution_attributes attributes = {
    .channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true};
static const us_shape large = {7, 9, 8}, small = {13, 5, 3};
enum { WEIGHTS = 7 * 13 * 5 * 4 };

typedef struct operands {
    us_device *device;
    int batch;
    double *large, *small, *weights, *bias; /* on the host, IMAGES wide */
    us_buffer *large_on, *small_on, *weights_on, *bias_on;
} operands;

static void *room(size_t count, size_t size) {
    void *made = calloc(count, size);
    assert_non_null(made);
    return made;
}

static double *numbers(size_t count, uint32_t seed) {
    double *made = room(count, sizeof *made);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        made[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return made;
}

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

static operands open_operands(us_device *device) {
    operands o = {.device = device, .batch = us_device_pad(device, IMAGES)};
    o.large = numbers(us_shape_size(large) * IMAGES, 1);
    o.small = numbers(us_shape_size(small) * IMAGES, 2);
    o.weights = numbers(WEIGHTS, 3);
    o.bias = numbers(13, 4);
    o.large_on = upload(device, o.large, us_shape_size(large), IMAGES, o.batch);
    o.small_on = upload(device, o.small, us_shape_size(small), IMAGES, o.batch);
    o.weights_on = upload(device, o.weights, WEIGHTS, 1, 1);
    o.bias_on = upload(device, o.bias, 13, 1, 1);
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
    int vectors = batch / us_device_lanes(device);
    if (tiles.vectors > vectors) tiles.vectors = vectors;
    if (device->execution == US_EXECUTION_LANES) tiles.staged = 0;
    return tiles;
}

/* channels, vectors, staged, run */
static const us_gather_tiles gather_tiles[] = {
    {1, 1, 0, 1}, {4, 2, 0, 1}, {5, 2, 0, 2}, {7, 1, 0, 100}, {4, 2, 7, 1},
    {2, 1, 3, 1}, {3, 2, 2, 2}, {7, 1, 1, 3}, {6, 2, 100, 1},
};

static void gathers_agree(void **state) {
    operands o = open_operands(*state);
    unseen_error error;
    double *forward = room(us_shape_size(small) * IMAGES, sizeof *forward);
    double *dx = room(us_shape_size(large) * IMAGES, sizeof *dx);
    us_reference call = {
        .attributes = &attributes,
        .in = large,
        .out = small,
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
    us_gather_spec down = {
        .device = *state,
        .in = large,
        .out = small,
        .batch = o.batch,
        .kernel = {5, 4},
        .stride = {2, 3},
        .padding = {2, 1},
        .in_stride = 5 * 4 * 13,
        .tap_stride = 13,
        .out_stride = 1,
        .bias = true,
        .activation = call.activation,
    };
    us_gather_spec up = down;
    up.up = true;
    up.in = small;
    up.out = large;
    up.in_stride = 1;
    up.out_stride = 5 * 4 * 13;
    up.bias = false;
    up.activation.kind = US_ACTIVATION_NONE;
    up.input_activation = call.input_activation;
    for (size_t i = 0; i < sizeof gather_tiles / sizeof *gather_tiles; i++) {
        us_gather_tiles tiles = fitted(*state, o.batch, gather_tiles[i]);
        us_gather *gather;
        us_buffer *y = upload(*state, forward, us_shape_size(small), 0, o.batch);
        TEST_OK(us_gather_create(&down, &tiles, &gather, &error));
        TEST_OK(us_gather_run(gather, o.large_on, o.weights_on, o.bias_on, NULL, y, &error));
        char what[64];
        snprintf(what, sizeof what, "down with tiles %zu", i);
        expect(y, forward, us_shape_size(small), IMAGES, o.batch, what);
        us_gather_destroy(gather);
        us_buffer_destroy(y);

        y = upload(*state, dx, us_shape_size(large), 0, o.batch);
        TEST_OK(us_gather_create(&up, &tiles, &gather, &error));
        TEST_OK(us_gather_run(gather, o.small_on, o.weights_on, NULL, o.large_on, y, &error));
        snprintf(what, sizeof what, "up with tiles %zu", i);
        expect(y, dx, us_shape_size(large), IMAGES, o.batch, what);
        us_gather_destroy(gather);
        us_buffer_destroy(y);
    }
    free(forward);
    free(dx);
    close_operands(&o);
}

/* small, large, taps, splits */
static const us_weight_gradient_tiles gradient_tiles[] = {
    {1, 1, 1, 1}, {6, 1, 4, 1}, {6, 1, 4, 5}, {5, 2, 3, 2}, {4, 3, 1, 3}, {13, 1, 2, 4},
};

static void weight_gradients_agree(void **state) {
    operands o = open_operands(*state);
    unseen_error error;
    double *twice = room(WEIGHTS, sizeof *twice), *bias = room(13, sizeof *bias);
    us_reference call = {
        .attributes = &attributes,
        .in = large,
        .out = small,
        .n = IMAGES,
        .x = o.large,
        .dy = o.small,
        .tensors = (double *[]){o.weights, o.bias},
        .gradients = (double *[]){twice, bias},
    };
    us_reference_convolution_backward(&call);
    for (int i = 0; i < WEIGHTS; i++)
        twice[i] *= 2;
    for (int i = 0; i < 13; i++)
        bias[i] *= 2;
    us_weight_gradient_spec spec = {
        .device = *state,
        .large = large,
        .small = small,
        .batch = o.batch,
        .kernel = {5, 4},
        .stride = {2, 3},
        .padding = {2, 1},
        .large_stride = 5 * 4 * 13,
        .tap_stride = 13,
        .small_stride = 1,
        .bias = true,
    };
    for (size_t i = 0; i < sizeof gradient_tiles / sizeof *gradient_tiles; i++) {
        us_weight_gradient *gradient;
        us_buffer *weights_on = upload(*state, twice, WEIGHTS, 0, 1);
        us_buffer *bias_on = upload(*state, bias, 13, 0, 1);
        TEST_OK(us_weight_gradient_create(&spec, &gradient_tiles[i], &gradient, &error));
        for (int pass = 0; pass < 2; pass++)
            TEST_OK(us_weight_gradient_run(gradient, o.large_on, o.small_on, weights_on, bias_on,
                                           pass == 1, &error));
        char what[64];
        snprintf(what, sizeof what, "weight gradient with tiles %zu", i);
        expect(weights_on, twice, WEIGHTS, 1, 1, what);
        snprintf(what, sizeof what, "bias gradient with tiles %zu", i);
        expect(bias_on, bias, 13, 1, 1, what);
        us_weight_gradient_destroy(gradient);
        us_buffer_destroy(weights_on);
        us_buffer_destroy(bias_on);
    }
    free(twice);
    free(bias);
    close_operands(&o);
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
        cmocka_unit_test(wide_layers_agree),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
