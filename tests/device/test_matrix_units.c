/* SPDX-License-Identifier: MIT */
/* Convolutions on matrix units, with each precision, over shapes that tiles and fragments do not
 * divide. Devices without units compute what the units would, word by word. */
#include "test_convolution.h"

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
};

/* rows, columns, slab, item_rows, item_columns, splits */
static const shape_case gradients[] = {
    {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
      {7, 9, 8},
      {13, 5, 3},
      45,
      false},
     {{"weight_gradient_matrix_units", {48, 16, 16, 6, 4, 2}}}},
    {{SQUARE(36, 3, 2, 1), {48, 7, 5}, {36, 4, 3}, 25, false},
     {{"weight_gradient_matrix_units", {16, 32, 8, 2, 4, 3}}}},
    {{SQUARE(20, 3, 2, 1), {50, 7, 5}, {20, 4, 3}, 1, false},
     {{"weight_gradient_matrix_units", {32, 32, 8, 4, 8, 4}}}},
    {{SQUARE(1, 4, 1, 0), {40, 4, 4}, {1, 1, 1}, 128, false},
     {{"weight_gradient_matrix_units", {64, 16, 16, 8, 4, 2}}}},
    {{SQUARE(16, 4, 2, 1), {16, 8, 6}, {24, 4, 3}, 17, true},
     {{"weight_gradient_matrix_units", {16, 32, 8, 2, 8, 5}}}},
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

/* An argument is a pattern of tests' names: "bf16*". */
int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_agree),
        cmocka_unit_test(tf32_agrees),
        cmocka_unit_test(bf16_agrees),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
