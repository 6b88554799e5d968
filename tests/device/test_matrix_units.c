/* SPDX-License-Identifier: MIT */
/* Convolutions on matrix units, with each precision, over shapes that tiles and fragments do not
 * divide. Devices without units compute what the units would, word by word. */
#include "test_convolution.h"

#include "device/matrix_units.h"

/* Compiling takes nearly all of the time, so that the precisions share the shapes among them: cases
 * from the first one on, with words of one term or two. */
static void check_with(us_device *device, const shape_case *cases, size_t count, bool gradients,
                       us_precision precision) {
    for (size_t i = 0; i < count; i++) {
        shape_case one = cases[i];
        for (int c = 0; precision == US_PRECISION_BF16 && c < MOST_CANDIDATES; c++)
            one.candidates[c].parameters[2] *= 2;
        check_cases(device, &one, 1, gradients, precision);
    }
}

/* rows, columns, slab, item_rows, item_columns, pixels, splits */
static const shape_case gathers[] = {
    {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
      {7, 9, 8},
      {13, 5, 3},
      45,
      false},
     {{"matrix_units", {32, 32, 16, 4, 4, 2, 2}}}},
    {{SQUARE(52, 3, 2, 1), {50, 7, 5}, {52, 4, 3}, 17, false},
     {{"matrix_units", {48, 32, 8, 6, 8, 2, 3}}}},
    {{SQUARE(36, 5, 2, 2), {20, 7, 5}, {36, 4, 3}, 1, false},
     {{"matrix_units", {32, 16, 8, 2, 4, 1, 1}}}},
    {{SQUARE(1, 4, 1, 0), {40, 4, 4}, {1, 1, 1}, 128, false},
     {{"matrix_units", {16, 32, 8, 2, 8, 1, 5}}}},
    {{{.channels = 5, .kernel = {1, 2}, .stride = {3, 2}, .padding = {0, 1}, .bias = true},
      {3, 7, 5},
      {5, 3, 3},
      128,
      false},
     {{"matrix_units", {16, 64, 8, 2, 8, 2, 1}}}},
    {{SQUARE(21, 4, 2, 1), {21, 8, 6}, {24, 4, 3}, 1, true},
     {{"matrix_units", {32, 32, 16, 4, 4, 1, 1}}}},
    {{SQUARE(37, 1, 1, 0), {131, 1, 1}, {37, 1, 1}, 17, false}, /* a dense layer */
     {{"matrix_units", {48, 32, 8, 6, 8, 2, 3}}}},
};

/* rows, columns, slab, item_rows, item_columns, splits */
static const shape_case gradients[] = {
    {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
      {7, 9, 8},
      {13, 5, 3},
      45,
      false},
     {{"weight_gradient_matrix_units", {48, 16, 16, 6, 4, 0, 2}}}},
    {{SQUARE(36, 3, 2, 1), {48, 7, 5}, {36, 4, 3}, 25, false},
     {{"weight_gradient_matrix_units", {16, 32, 8, 2, 4, 0, 3}}}},
    {{SQUARE(20, 3, 2, 1), {50, 7, 5}, {20, 4, 3}, 1, false},
     {{"weight_gradient_matrix_units", {32, 32, 8, 4, 8, 0, 4}}}},
    {{SQUARE(1, 4, 1, 0), {40, 4, 4}, {1, 1, 1}, 128, false},
     {{"weight_gradient_matrix_units", {64, 16, 16, 8, 4, 0, 2}}}},
    {{SQUARE(16, 4, 2, 1), {16, 8, 6}, {24, 4, 3}, 17, true},
     {{"weight_gradient_matrix_units", {16, 32, 8, 2, 8, 0, 5}}}},
    {{SQUARE(37, 1, 1, 0), {131, 1, 1}, {37, 1, 1}, 17, false},
     {{"weight_gradient_matrix_units", {16, 32, 8, 2, 8, 0, 1}},
      {"weight_gradient_matrix_units", {48, 16, 8, 6, 4, 0, 2}}}},
};

enum {
    GATHERS = sizeof gathers / sizeof *gathers,
    GRADIENTS = sizeof gradients / sizeof *gradients
};

static void floats_agree(void **state) {
    check_with(*state, gathers, GATHERS, false, US_PRECISION_FP32);
    check_with(*state, gradients, GRADIENTS, true, US_PRECISION_FP32);
}

static void tf32_agrees(void **state) {
    check_with(*state, gathers, 1, false, US_PRECISION_TF32);
    check_with(*state, gradients, 1, true, US_PRECISION_TF32);
}

static void bf16_agrees(void **state) {
    check_with(*state, gathers, 2, false, US_PRECISION_BF16);
    check_with(*state, gradients, 2, true, US_PRECISION_BF16);
}

/* What a device is tried by when it is opened, with the stand-in for the units where there are
 * none; and that no device has some which do not compute it. */
