/* SPDX-License-Identifier: MIT */
/* Convolutions on matrix units, with each precision, over shapes that tiles and fragments do not
 * divide. Devices without units compute what the units would, word by word. */
#include "test_convolution.h"

#include "device/matrix_units.h"

static int round_up(int value, int step) {
    return (value + step - 1) / step * step;
}

/* Makes the sides of a group and of a warp whole fragments, and the warp's those of an item; words
 * of two terms take slabs twice as long. */
static void fit_unit(const us_device_facts *device, us_precision precision, candidate *c) {
    const us_matrix_unit *unit = us_matrix_unit_of(device->matrix_units);
    int *rows = &c->parameters[0], *columns = &c->parameters[1];
    int *item_rows = &c->parameters[3], *item_columns = &c->parameters[4];
    *rows = round_up(*rows, unit->lines);
    *columns = round_up(*columns, unit->lines);
    *item_rows = round_up(*item_rows, unit->lines) / unit->items_high;
    *item_columns = round_up(*item_columns, unit->lines) / unit->items_wide;
    while (*item_rows * *item_columns > 128)
        *item_columns /= 2;
    if (precision == US_PRECISION_BF16) c->parameters[2] *= 2;
}

/* Compiling takes nearly all of the time, so that units and precisions share the shapes among them:
 * cases from the first one on. The device has the units, or what stands for them. */
static void check_with(us_device *device, const shape_case *cases, size_t count, bool gradients,
                       us_precision precision) {
    for (size_t i = 0; i < count; i++) {
        shape_case one = cases[i];
        for (int c = 0; c < MOST_CANDIDATES && one.candidates[c].algorithm; c++)
            fit_unit(&device->facts, precision, &one.candidates[c]);
        check_cases(device, &one, 1, gradients, precision);
    }
}

/* rows, columns, slab, rows and columns of a warp, pixels, splits */
static const shape_case gathers[] = {
    {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
      {7, 9, 8},
      {13, 5, 3},
      45,
      false},
     {{"matrix_units", {32, 32, 16, 32, 16, 2, 2}}}},
    {{SQUARE(52, 3, 2, 1), {50, 7, 5}, {52, 4, 3}, 17, false},
     {{"matrix_units", {48, 32, 8, 48, 32, 2, 3}}}},
    {{SQUARE(36, 5, 2, 2), {20, 7, 5}, {36, 4, 3}, 1, false},
     {{"matrix_units", {32, 16, 8, 16, 16, 1, 1}}}},
    {{SQUARE(1, 4, 1, 0), {40, 4, 4}, {1, 1, 1}, 128, false},
     {{"matrix_units", {16, 32, 8, 16, 32, 1, 5}}}},
    {{{.channels = 5, .kernel = {1, 2}, .stride = {3, 2}, .padding = {0, 1}, .bias = true},
      {3, 7, 5},
      {5, 3, 3},
      128,
      false},
     {{"matrix_units", {16, 64, 8, 16, 32, 2, 1}}}},
    {{SQUARE(21, 4, 2, 1), {21, 8, 6}, {24, 4, 3}, 1, true},
     {{"matrix_units", {32, 32, 16, 32, 16, 1, 1}}}},
    {{SQUARE(37, 1, 1, 0), {131, 1, 1}, {37, 1, 1}, 17, false}, /* a dense layer */
     {{"matrix_units", {48, 32, 8, 48, 32, 2, 3}}}},
};

/* rows, columns, slab, rows and columns of a warp, none, splits */
static const shape_case gradients[] = {
    {{{.channels = 13, .kernel = {5, 4}, .stride = {2, 3}, .padding = {2, 1}, .bias = true},
      {7, 9, 8},
      {13, 5, 3},
      45,
      false},
     {{"weight_gradient_matrix_units", {48, 16, 16, 48, 16, 0, 2}}}},
    {{SQUARE(36, 3, 2, 1), {48, 7, 5}, {36, 4, 3}, 25, false},
     {{"weight_gradient_matrix_units", {16, 32, 8, 16, 16, 0, 3}}}},
    {{SQUARE(20, 3, 2, 1), {50, 7, 5}, {20, 4, 3}, 1, false},
     {{"weight_gradient_matrix_units", {32, 32, 8, 32, 32, 0, 4}}}},
    {{SQUARE(1, 4, 1, 0), {40, 4, 4}, {1, 1, 1}, 128, false},
     {{"weight_gradient_matrix_units", {64, 16, 16, 64, 16, 0, 2}}}},
    {{SQUARE(16, 4, 2, 1), {16, 8, 6}, {24, 4, 3}, 17, true},
     {{"weight_gradient_matrix_units", {16, 32, 8, 16, 32, 0, 5}}}},
    {{SQUARE(37, 1, 1, 0), {131, 1, 1}, {37, 1, 1}, 17, false},
     {{"weight_gradient_matrix_units", {16, 32, 8, 16, 32, 0, 1}},
      {"weight_gradient_matrix_units", {48, 16, 8, 48, 16, 0, 2}}}},
};

