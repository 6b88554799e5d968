/* SPDX-License-Identifier: MIT */
/* Every way of computing a dense layer gives the same results: the tunings that a tuner may choose,
 * for CPUs and GPUs, and CLBlast's, against the reference on the host. The defaults are the
 * self-test's. */
#include "test_device.h"
#include "test_operands.h"

#include <math.h>

#include "device/profile.h"
#include "ops/attributes.h"
#include "ops/clblast.h"
#include "ops/convolution/table.h"
#include "selftest/reference.h"
#include "test_choices.h"

enum { IMAGES = 61, PASSES = US_CONVOLUTION_WEIGHTS + 1 };

static const us_activation none = {US_ACTIVATION_NONE, 0}, relu = {US_ACTIVATION_RELU, 0},
                           leaky = {US_ACTIVATION_LEAKY_RELU, 0.25f},
                           hyperbolic = {US_ACTIVATION_TANH, 0};

/* What is computed. */
typedef struct shape {
    int in, out, images;
    bool bias;
    const us_activation *activation, *input_activation;
} shape;

/* A layer on the host and on the device. */
typedef struct layer {
    us_device *device;
    shape shape;
    int batch;
    us_convolution_problem problems[PASSES]; /* by pass */
    size_t in, out, images;
    double *x, *y, *dy, *dx, *weight, *bias, *weight_gradient, *bias_gradient;
    us_buffer *x_on, *y_on, *dy_on, *dx_on, *tensors[2], *gradients[2];
} layer;

/* Rows of `width` values on the host, `stride` on the device, with zeros between. NULL: all zeros.
 */
static us_buffer *upload(us_device *device, const double *values, size_t rows, size_t width,
                         size_t stride) {
    unseen_error error;
    us_buffer *made;
    float *padded = room(rows * stride, sizeof *padded);
    for (size_t i = 0; values && i < rows * width; i++)
        padded[i / width * stride + i % width] = (float)values[i];
    TEST_OK(us_buffer_create(device, rows * stride * sizeof *padded, "operand", &made, &error));
    TEST_OK(us_buffer_write(made, 0, padded, rows * stride * sizeof *padded, &error));
    free(padded);
    return made;
}

/* That a buffer holds `times` the values. */
static void expect(us_buffer *buffer, const double *values, double times, size_t rows, size_t width,
                   size_t stride, const char *what) {
    unseen_error error;
    float *got = room(rows * stride, sizeof *got);
    TEST_OK(us_buffer_read(buffer, 0, got, rows * stride * sizeof *got, &error));
    double scale = 0;
    for (size_t i = 0; i < rows * width; i++)
        scale = fmax(scale, fabs(times * values[i]));
    for (size_t i = 0; i < rows * width; i++) {
        const double have = got[i / width * stride + i % width], want = times * values[i];
        if (!(fabs(have - want) <= 1e-5 * scale))
            fail_msg("%s: %g instead of %g in row %zu, column %zu", what, have, want, i / width,
                     i % width);
    }
    free(got);
}

static void compute_reference(layer *l) {
    const us_dense_attributes attributes = {.units = l->shape.out, .bias = l->shape.bias};
    us_reference call = {
        .attributes = &attributes,
        .in = {l->shape.in, 1, 1},
        .out = {l->shape.out, 1, 1},
        .n = l->shape.images,
        .activation = *l->shape.activation,
        .input_activation = *l->shape.input_activation,
        .x = l->x,
        .y = l->y,
        .dy = l->dy,
        .dx = l->dx,
        .tensors = (double *[]){l->weight, l->bias},
        .gradients = (double *[]){l->weight_gradient, l->bias_gradient},
    };
    const us_reference_layer *reference = us_reference_find(&us_dense_layer);
    reference->forward(&call);
    reference->backward(&call);
}

/* As the layer makes them. */
static us_convolution_problem problem_of(const layer *l, us_convolution_pass pass) {
    us_convolution_problem problem = {
        .pass = pass,
        .large = {l->shape.in, 1, 1},
        .small = {l->shape.out, 1, 1},
        .batch = l->batch,
        .kernel = {1, 1},
        .stride = {1, 1},
        .large_stride = l->out,
        .tap_stride = l->out,
        .small_stride = 1,
        .bias = l->shape.bias && pass != US_CONVOLUTION_UP,
    };
    if (pass == US_CONVOLUTION_DOWN) problem.activation = *l->shape.activation;
    if (pass == US_CONVOLUTION_UP) problem.input_activation = *l->shape.input_activation;
    assert_true(us_convolution_is_product(&problem));
    return problem;
}

