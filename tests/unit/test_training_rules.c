/* SPDX-License-Identifier: MIT */
/* Schedules, and the rules of stopping and of collapse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "training/collapse.h"
#include "training/schedule.h"
#include "training/stopping.h"

static void assert_near(double actual, double expected) {
    assert_true(fabs(actual - expected) < 1e-12);
}

static void test_constant(void **state) {
    (void)state;
    us_schedule schedule = {.type = US_SCHEDULE_CONSTANT};
    assert_near(us_schedule_factor(&schedule, 0, 100, 10), 1);
    assert_near(us_schedule_factor(&schedule, 99, 100, 10), 1);
}

static void test_warmup(void **state) {
    (void)state;
    us_schedule schedule = {.type = US_SCHEDULE_CONSTANT, .warmup_epochs = 0.35};
    /* 3.5 steps round up to 4. */
    assert_near(us_schedule_factor(&schedule, 0, 100, 10), 0.25);
    assert_near(us_schedule_factor(&schedule, 3, 100, 10), 1);
    assert_near(us_schedule_factor(&schedule, 4, 100, 10), 1);
}

static void test_step(void **state) {
    (void)state;
    us_schedule schedule = {.type = US_SCHEDULE_STEP, .step_epochs = 2, .factor = 0.1};
    assert_near(us_schedule_factor(&schedule, 19, 100, 10), 1);
    assert_near(us_schedule_factor(&schedule, 20, 100, 10), 0.1);
    assert_near(us_schedule_factor(&schedule, 40, 100, 10), 0.01);
}

static void test_cosine(void **state) {
    (void)state;
    us_schedule schedule = {.type = US_SCHEDULE_COSINE, .minimum = 0.2, .warmup_epochs = 1};
    assert_near(us_schedule_factor(&schedule, 10, 110, 10), 1);
    assert_near(us_schedule_factor(&schedule, 60, 110, 10), 0.6);
    assert_true(us_schedule_factor(&schedule, 109, 110, 10) < 0.201);
    assert_near(us_schedule_factor(&schedule, 500, 110, 10), 0.2);
}

/* Takes in an epoch's loss. */
static us_stopping_reason after(const us_stopping *rule, us_stopping_state *now, double loss) {
    us_stopping_update(rule, now, loss);
    return us_stopping_reached(rule, now, loss);
}

static void test_converged(void **state) {
    (void)state;
    us_stopping rule = {.patience = 2, .minimum_improvement = 0.1};
    us_stopping_state now = {.best = INFINITY};
    assert_int_equal(us_stopping_reached(&rule, &now, NAN), US_STOPPING_NONE);
    assert_int_equal(after(&rule, &now, 1.0), US_STOPPING_NONE);
    assert_int_equal(after(&rule, &now, 0.95), US_STOPPING_NONE); /* too small an improvement */
    assert_int_equal(after(&rule, &now, 0.89), US_STOPPING_NONE); /* enough, against the best */
    assert_int_equal(after(&rule, &now, 0.88), US_STOPPING_NONE);
    assert_int_equal(after(&rule, &now, 0.87), US_STOPPING_CONVERGED);
    assert_near(now.best, 0.89);
}

static void test_loss_below(void **state) {
    (void)state;
    us_stopping rule = {.patience = 1, .loss_below = 0.1};
    us_stopping_state now = {.best = INFINITY};
    assert_int_equal(us_stopping_reached(&rule, &now, NAN), US_STOPPING_NONE);
    assert_int_equal(after(&rule, &now, 0.2), US_STOPPING_NONE);
    assert_int_equal(after(&rule, &now, 0.1), US_STOPPING_NONE); /* not below */
    assert_int_equal(after(&rule, &now, 0.099), US_STOPPING_LOSS_BELOW);
    assert_int_equal(after(&rule, &now, 0.2), US_STOPPING_CONVERGED);
}

static void test_never_stops_unasked(void **state) {
    (void)state;
    us_stopping rule = {.minimum_improvement = 0.1};
    us_stopping_state now = {.best = INFINITY};
    for (int i = 0; i < 100; i++)
        assert_int_equal(after(&rule, &now, i % 2), US_STOPPING_NONE);
}

static const us_collapse_settings bounds = {
    .window = 3, .smallest_loss = 0.01, .largest_loss = 100, .smallest_spread = 0.1};

static void test_symptoms(void **state) {
    (void)state;
    static const struct {
        us_game game;
        double loss;
        us_symptom symptom;
    } cases[] = {
        {US_GAME_NONE, 0, US_SYMPTOM_NONE},
        {US_GAME_NONE, 1e30, US_SYMPTOM_NONE},
        {US_GAME_JUDGE, 0, US_SYMPTOM_NONE}, /* it may win */
        {US_GAME_JUDGE, 100.1, US_SYMPTOM_EXPLODED},
        {US_GAME_ADVERSARIAL, 0.009, US_SYMPTOM_VANISHED},
        {US_GAME_ADVERSARIAL, 0.01, US_SYMPTOM_NONE},
        {US_GAME_ADVERSARIAL, 100, US_SYMPTOM_NONE},
        {US_GAME_ADVERSARIAL, 100.1, US_SYMPTOM_EXPLODED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(us_collapse_of_loss(&bounds, cases[i].game, cases[i].loss),
                         cases[i].symptom);
    assert_int_equal(us_collapse_of_spread(&bounds, 0.09), US_SYMPTOM_CONSTANT);
    assert_int_equal(us_collapse_of_spread(&bounds, 0.1), US_SYMPTOM_NONE);
}

static void test_symptoms_must_last(void **state) {
    (void)state;
    static const us_symptom steps[] = {
        US_SYMPTOM_VANISHED, US_SYMPTOM_VANISHED, US_SYMPTOM_NONE,     US_SYMPTOM_VANISHED,
        US_SYMPTOM_EXPLODED, US_SYMPTOM_EXPLODED, US_SYMPTOM_EXPLODED,
    };
    us_symptom_run run = {0};
    for (int64_t step = 0; step < 7; step++)
        assert_int_equal(us_collapse_extend(&bounds, &run, steps[step], step), step == 6);
    assert_int_equal(run.first, 4);
    assert_int_equal(run.length, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_converged),
        cmocka_unit_test(test_loss_below),
        cmocka_unit_test(test_never_stops_unasked),
        cmocka_unit_test(test_symptoms),
        cmocka_unit_test(test_symptoms_must_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