enum {
    GATHERS = sizeof gathers / sizeof *gathers,
    GRADIENTS = sizeof gradients / sizeof *gradients
};

/* As many gathers and gradients with such units: the device's own, or in OpenCL C. */
static void check_units(us_device *device, us_matrix_units units, us_precision precision,
                        size_t gather_count, size_t gradient_count) {
    const us_device_facts own = device->facts;
    device->facts.matrix_units = units;
    device->facts.matrix_emulated = units != own.matrix_units;
    check_with(device, gathers, gather_count, false, precision);
    check_with(device, gradients, gradient_count, true, precision);
    device->facts = own;
}

static void mma_agrees(void **state) {
    check_units(*state, US_MATRIX_UNITS_MMA, US_PRECISION_FP32, GATHERS, GRADIENTS);
    check_units(*state, US_MATRIX_UNITS_MMA, US_PRECISION_TF32, 1, 1);
    check_units(*state, US_MATRIX_UNITS_MMA, US_PRECISION_BF16, 2, 2);
}

static void mfma_agrees(void **state) {
    check_units(*state, US_MATRIX_UNITS_MFMA, US_PRECISION_FP32, 4, 3);
    check_units(*state, US_MATRIX_UNITS_MFMA, US_PRECISION_BF16, 2, 2);
}

static void wmma_agrees(void **state) {
    check_units(*state, US_MATRIX_UNITS_WMMA, US_PRECISION_BF16, 4, 2);
}

static void dpas_agrees(void **state) {
    check_units(*state, US_MATRIX_UNITS_DPAS, US_PRECISION_BF16, 4, 2);
}

static void dpas16_agrees(void **state) {
    check_units(*state, US_MATRIX_UNITS_DPAS16, US_PRECISION_TF32, 3, 2);
    check_units(*state, US_MATRIX_UNITS_DPAS16, US_PRECISION_BF16, 4, 2);
}

/* What a device is tried by when it is opened, in OpenCL C; that what is no such unit does not
 * pass, and that no device has units which do not compute it. Assembly of others is not shown to
 * compilers, which may give up the program over it. */
static void units_are_tried(void **state) {
    us_device *device = *state;
    const us_matrix_units own = device->facts.matrix_units;
    for (int units = US_MATRIX_UNITS_MMA; units < US_MATRIX_UNITS_COUNT; units++)
        assert_true(us_matrix_units_compute(device, (us_matrix_units)units, true));
    if (own != US_MATRIX_UNITS_NONE) assert_true(us_matrix_units_compute(device, own, false));
    if (device->facts.is_cpu) {
        assert_int_equal(own, US_MATRIX_UNITS_NONE);
        assert_false(us_matrix_units_compute(device, US_MATRIX_UNITS_WMMA, false));
    }
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
    facts.matrix_units = US_MATRIX_UNITS_MMA;
    facts.matrix_multiply_adds = 1024;
    assert_int_equal(us_precision_on(&facts, US_PRECISION_TF32), US_PRECISION_TF32);
    assert_true(us_choice_algorithm(&us_convolution_tunable, &choice)
                    ->start(&facts, &problem, 0, choice.parameters));
}

/* A GPU with units, else like others. */
static us_device_facts facts_with(us_matrix_units units, int multiply_adds) {
    static const us_vendor vendors[] = {US_VENDOR_OTHER, US_VENDOR_NVIDIA, US_VENDOR_AMD,
                                        US_VENDOR_AMD,   US_VENDOR_INTEL,  US_VENDOR_INTEL};
    return (us_device_facts){.execution = US_EXECUTION_LANES,
                             .vendor = vendors[units],
                             .matrix_units = units,
                             .matrix_multiply_adds = multiply_adds,
                             .matrix_bf16_factor = 1,
                             .vector_width = 1,
                             .group_size = units == US_MATRIX_UNITS_MFMA ? 64 : 32,
                             .compute_units = 100,
                             .max_group_size = 1024,
                             .registers = 65536,
                             .memory_bytes = 1ull << 33,
                             .largest_allocation_bytes = 1ull << 31,
                             .local_bytes = 49152};
}

