/* SPDX-License-Identifier: MIT */
/* What a BatchNorm needs of each channel, as the kernels of convolutions for GPUs take it from their
 * outputs: against sums on the host over what they wrote, in double precision. */
#include "test_convolution.h"

#include "base/arithmetic.h"
#include "selftest/selftest.h"

extern const us_selftest_group us_selftest_normalized;

/* The operands of a pass besides those of a convolution, and what it gave. */
typedef struct pass_values {
    size_t channels, pixels, batch;
    float *y, *z, *parts; /* z: what the normalisation read */
    float *statistics;    /* [4][channels], the means first */
    us_buffer *y_on, *z_on, *statistics_on;
} pass_values;

static size_t count_floats(const pass_values *v) {
    return v->channels * v->pixels * v->batch;
}

static us_buffer *upload_floats(us_device *device, const float *values, size_t count) {
    unseen_error error;
    us_buffer *made;
    TEST_OK(us_buffer_create(device, count * sizeof *values, "operand", &made, &error));
    TEST_OK(us_buffer_write(made, 0, values, count * sizeof *values, &error));
    return made;
}

static pass_values open_values(us_device *device, us_shape out, int batch) {
    pass_values v = {.channels = (size_t)out.channels,
                     .pixels = (size_t)out.height * (size_t)out.width,
                     .batch = (size_t)batch};
    v.y = room(count_floats(&v), sizeof *v.y);
    v.z = room(count_floats(&v), sizeof *v.z);
    v.statistics = room(4 * v.channels, sizeof *v.statistics);
    for (size_t i = 0; i < count_floats(&v); i++)
        v.z[i] = 3 + (float)(i * 7919 % 1013) / 1013;
    for (size_t c = 0; c < v.channels; c++)
        v.statistics[c] = 3.4f + (float)c / 100;
    v.y_on = upload_floats(device, v.y, count_floats(&v));
    v.z_on = upload_floats(device, v.z, count_floats(&v));
    v.statistics_on = upload_floats(device, v.statistics, 4 * v.channels);
    return v;
}

static void close_values(pass_values *v) {
    free(v->y);
    free(v->z);
    free(v->statistics);
    us_buffer_destroy(v->y_on);
    us_buffer_destroy(v->z_on);
    us_buffer_destroy(v->statistics_on);
}

static void expect_close(double found, double wanted, double scale, double limit, const char *what,
                         size_t channel) {
    if (!(fabs(found - wanted) <= limit * scale))
        fail_msg("%s of channel %zu: %.9g instead of %.9g", what, channel, found, wanted);
}

/* Parts of a channel's moments as one: count, mean, sum of squared deviations. */
static void combine(const float *parts, size_t stride, double all[3]) {
    all[0] = all[1] = all[2] = 0;
    for (size_t i = 0; i < stride; i++) {
        const double count = parts[i], more = parts[stride + i] - all[1], sum = all[0] + count;
        if (count == 0) continue;
        all[1] += more * count / sum;
        all[2] += parts[2 * stride + i] + more * more * all[0] * count / sum;
        all[0] = sum;
    }
}

static void check_moments(const pass_values *v, size_t c, size_t stride, int n) {
    const float *y = v->y + c * v->pixels * v->batch;
    const double count = (double)v->pixels * n;
    double found[3], mean = 0, squares = 0;
    combine(v->parts + c * 3 * stride, stride, found);
    for (size_t i = 0; i < v->pixels * v->batch; i++)
        if (i % v->batch < (size_t)n) mean += y[i] / count;
    for (size_t i = 0; i < v->pixels * v->batch; i++)
        if (i % v->batch < (size_t)n) squares += (y[i] - mean) * (y[i] - mean);
    expect_close(found[0], count, 1, 0, "count", c);
    expect_close(found[1], mean, fabs(mean) + sqrt(squares / count), 1e-6, "mean", c);
    expect_close(found[2], squares, squares, 1e-4, "squares", c);
}

