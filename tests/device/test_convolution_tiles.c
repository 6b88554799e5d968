/* SPDX-License-Identifier: MIT */
/* Every algorithm for convolutions gives the same results with parameters that a tuner may choose,
 * against the reference on the host. The defaults are the self-test's. */
#include "test_convolution.h"

/* Not a round number anywhere: tiles overlap, borders are cut. */
static const geometry uneven = {
    {.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
    {7, 9, 8},
    {13, 5, 3},
    0,
    false};

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
    assert_int_equal(check_gathers(device, &uneven, US_PRECISION_FP32, candidates,
                                   sizeof candidates / sizeof *candidates),
                     2 * possible);
}

/* Few channels, as GPUs compute them. */
static void quads_agree(void **state) {
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
        if (check_gathers(*state, &cases[i].geometry, US_PRECISION_FP32, cases[i].candidates,
                          count) == 0)
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
    assert_int_equal(check_weight_gradients(*state, &uneven, US_PRECISION_FP32, candidates, count),
                     count);
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
    check_cases(*state, cases, sizeof cases / sizeof *cases, true, US_PRECISION_FP32);
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
    check_cases(*state, cases, sizeof cases / sizeof *cases, false, US_PRECISION_FP32);
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
    check_cases(*state, cases, sizeof cases / sizeof *cases, true, US_PRECISION_FP32);
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
        size_t gathers = check_gathers(device, &geometries[g], US_PRECISION_FP32, candidates,
                                       sizeof candidates / sizeof *candidates);
        assert_true(gathers >= 4);
        size_t made = check_weight_gradients(device, &geometries[g], US_PRECISION_FP32, gradients,
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
    expect(on[1], &(expected){y, us_shape_size(out), IMAGES, batch, US_PRECISION_FP32},
           "a wide layer");
    us_convolution_layer.destroy(layer);
    for (int i = 0; i < 4; i++)
        us_buffer_destroy(on[i]);
    free(x);
    free(w);
    free(b);
    free(y);
}

/* An output of one pixel as a product, of a channel and of several, against the convolution. */
static void flattened_agrees(void **state) {
    us_device *device = *state;
    static const shape_case cases[] = {
        {{SQUARE(1, 4, 1, 0), {10, 4, 4}, {1, 1, 1}, 128, false},
         {{"tiles", {4, 32, 8, 4, 4, 1, 5}}, {"direct", {1, 1, 1}}}},
        {{SQUARE(5, 3, 2, 0), {4, 3, 3}, {5, 1, 1}, 17, false},
         {{"tiles", {8, 16, 8, 4, 4, 1, 3}}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const geometry *g = &cases[i].geometry;
        operands o = open_operands(device, g);
        const size_t outputs = (size_t)g->small.channels * (size_t)g->images;
        double *y = room(outputs, sizeof *y);
        us_reference_convolution_forward(
            &(us_reference){.attributes = &g->attributes,
                            .in = g->large,
                            .out = g->small,
                            .n = g->images,
                            .x = o.large,
                            .y = y,
                            .tensors = (double *[]){o.weights, o.bias}});
        us_convolution_problem problem =
            problem_of(g, US_CONVOLUTION_DOWN, o.batch, US_PRECISION_FP32);
        us_convolution_flatten(&problem);
        assert_true(us_convolution_is_product(&problem));
        for (const candidate *c = cases[i].candidates; c->algorithm; c++) {
            us_choice choice;
            assert_true(choose(device, &problem, c, &choice));
            check_pass(&o, &problem, &choice, y, c->algorithm);
        }
        free(y);
        close_operands(&o);
    }
    us_convolution_problem padded =
        problem_of(&(geometry){SQUARE(1, 4, 2, 1), {10, 2, 2}, {1, 1, 1}, 0, false},
                   US_CONVOLUTION_DOWN, 32, US_PRECISION_FP32);
    us_convolution_flatten(&padded);
    assert_false(us_convolution_is_product(&padded));
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
        cmocka_unit_test(flattened_agrees),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
