/* Schedules and the stopping rule. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

static void test_stopping(void **state) {
    (void)state;
    us_stopping rule = {.patience = 2, .minimum_improvement = 0.1};
    us_stopping_state now = {.best = INFINITY};
    assert_false(us_stopping_update(&rule, &now, 1.0));
    assert_false(us_stopping_update(&rule, &now, 0.95)); /* too small an improvement */
    assert_false(us_stopping_update(&rule, &now, 0.89)); /* enough, against the best */
    assert_false(us_stopping_update(&rule, &now, 0.88));
    assert_true(us_stopping_update(&rule, &now, 0.87));
    assert_near(now.best, 0.89);
}

static void test_no_patience_never_stops(void **state) {
    (void)state;
    us_stopping rule = {.patience = 0, .minimum_improvement = 0.1};
    us_stopping_state now = {.best = INFINITY};
    for (int i = 0; i < 100; i++)
        assert_false(us_stopping_update(&rule, &now, 1.0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant), cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_step),     cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_stopping), cmocka_unit_test(test_no_patience_never_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