static void check_sums(const pass_values *v, size_t c, size_t stride, int n) {
    const float *parts = v->parts + c * 2 * stride;
    double sum = 0, product = 0, scale = 0, found[2] = {0};
    for (size_t i = 0; i < v->pixels * v->batch; i++) {
        const size_t at = c * v->pixels * v->batch + i;
        if (i % v->batch >= (size_t)n) continue;
        sum += v->y[at];
        product += v->y[at] * ((double)v->z[at] - v->statistics[c]);
        scale += fabs(v->y[at]);
    }
    for (size_t i = 0; i < stride; i++) {
        found[0] += parts[i];
        found[1] += parts[stride + i];
    }
    expect_close(found[0], sum, scale, 1e-6, "sum", c);
    expect_close(found[1], product, scale, 1e-6, "products", c);
}

/* What the pass is asked for. */
typedef struct request {
    bool sums; /* else moments */
    int n;
} request;

/* Runs the convolution twice, which gives the same bits, and checks what it took. */
static void check_request(const operands *o, us_convolution *convolution, bool up, pass_values *v,
                          request wanted) {
    unseen_error error;
    us_parts taken = {0};
    us_convolution_args args = {.large = up ? v->y_on : o->large_on,
                                .small = up ? o->small_on : v->y_on,
                                .weights = o->weights_on,
                                .bias = o->bias_on,
                                .input = up ? o->large_on : o->small_on,
                                .n = wanted.n,
                                .normalized = v->z_on,
                                .statistics = v->statistics_on};
    *(wanted.sums ? &args.sums : &args.moments) = &taken;
    float *first = NULL;
    for (int run = 0; run < 2; run++) {
        TEST_OK(us_convolution_run(convolution, &args, &error));
        assert_true(taken.stride > 0);
        const size_t stride = (size_t)taken.stride, values = wanted.sums ? 2 : 3;
        const size_t count = v->channels * values * stride;
        v->parts = room(count, sizeof *v->parts);
        TEST_OK(us_buffer_read(v->y_on, 0, v->y, count_floats(v) * sizeof *v->y, &error));
        TEST_OK(us_buffer_read(taken.buffer, 0, v->parts, count * sizeof *v->parts, &error));
        for (size_t c = 0; c < v->channels; c++)
            (wanted.sums ? check_sums : check_moments)(v, c, stride, wanted.n);
        if (first) assert_memory_equal(first, v->parts, count * sizeof *first);
        free(first);
        first = v->parts;
    }
    free(first);
}

/* A pass up or down by a choice: moments of its outputs, whose mean may be large beside their
 * deviation, or sums of gradients; of all images, and of some. */
static void check_pass_sums(operands *o, us_convolution_pass pass, us_precision precision,
                            const candidate *c) {
    us_device *device = o->device;
    unseen_error error;
    const int images = count_images(o->geometry), some = us_divide_up(images, 3);
    for (int sums = 0; sums < 2; sums++) {
        us_choice choice;
        us_convolution *convolution;
        us_convolution_problem problem = problem_of(o->geometry, pass, o->batch, precision);
        problem.moments = true;
        if (sums) problem.input_activation = (us_activation){US_ACTIVATION_LEAKY_RELU, 0.25f};
        if (sums) problem.bias = false;
        if (!choose(device, &problem, c, &choice)) fail_msg("%s is not possible", c->algorithm);
        TEST_OK(us_convolution_create(&(us_build){.device = device}, &problem, &choice,
                                      &convolution, &error));
        pass_values v = open_values(device, us_convolution_out(&problem), o->batch);
        const bool up = pass == US_CONVOLUTION_UP;
        check_request(o, convolution, up, &v, (request){sums, images});
        check_request(o, convolution, up, &v, (request){sums, some});
        close_values(&v);
        us_convolution_destroy(convolution);
    }
}

