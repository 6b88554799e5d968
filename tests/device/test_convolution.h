/* SPDX-License-Identifier: MIT */
/* Convolutions and their gradients by given algorithms and parameters, against the reference on the
 * host. */
#ifndef TEST_CONVOLUTION_H
#define TEST_CONVOLUTION_H

#include "test_device.h"
#include "test_operands.h"

#include <math.h>

#include "ops/convolution/layer.h"
#include "ops/convolution/table.h"
#include "selftest/reference.h"
#include "test_choices.h"

enum { IMAGES = 37, MOST_CANDIDATES = 4 };

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

/* What a device makes of a batch, or of weights (images and batch 1). */
typedef struct expected {
    const double *values;
    size_t rows;
    int images, batch;
    us_precision precision;
} expected;

static double tolerance_of(us_precision precision) {
    return precision == US_PRECISION_FP32 ? 1e-5 : us_precision_tolerance(precision);
}

static void expect(us_buffer *buffer, const expected *e, const char *what) {
    const int images = e->images, batch = e->batch;
    const double *values = e->values;
    const size_t rows = e->rows;
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
            if (!(fabs(have - want) <= tolerance_of(e->precision) * scale))
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

static bool uses_matrix_units(const us_tunable *tunable, const us_choice *choice) {
    return strstr(us_choice_algorithm(tunable, choice)->name, "matrix_units") != NULL;
}

/* Tiles of as many pixels, or slabs of as few images, as suit a padded batch. */
static void fit_tiles(us_device *device, const us_convolution_problem *problem, us_choice *choice) {
    const us_tunable *tunable = &us_convolution_tunable;
    const int occupied = us_device_occupied(&device->facts, problem->batch);
    if (problem->pass == US_CONVOLUTION_WEIGHTS) {
        int slab = parameter_named(tunable, choice, "slab");
        while (occupied % slab != 0)
            slab /= 2;
        set_parameter(tunable, choice, "slab", slab);
        if (!uses_matrix_units(tunable, choice) &&
            parameter_named(tunable, choice, "slices") > slab / 4)
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
    const bool tiled = strstr(c->algorithm, "tiles") || strstr(c->algorithm, "matrix_units");
    if (tiled) fit_tiles(device, problem, choice);
    if (tiled || strstr(c->algorithm, "winograd") || strstr(c->algorithm, "quads"))
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
    expect(y,
           &(expected){want, us_shape_size(out), count_images(o->geometry), o->batch,
                       problem->precision},
           what);
    us_convolution_destroy(convolution);
    us_buffer_destroy(y);
}

static us_convolution_problem problem_of(const geometry *g, us_convolution_pass pass, int batch,
                                         us_precision precision) {
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
        .precision = precision,
    };
}

/* The convolution and the gradient of its input by each of the candidates that are possible. */
static size_t check_gathers(us_device *device, const geometry *g, us_precision precision,
                            const candidate *all, size_t count) {
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
    us_convolution_problem down = problem_of(g, US_CONVOLUTION_DOWN, o.batch, precision);
    us_convolution_problem up = problem_of(g, US_CONVOLUTION_UP, o.batch, precision);
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

/* The gradients of weights and bias, computed twice and added, by each of the candidates that are
 * possible. */
static size_t check_weight_gradients(us_device *device, const geometry *g, us_precision precision,
                                     const candidate *all, size_t count) {
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
    const us_convolution_problem problem =
        problem_of(g, US_CONVOLUTION_WEIGHTS, o.batch, precision);
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
        expect(args.weights, &(expected){twice, weights, 1, 1, precision}, what);
        snprintf(what, sizeof what, "bias gradient %zu, %s", i, all[i].algorithm);
        expect(args.bias, &(expected){bias, outputs, 1, 1, US_PRECISION_FP32}, what);
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

/* Attributes of a square kernel. */
#define SQUARE(out, k, s, p)                                                                       \
    { .channels = (out), .kernel = {k, k}, .stride = {s, s}, .padding = {p, p}, .bias = true }

/* A shape, and candidates of which some are possible for it. */
typedef struct shape_case {
    geometry geometry;
    candidate candidates[MOST_CANDIDATES];
} shape_case;

/* Candidates of each case, all of which must be possible; both passes, or the gradients. */
static inline void check_cases(us_device *device, const shape_case *cases, size_t case_count,
                               bool gradients, us_precision precision) {
    for (size_t i = 0; i < case_count; i++) {
        size_t count = 0;
        while (count < MOST_CANDIDATES && cases[i].candidates[count].algorithm)
            count++;
        const geometry *g = &cases[i].geometry;
        const candidate *all = cases[i].candidates;
        size_t checked = gradients ? check_weight_gradients(device, g, precision, all, count)
                                   : check_gathers(device, g, precision, all, count) / 2;
        if (checked < count)
            fail_msg("a candidate is not possible for %d to %d channels, %d images",
                     g->large.channels, g->small.channels, count_images(g));
    }
}

#endif
