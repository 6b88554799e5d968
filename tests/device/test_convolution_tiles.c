/* SPDX-License-Identifier: MIT */
/* Every algorithm for convolutions gives the same results with parameters that a tuner may choose,
 * against the reference on the host. The defaults are the self-test's. */
#include "test_device.h"
#include "test_operands.h"

#include <math.h>

#include "ops/convolution/layer.h"
#include "ops/convolution/table.h"
#include "selftest/reference.h"
#include "test_choices.h"

enum { IMAGES = 37 };

/* A convolution's shapes; large is its input. Or a transposed one's, whose output it is. */
typedef struct geometry {
    us_convolution_attributes attributes;
    us_shape large, small;
    int images; /* 0: IMAGES */
    bool transposed;
} geometry;

static int count_images(const geometry *g) {
    return g->images ? g->images : IMAGES;
}

/* Not a round number anywhere: tiles overlap, borders are cut. */
static const geometry uneven = {
    {.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
    {7, 9, 8},
    {13, 5, 3},
    0,
    false};

static size_t count_weights(const geometry *g) {
    return (size_t)g->large.channels * (size_t)g->small.channels * (size_t)g->attributes.kernel[0] *
           (size_t)g->attributes.kernel[1];
}

typedef struct operands {
    const geometry *geometry;
    us_device *device;
    int batch;
    double *large, *small, *weights, *bias; /* on the host, as wide as there are images */
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
    const int images = count_images(g);
    operands o = {.geometry = g, .device = device, .batch = us_device_pad(&device->facts, images)};
    size_t outputs = (size_t)g->attributes.channels;
    o.large = numbers(us_shape_size(g->large) * (size_t)images, 1);
    o.small = numbers(us_shape_size(g->small) * (size_t)images, 2);
    o.weights = numbers(count_weights(g), 3);
    o.bias = numbers(outputs, 4);
    o.large_on = upload(device, o.large, us_shape_size(g->large), images, o.batch);
    o.small_on = upload(device, o.small, us_shape_size(g->small), images, o.batch);
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

/* An algorithm's parameters, in the order of its struct; at most US_TUNABLE_PARAMETERS. */
typedef struct candidate {
    const char *algorithm;
    int parameters[US_TUNABLE_PARAMETERS];
} candidate;

/* Tiles of as many pixels, or slabs of as few images, as suit a padded batch. */
static void fit_tiles(us_device *device, const us_convolution_problem *problem, us_choice *choice) {
    const us_tunable *tunable = &us_convolution_tunable;
    const int occupied = us_device_occupied(&device->facts, problem->batch);
    if (problem->pass == US_CONVOLUTION_WEIGHTS) {
        int slab = parameter_named(tunable, choice, "slab");
        while (occupied % slab != 0)
            slab /= 2;
        set_parameter(tunable, choice, "slab", slab);
        if (parameter_named(tunable, choice, "slices") > slab / 4)
            set_parameter(tunable, choice, "slices", slab / 4);
    } else {
        int columns = parameter_named(tunable, choice, "columns");
        int pixels = parameter_named(tunable, choice, "pixels");
        while (occupied % (columns / pixels) != 0)
            pixels *= 2;
        set_parameter(tunable, choice, "pixels", pixels);
    }
}

/* Whether the device can run it; parameters that are out of range are as good as the largest. */
static bool choose(us_device *device, const us_convolution_problem *problem, const candidate *c,
                   us_choice *choice) {
    choice->algorithm = algorithm_named(&us_convolution_tunable, c->algorithm);
    memcpy(choice->parameters, c->parameters, sizeof choice->parameters);
    if (strcmp(c->algorithm, "winograd") == 0 && c->parameters[4] == 0)
        set_parameter(&us_convolution_tunable, choice, "inputs",
                      us_convolution_in(problem).channels);
    if (strstr(c->algorithm, "quads")) {
        int quads = parameter_named(&us_convolution_tunable, choice, "quads");
        while (us_device_occupied(&device->facts, problem->batch) / 4 % quads != 0)
            quads /= 2;
        set_parameter(&us_convolution_tunable, choice, "quads", quads);
    }
    if (strstr(c->algorithm, "tiles")) fit_tiles(device, problem, choice);
    if (strstr(c->algorithm, "winograd") || strstr(c->algorithm, "quads") ||
        strstr(c->algorithm, "tiles"))
        return us_convolution_algorithms[choice->algorithm]->valid(&device->facts, problem,
                                                                   choice->parameters);
    if (strcmp(c->algorithm, "staged") == 0 && device->facts.execution == US_EXECUTION_LANES)
        return false;
    bool is_gather = problem->pass != US_CONVOLUTION_WEIGHTS;
    int vectors = us_device_vectors(&device->facts, problem->batch);
    if (is_gather && parameter_named(&us_convolution_tunable, choice, "vectors") > vectors)
        set_parameter(&us_convolution_tunable, choice, "vectors", vectors);
    return true;
}

/* One pass by this choice, against what it should give. */
static void check_pass(const operands *o, const us_convolution_problem *problem,
                       const us_choice *choice, const double *want, const char *algorithm) {
    unseen_error error;
    us_convolution *convolution;
    bool up = problem->pass == US_CONVOLUTION_UP;
    us_shape out = us_convolution_out(problem);
    us_buffer *y = upload(o->device, want, us_shape_size(out), 0, o->batch);
    TEST_OK(us_convolution_create(&(us_build){.device = o->device}, problem, choice, &convolution,
                                  &error));
    us_convolution_args args = {.large = up ? y : o->large_on,
                                .small = up ? o->small_on : y,
                                .weights = o->weights_on,
                                .bias = problem->bias ? o->bias_on : NULL,
                                .input = up ? o->large_on : o->small_on};
    TEST_OK(us_convolution_run(convolution, &args, &error));
    char what[96];
    snprintf(what, sizeof what, "%s, %s, first parameters %d, %d", up ? "up" : "down", algorithm,
             choice->parameters[0], choice->parameters[1]);
    expect(y, want, us_shape_size(out), count_images(o->geometry), o->batch, what);
    us_convolution_destroy(convolution);
    us_buffer_destroy(y);
}

static us_convolution_problem problem_of(const geometry *g, us_convolution_pass pass, int batch) {
    const us_convolution_attributes *a = &g->attributes;
    size_t outputs = (size_t)a->channels;
    size_t input = (size_t)a->kernel[0] * (size_t)a->kernel[1] * outputs;
    return (us_convolution_problem){
        .pass = pass,
        .large = g->large,
        .small = g->small,
        .batch = batch,
        .kernel = {a->kernel[0], a->kernel[1]},
        .stride = {a->stride[0], a->stride[1]},
        .padding = {a->padding[0], a->padding[1]},
        .large_stride = g->transposed ? 1 : input,
        .tap_stride = outputs,
        .small_stride = g->transposed ? input : 1,
        .bias = pass != (g->transposed ? US_CONVOLUTION_DOWN : US_CONVOLUTION_UP),
        .bias_of_large = g->transposed,
    };
}

/* The convolution and the gradient of its input by each of the candidates that are possible. */
static size_t check_gathers(us_device *device, const geometry *g, const candidate *all,
                            size_t count) {
    operands o = open_operands(device, g);
    const us_shape in = g->transposed ? g->small : g->large;
    const us_shape out = g->transposed ? g->large : g->small;
    const size_t images = (size_t)count_images(g);
    double *forward = room(us_shape_size(out) * images, sizeof *forward);
    double *dx = room(us_shape_size(in) * images, sizeof *dx);
    us_reference call = {
        .attributes = &g->attributes,
        .in = in,
        .out = out,
        .n = count_images(g),
        .activation = {US_ACTIVATION_RELU, 0},
        .input_activation = {US_ACTIVATION_LEAKY_RELU, 0.25f},
        .x = g->transposed ? o.small : o.large,
        .y = forward,
        .dy = g->transposed ? o.large : o.small,
        .dx = dx,
        .tensors = (double *[]){o.weights, o.bias},
    };
    if (g->transposed) {
        us_reference_convolution_transpose_forward(&call);
        us_reference_convolution_transpose_backward(&call);
    } else {
        us_reference_convolution_forward(&call);
        us_reference_convolution_backward(&call);
    }
    us_convolution_problem down = problem_of(g, US_CONVOLUTION_DOWN, o.batch);
    us_convolution_problem up = problem_of(g, US_CONVOLUTION_UP, o.batch);
    *(g->transposed ? &up.activation : &down.activation) = call.activation;
    *(g->transposed ? &down.input_activation : &up.input_activation) = call.input_activation;
    size_t checked = 0;
    for (size_t i = 0; i < count; i++) {
        us_choice choice;
        if (choose(device, &down, &all[i], &choice)) {
            check_pass(&o, &down, &choice, g->transposed ? dx : forward, all[i].algorithm);
            checked++;
        }
        if (choose(device, &up, &all[i], &choice)) {
            check_pass(&o, &up, &choice, g->transposed ? forward : dx, all[i].algorithm);
            checked++;
        }
    }
    free(forward);
    free(dx);
    close_operands(&o);
    return checked;
}

static void gathers_agree(void **state) {
    us_device *device = *state;
    static const candidate candidates[] = {
        /* channels, vectors, pixels */
        {"direct", {1, 1, 1}},
        {"direct", {4, 2, 1}},
        {"direct", {5, 2, 2}},
        {"direct", {7, 1, 100}},
        /* channels, vectors, inputs, chunks */
        {"staged", {4, 2, 7, 1}},
        {"staged", {2, 1, 3, 1}},
        {"staged", {3, 2, 2, 2}},
        {"staged", {7, 1, 1, 3}},
        {"staged", {6, 2, 100, 1}},
    };
    size_t possible = device->facts.execution == US_EXECUTION_LANES ? 4 : 9;
    assert_int_equal(
        check_gathers(device, &uneven, candidates, sizeof candidates / sizeof *candidates),
        2 * possible);
}

/* The gradients of weights and bias, computed twice and added, by each of the candidates that are
 * possible. */
static size_t check_weight_gradients(us_device *device, const geometry *g, const candidate *all,
                                     size_t count) {
    operands o = open_operands(device, g);
    unseen_error error;
    size_t weights = count_weights(g), outputs = (size_t)g->attributes.channels, checked = 0;
    double *twice = room(weights, sizeof *twice), *bias = room(outputs, sizeof *bias);
    us_reference call = {
        .attributes = &g->attributes,
        .in = g->transposed ? g->small : g->large,
        .out = g->transposed ? g->large : g->small,
        .n = count_images(g),
        .x = g->transposed ? o.small : o.large,
        .dy = g->transposed ? o.large : o.small,
        .tensors = (double *[]){o.weights, o.bias},
        .gradients = (double *[]){twice, bias},
    };
    if (g->transposed)
        us_reference_convolution_transpose_backward(&call);
    else
        us_reference_convolution_backward(&call);
    for (size_t i = 0; i < weights; i++)
        twice[i] *= 2;
    for (size_t i = 0; i < outputs; i++)
        bias[i] *= 2;
    const us_convolution_problem problem = problem_of(g, US_CONVOLUTION_WEIGHTS, o.batch);
    for (size_t i = 0; i < count; i++) {
        us_convolution *convolution;
        us_choice choice;
        if (!choose(device, &problem, &all[i], &choice)) continue;
        us_convolution_args args = {.large = o.large_on,
                                    .small = o.small_on,
                                    .weights = upload(device, twice, weights, 0, 1),
                                    .bias = upload(device, bias, outputs, 0, 1)};
        TEST_OK(us_convolution_create(&(us_build){.device = device}, &problem, &choice,
                                      &convolution, &error));
        for (int pass = 0; pass < 2; pass++) {
            args.accumulate = pass == 1;
            TEST_OK(us_convolution_run(convolution, &args, &error));
        }
        char what[64];
        snprintf(what, sizeof what, "weight gradient %zu, %s", i, all[i].algorithm);
        expect(args.weights, twice, weights, 1, 1, what);
        snprintf(what, sizeof what, "bias gradient %zu, %s", i, all[i].algorithm);
        expect(args.bias, bias, outputs, 1, 1, what);
        us_convolution_destroy(convolution);
        us_buffer_destroy(args.weights);
        us_buffer_destroy(args.bias);
        checked++;
    }
    free(twice);
    free(bias);
    close_operands(&o);
    return checked;
}

/* A shape, and candidates of which some are possible for it. */
typedef struct shape_case {
    geometry geometry;
    candidate candidates[4];
} shape_case;

/* Few channels, as GPUs compute them. */
static void quads_agree(void **state) {
#define SQUARE(out, k, s, p)                                                                       \
    { .channels = (out), .kernel = {k, k}, .stride = {s, s}, .padding = {p, p}, .bias = true }
    /* channels, phases, quads, pixels, tiles, slices, inputs, staged */
    static const shape_case cases[] = {
        {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
          {7, 9, 8},
          {13, 5, 3},
          37,
          false},
         {{"quads", {7, 1, 2, 3, 2, 3, 2, 1}}, {"quads", {7, 2, 4, 2, 1, 1, 2, 1}}}},
        {{SQUARE(12, 4, 2, 1), {3, 8, 10}, {12, 4, 5}, 37, false},
         {{"quads", {12, 1, 4, 2, 1, 3, 1, 0}}, {"quads", {3, 4, 2, 3, 1, 2, 3, 1}}}},
        {{SQUARE(24, 4, 2, 1), {24, 6, 4}, {12, 3, 2}, 17, true},
         {{"quads", {12, 1, 4, 4, 2, 2, 3, 0}}, {"quads", {12, 1, 4, 1, 3, 5, 1, 1}}}},
        {{SQUARE(3, 4, 2, 1), {3, 6, 10}, {12, 3, 5}, 128, true},
         {{"quads", {3, 4, 8, 2, 1, 3, 2, 1}}, {"quads", {12, 1, 8, 2, 2, 2, 2, 1}}}},
        {{SQUARE(3, 5, 2, 2), {3, 7, 5}, {16, 4, 3}, 1, true},
         {{"quads", {3, 3, 2, 2, 2, 1, 4, 1}}, {"quads", {8, 1, 1, 7, 2, 2, 2, 1}}}},
        {{SQUARE(1, 4, 1, 0), {9, 4, 4}, {1, 1, 1}, 1, false},
         {{"quads", {1, 1, 1, 1, 1, 9, 1, 1}}, {"quads", {5, 1, 4, 3, 1, 1, 1, 1}}}},
        {{SQUARE(5, 1, 1, 0), {1, 1, 1}, {5, 1, 1}, 128, false},
         {{"quads", {1, 1, 4, 4, 3, 1, 1, 1}}}},
        {{SQUARE(1, 6, 3, 4), {1, 4, 7}, {5, 3, 4}, 17, true},
         {{"quads", {1, 9, 4, 5, 1, 2, 3, 1}}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = 0;
        while (cases[i].candidates[count].algorithm)
            count++;
        if (check_gathers(*state, &cases[i].geometry, cases[i].candidates, count) == 0)
            fail_msg("no candidate is possible for case %zu", i);
    }
}

static void weight_gradients_agree(void **state) {
    /* small, large, taps, splits */
    static const candidate candidates[] = {
        {"weight_gradient_direct", {1, 1, 1, 1}}, {"weight_gradient_direct", {6, 1, 4, 1}},
        {"weight_gradient_direct", {6, 1, 4, 5}}, {"weight_gradient_direct", {5, 2, 3, 2}},
        {"weight_gradient_direct", {4, 3, 1, 3}}, {"weight_gradient_direct", {13, 1, 2, 4}},
    };
    size_t count = sizeof candidates / sizeof *candidates;
    assert_int_equal(check_weight_gradients(*state, &uneven, candidates, count), count);
}

static void weight_gradient_quads_agree(void **state) {
    /* small, large, taps, quads, tiles, slices, splits */
    static const shape_case cases[] = {
        {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
          {7, 9, 8},
          {13, 5, 3},
          37,
          false},
         {{"weight_gradient_quads", {4, 3, 4, 2, 4, 2, 1}},
          {"weight_gradient_quads", {5, 2, 3, 2, 7, 1, 3}}}},
        {{SQUARE(12, 4, 2, 1), {3, 8, 10}, {12, 4, 5}, 128, false},
         {{"weight_gradient_quads", {12, 1, 4, 8, 6, 3, 5}}}},
        {{SQUARE(3, 4, 2, 1), {3, 6, 10}, {12, 3, 5}, 17, true},
         {{"weight_gradient_quads", {4, 3, 4, 4, 12, 2, 2}}}},
        {{SQUARE(3, 5, 2, 2), {3, 7, 5}, {16, 4, 3}, 1, true},
         {{"weight_gradient_quads", {6, 1, 5, 1, 16, 1, 1}}}},
        {{SQUARE(5, 1, 1, 0), {1, 1, 1}, {5, 1, 1}, 128, false},
         {{"weight_gradient_quads", {5, 1, 1, 8, 1, 2, 1}}}},
        {{SQUARE(1, 6, 3, 4), {1, 4, 7}, {5, 3, 4}, 17, true},
         {{"weight_gradient_quads", {3, 1, 4, 1, 2, 3, 4}}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = 0;
        while (cases[i].candidates[count].algorithm)
            count++;
        if (check_weight_gradients(*state, &cases[i].geometry, cases[i].candidates, count) < count)
            fail_msg("a candidate is not possible for case %zu", i);
    }
}

/* Channels that tiles do and do not divide, in quads and not; strides that leave taps out, a kernel
 * that meets one pixel, images of one; transposed, and its gradients. */
static void tiles_agree(void **state) {
    /* rows, columns, slab, item_rows, item_columns, pixels, splits */
    static const shape_case cases[] = {
        {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
          {7, 9, 8},
          {13, 5, 3},
          37,
          false},
         {{"tiles", {16, 16, 4, 4, 4, 1, 1}}, {"tiles", {8, 16, 8, 8, 4, 4, 2}}}},
        {{SQUARE(52, 3, 2, 1), {50, 7, 5}, {52, 4, 3}, 17, false},
         {{"tiles", {32, 32, 8, 4, 8, 2, 3}}, {"tiles", {64, 32, 4, 16, 4, 2, 1}}}},
        {{SQUARE(56, 5, 2, 2), {48, 7, 5}, {56, 4, 3}, 1, false},
         {{"tiles", {64, 32, 8, 8, 4, 2, 1}}}},
        {{SQUARE(1, 4, 1, 0), {64, 4, 4}, {1, 1, 1}, 128, false},
         {{"tiles", {4, 32, 8, 4, 4, 1, 16}}, {"tiles", {16, 64, 4, 8, 8, 2, 5}}}},
        {{{.channels = 5, .kernel = {1, 2}, .stride = {3, 2}, .padding = {0, 1}, .bias = true},
          {3, 7, 5},
          {5, 3, 3},
          128,
          false},
         {{"tiles", {16, 64, 8, 4, 4, 2, 1}}}},
        {{SQUARE(48, 3, 1, 1), {52, 1, 1}, {48, 1, 1}, 17, false},
         {{"tiles", {32, 16, 8, 8, 4, 1, 3}}}},
        {{SQUARE(49, 4, 2, 1), {49, 8, 6}, {56, 4, 3}, 1, true},
         {{"tiles", {32, 32, 16, 8, 4, 1, 1}}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = 0;
        while (cases[i].candidates[count].algorithm)
            count++;
        if (check_gathers(*state, &cases[i].geometry, cases[i].candidates, count) < 2 * count)
            fail_msg("a candidate is not possible for case %zu", i);
    }
}

static void weight_gradient_tiles_agree(void **state) {
    /* rows, columns, slab, item_rows, item_columns, slices, splits */
    static const shape_case cases[] = {
        {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
          {7, 9, 8},
          {13, 5, 3},
          37,
          false},
         {{"weight_gradient_tiles", {48, 12, 16, 6, 6, 4, 2}},
          {"weight_gradient_tiles", {24, 24, 4, 6, 4, 1, 1}}}},
        {{SQUARE(56, 5, 2, 2), {48, 7, 5}, {56, 4, 3}, 17, false},
         {{"weight_gradient_tiles", {16, 32, 8, 8, 4, 2, 1}},
          {"weight_gradient_tiles", {48, 32, 16, 8, 4, 4, 3}}}},
        {{SQUARE(52, 3, 2, 1), {50, 7, 5}, {52, 4, 3}, 1, false},
         {{"weight_gradient_tiles", {80, 16, 8, 5, 8, 2, 4}}}},
        {{SQUARE(1, 4, 1, 0), {64, 4, 4}, {1, 1, 1}, 128, false},
         {{"weight_gradient_tiles", {64, 4, 16, 4, 4, 4, 2}}}},
        {{SQUARE(5, 1, 1, 0), {1, 1, 1}, {5, 1, 1}, 128, false},
         {{"weight_gradient_tiles", {8, 8, 16, 2, 2, 1, 1}}}},
        {{SQUARE(48, 4, 2, 1), {48, 8, 6}, {56, 4, 3}, 17, true},
         {{"weight_gradient_tiles", {32, 64, 16, 8, 8, 1, 9}},
          {"weight_gradient_tiles", {24, 16, 4, 2, 8, 1, 2}}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = 0;
        while (cases[i].candidates[count].algorithm)
            count++;
        if (check_weight_gradients(*state, &cases[i].geometry, cases[i].candidates, count) < count)
            fail_msg("a candidate is not possible for case %zu", i);
    }
}

static void winograd_agrees(void **state) {
    us_device *device = *state;
    /* outputs, channels, vectors, item_vectors, inputs (0: all) */
    static const candidate candidates[] = {
        {"winograd", {2, 5, 1, 1, 0}}, {"winograd", {2, 6, 2, 2, 0}}, {"winograd", {2, 3, 1, 2, 0}},
        {"winograd", {3, 4, 2, 2, 0}}, {"winograd", {4, 7, 1, 1, 0}}, {"winograd", {4, 1, 2, 2, 0}},
        {"winograd", {4, 5, 2, 2, 4}}, {"winograd", {3, 4, 1, 1, 1}},
    };
    static const geometry geometries[] = {
        {{.channels = 13, .kernel = {4, 4}, .stride = {2, 2}, .padding = {1, 1}, .bias = true},
         {7, 18, 11},
         {13, 9, 5},
         0,
         false},
        {{.channels = 9, .kernel = {4, 4}, .stride = {2, 2}, .padding = {0, 0}, .bias = true},
         {8, 7, 13},
         {9, 2, 5},
         0,
         false},
        {{.channels = 9, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true},
         {7, 7, 5},
         {9, 4, 3},
         0,
         false},
        {{.channels = 8, .kernel = {5, 5}, .stride = {2, 2}, .padding = {2, 2}, .bias = true},
         {7, 9, 12},
         {8, 5, 6},
         0,
         false},
        {{.channels = 8, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .bias = true},
         {7, 7, 5},
         {8, 7, 5},
         0,
         false},
        {{.channels = 7, .kernel = {6, 6}, .stride = {3, 3}, .padding = {3, 3}, .bias = true},
         {7, 10, 7},
         {7, 4, 3},
         0,
         false},
        {{.channels = 7, .kernel = {4, 4}, .stride = {2, 2}, .padding = {3, 3}, .bias = true},
         {7, 1, 1},
         {7, 2, 2},
         0,
         false},
        /* More channels than an item takes, in tiles that overlap. */
        {{.channels = 336, .kernel = {4, 4}, .stride = {2, 2}, .padding = {1, 1}, .bias = true},
         {8, 5, 6},
         {336, 2, 3},
         0,
         false},
    };
    /* outputs, small, large, item_small, item_large, vectors, splits */
    static const candidate gradients[] = {
        {"weight_gradient_winograd", {2, 1, 3, 4, 6, 1, 1}},
        {"weight_gradient_winograd", {2, 1, 7, 6, 7, 2, 3}},
        {"weight_gradient_winograd", {3, 1, 2, 6, 4, 2, 2}},
        {"weight_gradient_winograd", {4, 1, 6, 7, 6, 1, 1}},
        {"weight_gradient_winograd", {4, 1, 5, 6, 5, 2, 2}},
        {"weight_gradient_winograd", {4, 1, 4, 13, 3, 1, 2}},
        {"weight_gradient_winograd", {4, 2, 6, 9, 6, 1, 1}},
        {"weight_gradient_winograd", {2, 2, 4, 13, 7, 2, 1}},
    };
    if (device->facts.execution == US_EXECUTION_LANES) skip(); /* made for vectors */
    for (size_t g = 0; g < sizeof geometries / sizeof *geometries; g++) {
        size_t gathers = check_gathers(device, &geometries[g], candidates,
                                       sizeof candidates / sizeof *candidates);
        assert_true(gathers >= 4);
        size_t made = check_weight_gradients(device, &geometries[g], gradients,
                                             sizeof gradients / sizeof *gradients);
        assert_true(made >= 2);
    }
}

/* The default of a layer wide enough to be staged on CPUs. */
static void wide_layers_agree(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_convolution_attributes wide = {
        .channels = 61, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true};
    us_shape in = {70, 4, 4}, out = {61, 2, 2};
    int batch = us_device_pad(&device->facts, IMAGES);
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

/* An argument is a pattern of tests' names: "quads*". */
int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_agree),
        cmocka_unit_test(quads_agree),
        cmocka_unit_test(weight_gradients_agree),
        cmocka_unit_test(weight_gradient_quads_agree),
        cmocka_unit_test(tiles_agree),
        cmocka_unit_test(weight_gradient_tiles_agree),
        cmocka_unit_test(winograd_agrees),
        cmocka_unit_test(wide_layers_agree),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
