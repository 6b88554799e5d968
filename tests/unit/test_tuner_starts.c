/* SPDX-License-Identifier: MIT */
/* From where a search starts, and what the models of algorithms decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tuning/tuner_starts.h"

/* Algorithms whose parameter is its number of cycles; a problem is the cycles of the defaults of
 * each, where they have any. */
typedef struct problem {
    int modelled, other, unmodelled; /* 0: no defaults */
} problem;

typedef struct parameters {
    int cycles;
} parameters;

static bool fill(int cycles, void *values) {
    ((parameters *)values)->cycles = cycles;
    return cycles > 0;
}

static bool modelled_defaults(const us_device_facts *device, const void *of, void *values) {
    (void)device;
    return fill(((const problem *)of)->modelled, values);
}
static bool other_defaults(const us_device_facts *device, const void *of, void *values) {
    (void)device;
    return fill(((const problem *)of)->other, values);
}
static bool unmodelled_defaults(const us_device_facts *device, const void *of, void *values) {
    (void)device;
    return fill(((const problem *)of)->unmodelled, values);
}

static bool valid(const us_device_facts *device, const void *of, const void *values) {
    (void)device, (void)of;
    return ((const parameters *)values)->cycles != 13;
}

static bool start(const us_device_facts *device, const void *of, int index, void *values) {
    static const int cycles[] = {300, 100, 13, 250, 150, 100};
    (void)device, (void)of;
    if (index >= (int)(sizeof cycles / sizeof *cycles)) return false;
    return fill(cycles[index], values);
}

static bool few_starts(const us_device_facts *device, const void *of, int index, void *values) {
    (void)device, (void)of;
    return index < 2 && fill(180 - index, values);
}

static double cycles(const us_device_facts *device, const void *of, const void *values) {
    (void)device, (void)of;
    return ((const parameters *)values)->cycles;
}

static const us_algorithm unmodelled = {
    .defaults = unmodelled_defaults, .valid = valid, .start = few_starts};
static const us_algorithm modelled = {
    .defaults = modelled_defaults, .valid = valid, .start = start, .cycles = cycles};
static const us_algorithm other = {
    .defaults = other_defaults, .valid = valid, .start = few_starts, .cycles = cycles};
static const us_algorithm *const algorithms[] = {&unmodelled, &modelled, &other, NULL};
enum { UNMODELLED, MODELLED, OTHER };
static const us_tunable tunable = {.algorithms = algorithms};

static void expect(const us_choice *choice, int algorithm, int value) {
    assert_int_equal(choice->algorithm, algorithm);
    assert_int_equal(choice->parameters[0], value);
}

/* The fewest cycles first, then what has no model; nothing twice, nothing that is not valid, and
 * nothing that takes more than twice as long as the best, or the default. */
static void the_fastest_first(void **state) {
    (void)state;
    const us_device_facts device = {0};
    us_choice starts[US_TUNER_STARTS];
    problem of = {.modelled = 400};
    assert_int_equal(us_tuner_starts(&tunable, &device, &of, starts), 6);
    expect(&starts[0], MODELLED, 100);
    expect(&starts[1], MODELLED, 150);
    expect(&starts[2], OTHER, 179);
    expect(&starts[3], OTHER, 180);
    expect(&starts[4], UNMODELLED, 180);
    expect(&starts[5], UNMODELLED, 179);
    of.modelled = 60;
    assert_int_equal(us_tuner_starts(&tunable, &device, &of, starts), 3);
    expect(&starts[0], MODELLED, 100);
    expect(&starts[1], UNMODELLED, 180);
    expect(&starts[2], UNMODELLED, 179);
}

/* The first of the table, unless a later one with a model takes fewer cycles by its. */
static void defaults_are_compared(void **state) {
    (void)state;
    const us_device_facts device = {0};
    us_choice choice = us_tunable_default(&tunable, &device, &(problem){20, 10, 90});
    expect(&choice, UNMODELLED, 90);
    choice = us_tunable_default(&tunable, &device, &(problem){20, 10, 0});
    expect(&choice, OTHER, 10);
    choice = us_tunable_default(&tunable, &device, &(problem){20, 20, 0});
    expect(&choice, MODELLED, 20);
    choice = us_tunable_default(&tunable, &device, &(problem){0, 20, 0});
    expect(&choice, OTHER, 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_first),
        cmocka_unit_test(defaults_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