static us_convolution_problem wide_problem(us_convolution_pass pass, us_precision precision) {
    static const geometry wide = {SQUARE(256, 5, 2, 2), {128, 16, 16}, {256, 8, 8}, 128, false};
    return problem_of(&wide, pass, 128, precision);
}

static bool is_default(const us_device_facts *facts, us_convolution_pass pass,
                       us_precision precision) {
    const us_convolution_problem problem = wide_problem(pass, precision);
    us_choice choice = us_tunable_default(&us_convolution_tunable, facts, &problem);
    return uses_matrix_units(&us_convolution_tunable, &choice);
}

/* Three products are slower than none where there are as many units as lanes. */
static void few_units_are_for_lower_precisions(void **state) {
    (void)state;
    const us_device_facts many = facts_with(US_MATRIX_UNITS_MMA, 1024);
    const us_device_facts few = facts_with(US_MATRIX_UNITS_MMA, 128);
    for (int pass = US_CONVOLUTION_DOWN; pass <= US_CONVOLUTION_WEIGHTS; pass++) {
        const us_convolution_pass of = (us_convolution_pass)pass;
        assert_true(is_default(&many, of, US_PRECISION_FP32));
        assert_true(is_default(&many, of, US_PRECISION_TF32));
        assert_false(is_default(&few, of, US_PRECISION_FP32));
        assert_true(is_default(&few, of, US_PRECISION_TF32));
    }
}

/* What a unit does not have is computed as floats, by it or without it, and the tuner is shown only
 * what they can compute. */
static void units_compute_what_they_have(void **state) {
    (void)state;
    static const struct {
        us_matrix_units units;
        bool has[3]; /* by precision; then they are the default */
    } cases[] = {
        {US_MATRIX_UNITS_WMMA, {false, false, true}},
        {US_MATRIX_UNITS_MFMA, {true, false, true}},
        {US_MATRIX_UNITS_DPAS, {false, false, true}},
        {US_MATRIX_UNITS_DPAS16, {false, true, true}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const us_device_facts facts = facts_with(cases[i].units, 128);
        for (int p = US_PRECISION_FP32; p <= US_PRECISION_BF16; p++) {
            const us_precision precision = (us_precision)p;
            const bool has = cases[i].has[p];
            assert_int_equal(us_precision_on(&facts, precision),
                             has ? precision : US_PRECISION_FP32);
            for (int pass = US_CONVOLUTION_DOWN; pass <= US_CONVOLUTION_WEIGHTS; pass++) {
                const us_convolution_pass of = (us_convolution_pass)pass;
                const us_convolution_problem problem = wide_problem(of, precision);
                us_choice choice = {.algorithm =
                                        algorithm_named(&us_convolution_tunable,
                                                        pass == US_CONVOLUTION_WEIGHTS
                                                            ? "weight_gradient_matrix_units"
                                                            : "matrix_units")};
                const us_algorithm *algorithm =
                    us_choice_algorithm(&us_convolution_tunable, &choice);
                assert_int_equal(algorithm->start(&facts, &problem, 0, choice.parameters), has);
                assert_int_equal(has && algorithm->valid(&facts, &problem, choice.parameters), has);
                assert_int_equal(is_default(&facts, of, precision), has);
            }
        }
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

/* An argument is a pattern of tests' names: "mfma*". */
int main(int argc, char **argv) {
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_tried),
        cmocka_unit_test(devices_without_units_compute_with_floats),
        cmocka_unit_test(few_units_are_for_lower_precisions),
        cmocka_unit_test(units_compute_what_they_have),
        cmocka_unit_test(precisions_are_tuned_apart),
        cmocka_unit_test(mma_agrees),
        cmocka_unit_test(mfma_agrees),
        cmocka_unit_test(wmma_agrees),
        cmocka_unit_test(dpas_agrees),
        cmocka_unit_test(dpas16_agrees),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