static layer open_layer(us_device *device, const shape *of) {
    layer l = {.device = device,
               .shape = *of,
               .batch = us_device_pad(&device->facts, of->images),
               .in = (size_t)of->in,
               .out = (size_t)of->out,
               .images = (size_t)of->images};
    for (int pass = 0; pass < PASSES; pass++)
        l.problems[pass] = problem_of(&l, (us_convolution_pass)pass);
    l.x = numbers(l.in * l.images, 1);
    l.dy = numbers(l.out * l.images, 2);
    l.weight = numbers(l.in * l.out, 3);
    l.bias = numbers(l.out, 4);
    l.y = room(l.out * l.images, sizeof *l.y);
    l.dx = room(l.in * l.images, sizeof *l.dx);
    l.weight_gradient = room(l.in * l.out, sizeof *l.weight_gradient);
    l.bias_gradient = room(l.out, sizeof *l.bias_gradient);
    compute_reference(&l);
    const size_t batch = (size_t)l.batch;
    l.x_on = upload(device, l.x, l.in, l.images, batch);
    l.dy_on = upload(device, l.dy, l.out, l.images, batch);
    l.y_on = upload(device, NULL, l.out, l.images, batch);
    l.dx_on = upload(device, NULL, l.in, l.images, batch);
    l.tensors[0] = upload(device, l.weight, l.in, l.out, l.out);
    l.tensors[1] = upload(device, l.bias, 1, l.out, l.out);
    l.gradients[0] = upload(device, NULL, l.in, l.out, l.out);
    l.gradients[1] = upload(device, NULL, 1, l.out, l.out);
    return l;
}

static void close_layer(layer *l) {
    double *host[] = {
        l->x, l->y, l->dy, l->dx, l->weight, l->bias, l->weight_gradient, l->bias_gradient};
    us_buffer *on[] = {l->x_on,       l->y_on,       l->dy_on,        l->dx_on,
                       l->tensors[0], l->tensors[1], l->gradients[0], l->gradients[1]};
    for (int i = 0; i < 8; i++) {
        free(host[i]);
        us_buffer_destroy(on[i]);
    }
}

static us_convolution *create(const layer *l, us_convolution_pass pass, const us_choice *choice) {
    unseen_error error;
    us_convolution *made;
    TEST_OK(us_convolution_create(&(us_build){.device = l->device}, &l->problems[pass], choice,
                                  &made, &error));
    return made;
}

static void check_gathers(const layer *l, const us_choice *choices, const char *what) {
    unseen_error error;
    const size_t batch = (size_t)l->batch;
    us_convolution *forward = create(l, US_CONVOLUTION_DOWN, &choices[US_CONVOLUTION_DOWN]);
    const us_convolution_args down = {.large = l->x_on,
                                      .small = l->y_on,
                                      .weights = l->tensors[0],
                                      .bias = l->tensors[1],
                                      .n = l->shape.images};
    TEST_OK(us_convolution_run(forward, &down, &error));
    expect(l->y_on, l->y, 1, l->out, l->images, batch, what);
    us_convolution_destroy(forward);
    us_convolution *backward = create(l, US_CONVOLUTION_UP, &choices[US_CONVOLUTION_UP]);
    const us_convolution_args up = {.large = l->dx_on,
                                    .small = l->dy_on,
                                    .weights = l->tensors[0],
                                    .input = l->x_on,
                                    .n = l->shape.images};
    TEST_OK(us_convolution_run(backward, &up, &error));
    expect(l->dx_on, l->dx, 1, l->in, l->images, batch, what);
    us_convolution_destroy(backward);
}

/* Adds up what is left in parts of weight and bias, and puts it where it belongs. */
static void gather_parts(const layer *l, us_buffer *parts, size_t floats,
                         const us_split_gradient split[2]) {
    unseen_error error;
    float *left = room(floats, sizeof *left);
    TEST_OK(us_buffer_read(parts, 0, left, floats * sizeof *left, &error));
    for (int t = 0; t < 2; t++) {
        if (!split[t].splits) continue;
        float *sums = room(split[t].count, sizeof *sums);
        assert_int_equal(split[t].count, t ? l->out : l->in * l->out);
        for (size_t i = 0; i < split[t].count; i++)
            for (int p = 0; p < split[t].splits; p++)
                sums[i] += left[split[t].first + (size_t)p * split[t].stride + i];
        TEST_OK(us_buffer_write(l->gradients[t], 0, sums, split[t].count * sizeof *sums, &error));
        free(sums);
    }
    free(left);
}