static void check_all(us_device *device, const shape_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        operands o = open_operands(device, &cases[i].geometry);
        const size_t outputs = (size_t)cases[i].geometry.attributes.channels;
        for (size_t b = 0; b < outputs; b++)
            o.bias[b] = 1000 + (double)b;
        us_buffer_destroy(o.bias_on);
        o.bias_on = upload(device, o.bias, outputs, 1, 1);
        for (int c = 0; c < MOST_CANDIDATES && cases[i].candidates[c].algorithm; c++) {
            check_pass_sums(&o, US_CONVOLUTION_DOWN, US_PRECISION_FP32, &cases[i].candidates[c]);
            check_pass_sums(&o, US_CONVOLUTION_UP, US_PRECISION_FP32, &cases[i].candidates[c]);
        }
        close_operands(&o);
    }
}

/* Tiles that lack channels, phases and cells; slices that share outputs, and one alone. */
static void quads_take_sums(void **state) {
    /* channels, phases, quads, pixels, tiles, slices, inputs, staged */
    static const shape_case cases[] = {
        {{{.channels = 7, .kernel = {3, 2}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
          {5, 9, 8},
          {7, 6, 3},
          37,
          false},
         {{"quads", {4, 1, 2, 3, 2, 3, 2, 1}}, {"quads", {5, 1, 4, 2, 3, 1, 2, 1}}}},
        {{SQUARE(3, 4, 2, 1), {3, 6, 10}, {8, 3, 5}, 128, true},
         {{"quads", {3, 1, 32, 4, 1, 1, 3, 1}}}},
        {{SQUARE(5, 1, 1, 0), {1, 1, 1}, {5, 1, 1}, 1, false},
         {{"quads", {1, 1, 1, 4, 3, 1, 1, 1}}}},
    };
    check_all(*state, cases, sizeof cases / sizeof *cases);
}

/* All phases of an item at once, which only passes up have. */
static void phases_take_sums(void **state) {
    static const geometry g = {SQUARE(3, 4, 2, 1), {3, 6, 10}, {5, 3, 5}, 17, true};
    operands o = open_operands(*state, &g);
    check_pass_sums(&o, US_CONVOLUTION_UP, US_PRECISION_FP32,
                    &(candidate){"quads", {3, 4, 4, 2, 1, 3, 2, 1}});
    check_pass_sums(&o, US_CONVOLUTION_UP, US_PRECISION_FP32,
                    &(candidate){"quads", {3, 2, 4, 3, 2, 1, 2, 1}});
    close_operands(&o);
}

/* Of a tile, and of what adds the splits. */
static void tiles_take_sums(void **state) {
    /* rows, columns, slab, item_rows, item_columns, pixels, splits */
    static const shape_case cases[] = {
        {{{.channels = 13, .kernel = {3, 2}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
          {7, 9, 8},
          {13, 6, 3},
          37,
          false},
         {{"tiles", {16, 16, 4, 4, 4, 1, 1}}, {"tiles", {8, 16, 8, 8, 4, 4, 2}}}},
        {{SQUARE(20, 4, 2, 1), {20, 8, 6}, {12, 4, 3}, 1, true},
         {{"tiles", {16, 32, 16, 8, 4, 2, 1}}}},
        {{SQUARE(5, 1, 1, 0), {3, 1, 1}, {5, 1, 1}, 128, false},
         {{"tiles", {16, 64, 8, 4, 4, 1, 1}}}},
    };
    check_all(*state, cases, sizeof cases / sizeof *cases);
}

/* Each kind of units, in OpenCL C. */
static void matrix_units_take_sums(void **state) {
    us_device *device = *state;
    const us_device_facts own = device->facts;
    static const geometry g = {SQUARE(36, 3, 2, 1), {20, 7, 5}, {36, 4, 3}, 37, false};
    /* rows, columns, slab, rows and columns of an item, pixels, splits */
    static const struct {
        us_matrix_units units;
        us_precision precision;
        candidate candidate;
    } cases[] = {
        {US_MATRIX_UNITS_MMA, US_PRECISION_FP32, {"matrix_units", {32, 32, 8, 4, 4, 2, 1}}},
        {US_MATRIX_UNITS_MMA, US_PRECISION_FP32, {"matrix_units", {32, 32, 8, 4, 4, 2, 3}}},
        {US_MATRIX_UNITS_MFMA, US_PRECISION_FP32, {"matrix_units", {64, 64, 8, 1, 16, 4, 1}}},
        {US_MATRIX_UNITS_WMMA, US_PRECISION_BF16, {"matrix_units", {32, 32, 16, 1, 8, 2, 1}}},
        {US_MATRIX_UNITS_DPAS, US_PRECISION_BF16, {"matrix_units", {16, 32, 16, 2, 16, 2, 1}}},
        {US_MATRIX_UNITS_DPAS16, US_PRECISION_TF32, {"matrix_units", {16, 32, 8, 1, 16, 2, 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device->facts.matrix_units = cases[i].units;
        device->facts.matrix_emulated = cases[i].units != own.matrix_units;
        operands o = open_operands(device, &g);
        check_pass_sums(&o, US_CONVOLUTION_DOWN, cases[i].precision, &cases[i].candidate);
        check_pass_sums(&o, US_CONVOLUTION_UP, cases[i].precision, &cases[i].candidate);
        close_operands(&o);
        device->facts = own;
    }
}

/* Nothing is taken where nobody asks, nor of what has an activation already, nor where there is no
 * local memory left. */
static void not_always_taken(void **state) {
    us_device *device = *state;
    static const geometry g = {SQUARE(12, 4, 2, 1), {3, 8, 10}, {12, 4, 5}, 37, false};
    static const candidate quads = {"quads", {3, 1, 4, 4, 1, 3, 1, 1}};
    operands o = open_operands(device, &g);
    unseen_error error;
    for (int run = 0; run < 3; run++) {
        const us_device_facts own = device->facts;
        us_choice choice;
        us_convolution *convolution;
        us_convolution_problem problem =
            problem_of(&g, US_CONVOLUTION_DOWN, o.batch, US_PRECISION_FP32);
        us_parts moments = {0};
        assert_true(choose(device, &problem, &quads, &choice));
        problem.moments = run > 0;
        if (run == 1) problem.activation.kind = US_ACTIVATION_RELU;
        if (run == 2) device->facts.local_bytes = 64;
        TEST_OK(us_convolution_create(&(us_build){.device = device}, &problem, &choice,
                                      &convolution, &error));
        us_convolution_args args = {.large = o.large_on,
                                    .small = o.small_on,
                                    .weights = o.weights_on,
                                    .bias = o.bias_on,
                                    .n = count_images(&g),
                                    .moments = &moments};
        TEST_OK(us_convolution_run(convolution, &args, &error));
        assert_int_equal(moments.stride, 0);
        us_convolution_destroy(convolution);
        device->facts = own;
    }
    close_operands(&o);
}

/* A BatchNorm between two convolutions as GPUs run them, against the host: the self-test's cases, on
 * a device that works the way of GPUs and passes for one. */
static void layers_agree(void **state) {
    us_device *device = *state;
    const us_device_facts own = device->facts;
    unseen_error error;
    if (own.execution != US_EXECUTION_LANES) skip();
    us_selftest test = {.device = device, .results = cJSON_CreateArray()};
    device->facts.is_cpu = false;
    for (int i = 0; i < us_selftest_normalized.cases; i++)
        TEST_OK(us_selftest_normalized.run(&test, i, &error));
    device->facts = own;
    char *found = cJSON_PrintUnformatted(test.results);
    if (test.failed > 0 || test.cases == 0) fail_msg("%s", found);
    free(found);
    cJSON_Delete(test.results);
}

int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quads_take_sums),  cmocka_unit_test(phases_take_sums),
        cmocka_unit_test(tiles_take_sums),  cmocka_unit_test(matrix_units_take_sums),
        cmocka_unit_test(not_always_taken), cmocka_unit_test(layers_agree),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
