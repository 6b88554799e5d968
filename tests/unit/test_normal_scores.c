/* SPDX-License-Identifier: MIT */
/* Scores of normal images, kept as quantiles, and percentiles among them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "evaluation/normal_scores.h"

static us_normal_scores normal;

static void assert_percentile(double score, double expected) {
    const double found = us_normal_scores_percentile(&normal, score);
    if (!(fabs(found - expected) < 1e-9))
        fail_msg("of %g: found %g, expected %g", score, found, expected);
}

static void few_are_kept_as_they_are(void **unused) {
    (void)unused;
    double scores[] = {5, 1, 3, 3, 9};
    us_normal_scores_take(scores, 5, &normal);
    assert_int_equal(normal.images, 5);
    assert_int_equal(normal.count, 5);
    const double sorted[] = {1, 3, 3, 5, 9};
    for (int i = 0; i < 5; i++)
        assert_true(normal.quantiles[i] == sorted[i]);
    assert_percentile(0.99, 0);
    assert_percentile(1, 0);
    assert_percentile(2, 12.5);
    assert_percentile(3, 37.5); /* in the middle of the two */
    assert_percentile(4, 62.5);
    assert_percentile(7, 87.5);
    assert_percentile(9, 100);
    assert_percentile(INFINITY, 100);
    assert_percentile(-INFINITY, 0);
    assert_true(isnan(us_normal_scores_percentile(&normal, NAN)));
}

static void one_or_none(void **unused) {
    (void)unused;
    double score[] = {2};
    us_normal_scores_take(score, 1, &normal);
    assert_percentile(1, 0);
    assert_percentile(2, 50);
    assert_percentile(3, 100);
    normal = (us_normal_scores){0};
    assert_true(isnan(us_normal_scores_percentile(&normal, 2)));
}

static void many_become_quantiles(void **unused) {
    (void)unused;
    enum { MANY = 4096 };
    double *scores = malloc(MANY * sizeof *scores);
    assert_non_null(scores);
    for (int i = 0; i < MANY; i++) /* each of 0 .. 4095 once, in disorder, squared */
        scores[i] = pow((i * 1571) % MANY, 2);
    us_normal_scores_take(scores, MANY, &normal);
    assert_int_equal(normal.images, MANY);
    assert_int_equal(normal.count, US_NORMAL_QUANTILES);
    assert_true(normal.quantiles[0] == 0);
    assert_true(normal.quantiles[1000] == 4095.0 * 4095.0);
    assert_true(fabs(normal.quantiles[500] - (2047.0 * 2047 + 2048.0 * 2048) / 2) < 1e-6);
    for (int i = 0; i < MANY; i += 7) {
        const double found = us_normal_scores_percentile(&normal, (double)i * i);
        assert_true(fabs(found - 100.0 * i / (MANY - 1)) < 0.05);
    }
    free(scores);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_kept_as_they_are),
        cmocka_unit_test(one_or_none),
        cmocka_unit_test(many_become_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