/* Twice, the second time on top of the first; and both left in parts where it leaves any. */
static void check_weights(const layer *l, const us_choice *choice, const char *what) {
    unseen_error error;
    us_convolution *gradient = create(l, US_CONVOLUTION_WEIGHTS, choice);
    us_split_gradient split[2];
    const size_t floats = us_convolution_parts(gradient, split);
    us_buffer *parts = floats ? upload(l->device, NULL, floats, 1, 1) : NULL;
    for (int times = 1; times <= (parts ? 4 : 2); times++) {
        const us_convolution_args args = {.large = l->x_on,
                                          .small = l->dy_on,
                                          .weights = l->gradients[0],
                                          .bias = l->gradients[1],
                                          .n = l->shape.images,
                                          .accumulate = times % 2 == 0,
                                          .parts = times > 2 ? parts : NULL};
        TEST_OK(us_convolution_run(gradient, &args, &error));
        if (args.parts) gather_parts(l, parts, floats, split);
        const int sum = (times - 1) % 2 + 1;
        expect(l->gradients[0], l->weight_gradient, sum, l->in, l->out, l->out, what);
        if (l->shape.bias) expect(l->gradients[1], l->bias_gradient, sum, 1, l->out, l->out, what);
    }
    us_buffer_destroy(parts);
    us_convolution_destroy(gradient);
}

static void check_layer(const layer *l, const us_choice *choices, const char *what) {
    check_gathers(l, choices, what);
    check_weights(l, &choices[US_CONVOLUTION_WEIGHTS], what);
}

static us_choice named(const char *algorithm) {
    return (us_choice){.algorithm = algorithm_named(&us_convolution_tunable, algorithm)};
}

/* ---- CPUs' ---- */

/* rows, vectors, slice (0: all), columns, chunks, tiles, block in vectors */
static const struct {
    int rows, vectors, slice, columns, chunks, tiles, block;
} own[] = {
    {1, 1, 0, 1, 1, 1, 1},    {6, 2, 0, 3, 1, 2, 2},       {12, 1, 40, 1, 2, 1, 2},
    {4, 2, 17, 2, 100, 3, 1}, {7, 1, 0, 100, 1, 100, 100}, {3, 2, 33, 1, 3, 2, 4},
};

static void blocks_agree(void **state) {
    us_device *device = *state;
    const us_tunable *tunable = &us_convolution_tunable;
    if (device->facts.execution != US_EXECUTION_VECTOR) skip(); /* made for vectors */
    layer l = open_layer(device, &(shape){131, 37, IMAGES, true, &leaky, &relu});
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        us_choice choices[PASSES];
        for (int pass = 0; pass < PASSES; pass++) {
            us_choice *c = &choices[pass];
            *c = us_tunable_default(tunable, &device->facts, &l.problems[pass]);
            assert_string_equal(us_choice_algorithm(tunable, c)->name, "blocks");
            int slice = parameter_named(tunable, c, "slice");
            set_parameter(tunable, c, "tile_rows", own[i].rows);
            set_parameter(tunable, c, "tile_vectors", own[i].vectors);
            set_parameter(tunable, c, "item_columns", own[i].columns);
            set_parameter(tunable, c, "item_chunks", own[i].chunks);
            set_parameter(tunable, c, "chunk_tiles", own[i].tiles);
            set_parameter(tunable, c, "block", own[i].block * device->facts.vector_width);
            if (pass != US_CONVOLUTION_WEIGHTS && own[i].slice && own[i].slice < slice)
                set_parameter(tunable, c, "slice", own[i].slice);
        }
        char what[32];
        snprintf(what, sizeof what, "blocks %zu", i);
        check_layer(&l, choices, what);
    }
    close_layer(&l);
}

/* ---- GPUs' ---- */

/* A shape, and the parameters of an algorithm for each pass. */
typedef struct tiling {
    shape shape;
    const char *gathers, *weights;
    int parameters[PASSES][US_TUNABLE_PARAMETERS];
} tiling;