static void units_are_tried(void **state) {
    us_device *device = *state;
    assert_true(us_matrix_units_compute(device, US_MATRIX_UNITS_NONE));
    if (device->facts.vendor != US_VENDOR_NVIDIA)
        assert_int_equal(device->facts.matrix_units, US_MATRIX_UNITS_NONE);
    else if (device->facts.matrix_units != US_MATRIX_UNITS_NONE)
        assert_true(us_matrix_units_compute(device, device->facts.matrix_units));
}

/* Without units every precision is fp32, so that nothing is tuned twice and no algorithm for them
 * is a default. */
static void devices_without_units_compute_with_floats(void **state) {
    us_device *device = *state;
    us_device_facts facts = device->facts;
    us_convolution_problem problem = problem_of(&gathers[1].geometry, US_CONVOLUTION_DOWN,
                                                us_device_pad(&facts, 128), US_PRECISION_TF32);
    facts.matrix_units = US_MATRIX_UNITS_NONE;
    for (int p = US_PRECISION_FP32; p <= US_PRECISION_BF16; p++)
        assert_int_equal(us_precision_on(&facts, (us_precision)p), US_PRECISION_FP32);
    us_choice choice = us_tunable_default(&us_convolution_tunable, &facts, &problem);
    assert_null(strstr(us_choice_algorithm(&us_convolution_tunable, &choice)->name, "matrix"));
    choice.algorithm = algorithm_named(&us_convolution_tunable, "matrix_units");
    assert_false(us_choice_algorithm(&us_convolution_tunable, &choice)
                     ->start(&facts, &problem, 0, choice.parameters));
    facts.matrix_units = US_MATRIX_UNITS_NVIDIA;
    facts.matrix_multiply_adds = 1024;
    assert_int_equal(us_precision_on(&facts, US_PRECISION_TF32), US_PRECISION_TF32);
    assert_true(us_choice_algorithm(&us_convolution_tunable, &choice)
                    ->start(&facts, &problem, 0, choice.parameters));
}

static const char *default_algorithm(int multiply_adds, us_convolution_pass pass,
                                     us_precision precision) {
    static const geometry wide = {SQUARE(256, 5, 2, 2), {128, 16, 16}, {256, 8, 8}, 128, false};
    const us_device_facts facts = {.execution = US_EXECUTION_LANES,
                                   .vendor = US_VENDOR_NVIDIA,
                                   .matrix_units = US_MATRIX_UNITS_NVIDIA,
                                   .matrix_multiply_adds = multiply_adds,
                                   .vector_width = 1,
                                   .group_size = 32,
                                   .compute_units = 100,
                                   .max_group_size = 1024,
                                   .registers = 65536,
                                   .memory_bytes = 1ull << 33,
                                   .largest_allocation_bytes = 1ull << 31,
                                   .local_bytes = 49152};
    us_convolution_problem problem = problem_of(&wide, pass, 128, precision);
    us_choice choice = us_tunable_default(&us_convolution_tunable, &facts, &problem);
    return us_choice_algorithm(&us_convolution_tunable, &choice)->name;
}

/* Three products are slower than none where there are as many units as lanes. */
static void few_units_are_for_lower_precisions(void **state) {
    (void)state;
    for (int pass = US_CONVOLUTION_DOWN; pass <= US_CONVOLUTION_WEIGHTS; pass++) {
        const us_convolution_pass of = (us_convolution_pass)pass;
        assert_non_null(strstr(default_algorithm(1024, of, US_PRECISION_FP32), "matrix_units"));
        assert_non_null(strstr(default_algorithm(1024, of, US_PRECISION_TF32), "matrix_units"));
        assert_null(strstr(default_algorithm(128, of, US_PRECISION_FP32), "matrix_units"));
        assert_non_null(strstr(default_algorithm(128, of, US_PRECISION_TF32), "matrix_units"));
    }
}

/* Winners of one precision are not those of another; of fp32 they are as they were. */
static void precisions_are_tuned_apart(void **state) {
    char keys[3][US_TUNABLE_TEXT];
    (void)state;
    for (int p = US_PRECISION_FP32; p <= US_PRECISION_BF16; p++) {
        us_convolution_problem problem =
            problem_of(&gathers[1].geometry, US_CONVOLUTION_DOWN, 32, (us_precision)p);
        us_convolution_tunable.key(&problem, keys[p]);
        assert_true(us_convolution_tunable.tolerance(&problem) ==
                    us_precision_tolerance((us_precision)p));
    }
    assert_null(strstr(keys[US_PRECISION_FP32], "fp32"));
    assert_non_null(strstr(keys[US_PRECISION_TF32], " tf32"));
    assert_non_null(strstr(keys[US_PRECISION_BF16], " bf16"));
}

/* An argument is a pattern of tests' names: "bf16*". */
int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_tried),
        cmocka_unit_test(devices_without_units_compute_with_floats),
        cmocka_unit_test(few_units_are_for_lower_precisions),
        cmocka_unit_test(precisions_are_tuned_apart),
        cmocka_unit_test(floats_agree),
        cmocka_unit_test(tf32_agrees),
        cmocka_unit_test(bf16_agrees),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