static void check_tiling(us_device *device, const tiling *t, size_t number) {
    layer l = open_layer(device, &t->shape);
    us_choice choices[PASSES];
    for (int pass = 0; pass < PASSES; pass++) {
        choices[pass] = named(pass == US_CONVOLUTION_WEIGHTS ? t->weights : t->gathers);
        memcpy(choices[pass].parameters, t->parameters[pass], sizeof choices[pass].parameters);
        if (!us_choice_algorithm(&us_convolution_tunable, &choices[pass])
                 ->valid(&device->facts, &l.problems[pass], choices[pass].parameters))
            fail_msg("tiling %zu is not possible in pass %d", number, pass);
    }
    char what[64];
    snprintf(what, sizeof what, "tiling %zu, %s", number, t->gathers);
    check_layer(&l, choices, what);
    close_layer(&l);
}

/* Rows, columns and terms that tiles do and do not divide; with and without splits of the terms. */
static void tiles_agree(void **state) {
    /* rows, columns, slab, item_rows, item_columns, pixels, splits; of the weights' gradient rows,
     * columns, slab, item_rows, item_columns, slices, splits */
    static const tiling tilings[] = {
        {{131, 37, IMAGES, true, &leaky, &relu},
         "tiles",
         "weight_gradient_tiles",
         {{16, 16, 8, 4, 4, 1, 3}, {32, 16, 8, 4, 4, 1, 2}, {32, 16, 8, 4, 4, 1, 3}}},
        {{130, 64, 128, true, &relu, &hyperbolic},
         "tiles",
         "weight_gradient_tiles",
         {{32, 64, 16, 8, 8, 2, 1}, {64, 32, 8, 8, 4, 1, 4}, {16, 64, 16, 4, 8, 2, 1}}},
        {{64, 130, 17, true, &hyperbolic, &none},
         "tiles",
         "weight_gradient_tiles",
         {{64, 16, 4, 4, 4, 2, 1}, {32, 16, 16, 4, 4, 2, 9}, {64, 32, 8, 8, 8, 1, 2}}},
        {{5, 3, 1, true, &none, &leaky},
         "tiles",
         "weight_gradient_tiles",
         {{4, 32, 8, 4, 4, 4, 1}, {8, 32, 8, 4, 4, 4, 2}, {8, 4, 4, 2, 2, 1, 1}}},
        {{1, 12, 17, false, &relu, &none},
         "tiles",
         "weight_gradient_tiles",
         {{16, 32, 8, 4, 4, 4, 1}, {4, 32, 4, 4, 4, 4, 3}, {4, 16, 8, 2, 4, 2, 1}}},
        {{12, 1, 128, true, &leaky, &relu},
         "tiles",
         "weight_gradient_tiles",
         {{4, 32, 8, 4, 4, 1, 2}, {16, 32, 8, 4, 4, 1, 1}, {16, 4, 32, 4, 4, 2, 4}}},
    };
    for (size_t i = 0; i < sizeof tilings / sizeof *tilings; i++)
        check_tiling(*state, &tilings[i], i);
}

static void quads_agree(void **state) {
    /* channels, phases, quads, pixels, tiles, slices, inputs, staged; of the weights' gradient
     * small, large, taps, quads, tiles, slices, splits */
    static const tiling tilings[] = {
        {{131, 37, IMAGES, true, &leaky, &relu},
         "quads",
         "weight_gradient_quads",
         {{10, 1, 4, 1, 2, 7, 3, 1}, {12, 1, 8, 1, 2, 4, 2, 1}, {8, 6, 1, 4, 9, 1, 3}}},
        {{64, 12, 128, true, &relu, &hyperbolic},
         "quads",
         "weight_gradient_quads",
         {{12, 1, 8, 1, 1, 16, 2, 0}, {8, 1, 4, 1, 4, 6, 2, 1}, {6, 4, 1, 8, 8, 2, 1}}},
        {{12, 3, 17, true, &none, &leaky},
         "quads",
         "weight_gradient_quads",
         {{3, 1, 2, 1, 1, 12, 1, 1}, {12, 1, 2, 2, 1, 3, 1, 1}, {3, 6, 1, 2, 2, 1, 3}}},
        {{3, 5, 1, true, &hyperbolic, &none},
         "quads",
         "weight_gradient_quads",
         {{5, 1, 2, 1, 1, 3, 1, 1}, {3, 1, 2, 1, 1, 5, 1, 1}, {5, 3, 1, 1, 1, 2, 1}}},
        {{5, 1, 128, false, &none, &relu},
         "quads",
         "weight_gradient_quads",
         {{1, 1, 8, 1, 1, 2, 3, 1}, {5, 1, 8, 1, 1, 1, 1, 1}, {1, 5, 1, 8, 1, 2, 2}}},
    };
    for (size_t i = 0; i < sizeof tilings / sizeof *tilings; i++)
        check_tiling(*state, &tilings[i], i);
}

/* ---- CLBlast ---- */

static const shape shapes[] = {
    {131, 37, IMAGES, true, &leaky, &relu},
    {3, 12, IMAGES, true, &none, &none},
    {70, 1, IMAGES, false, &hyperbolic, &none},
    {97, 201, IMAGES, false, &none, &leaky},
    {256, 129, IMAGES, true, &hyperbolic, &hyperbolic},
};

static void check_clblast(us_device *device, const char *which) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        layer l = open_layer(device, &shapes[i]);
        us_choice choices[PASSES];
        for (int pass = 0; pass < PASSES; pass++)
            choices[pass] = named("clblast");
        char what[64];
        snprintf(what, sizeof what, "layer %zu by CLBlast with %s", i, which);
        check_layer(&l, choices, what);
        close_layer(&l);
    }
}

static void clblast_agrees(void **state) {
    if (!us_clblast_available()) skip();
    check_clblast(*state, "its own parameters");
}

/* Parameters that differ from those that CLBlast has for devices it does not know. */
static void clblast_takes_parameters(void **state) {
    unseen_error error;
    us_clblast_parameters parameters = {.mwg = 16,
                                        .nwg = 32,
                                        .kwg = 8,
                                        .mdimc = 4,
                                        .ndimc = 8,
                                        .mdima = 4,
                                        .ndimb = 8,
                                        .kwi = 2,
                                        .vwm = 2,
                                        .vwn = 1};
    if (!us_clblast_available()) skip();
    TEST_OK(us_clblast_override(*state, &parameters, &error));
    check_clblast(*state, "given parameters");
}

static void clblast_is_missed(void **state) {
    unseen_error error;
    us_convolution *made;
    if (us_clblast_available()) skip();
    us_clblast_parameters parameters = {.mwg = 8};
    assert_int_equal(us_clblast_override(*state, &parameters, &error), UNSEEN_BAD_INPUT);
    layer l = open_layer(*state, &shapes[1]);
    const us_choice choice = named("clblast");
    for (int pass = 0; pass < PASSES; pass++)
        assert_int_equal(us_convolution_create(&(us_build){.device = l.device}, &l.problems[pass],
                                               &choice, &made, &error),
                         UNSEEN_BAD_INPUT);
    close_layer(&l);
}

/* A profile has a product of CLBlast's as one launch, of the layer that it is for. */
static void clblast_is_timed(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_profile *profile;
    us_convolution *product;
    if (!us_clblast_available()) skip();
    layer l = open_layer(device, &shapes[3]);
    const us_build build = {.device = device, .label = {"encoder", 3, US_PASS_INPUT_GRADIENT}};
    const us_choice choice = named("clblast");
    const us_convolution_args args = {
        .large = l.dx_on, .small = l.dy_on, .weights = l.tensors[0], .input = l.x_on};
    TEST_OK(
        us_convolution_create(&build, &l.problems[US_CONVOLUTION_UP], &choice, &product, &error));
    TEST_OK(us_convolution_run(product, &args, &error)); /* CLBlast compiles */
    TEST_OK(us_profile_begin(device, &error));
    TEST_OK(us_convolution_run(product, &args, &error));
    TEST_OK(us_profile_take(device, &profile, &error));
    int found = 0;
    for (size_t i = 0; i < profile->count; i++) {
        const us_launch *launch = &profile->launches[i];
        if (strcmp(launch->name, "clblast") != 0) continue;
        found++;
        assert_string_equal(launch->label.network, "encoder");
        assert_int_equal(launch->label.layer, 3);
        assert_int_equal(launch->label.pass, US_PASS_INPUT_GRADIENT);
        assert_true(launch->ended > launch->started);
        if (i + 1 < profile->count) assert_true(launch[1].started >= launch->ended);
    }
    assert_int_equal(found, 1);
    us_profile_release(profile);
    us_convolution_destroy(product);
    expect(l.dx_on, l.dx, 1, l.in, l.images, (size_t)l.batch, "a timed product");
    close_layer(&l);
}

/* An argument is a pattern of tests' names: "tiles*". */
int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_agree),
        cmocka_unit_test(tiles_agree),
        cmocka_unit_test(quads_agree),
        cmocka_unit_test(clblast_agrees),
        cmocka_unit_test(clblast_takes_parameters),
        cmocka_unit_test(clblast_is_missed),
        cmocka_unit_test(clblast_is_timed),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
