/* SPDX-License-Identifier: MIT */
/* Rank correlations, against their definitions over all pairs and numbers of SciPy 1.17. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "evaluation/rank_correlation.h"

static void assert_close(double found, double expected) {
    if (!(fabs(found - expected) < 1e-12)) fail_msg("found %.17g, expected %.17g", found, expected);
}

static double sign(double x) {
    return (x > 0) - (x < 0);
}

/* Of a place's signs the sum is its midrank, but for factor and shift. */
static void by_all_pairs(const us_ranked *values, size_t count, double *spearman, double *kendall) {
    double agreed = 0, untied_x = 0, untied_y = 0, both = 0, x = 0, y = 0;
    for (size_t i = 0; i < count; i++) {
        double x_rank = 0, y_rank = 0;
        for (size_t j = 0; j < count; j++) {
            const double a = sign(values[i].x - values[j].x), b = sign(values[i].y - values[j].y);
            agreed += a * b;
            untied_x += a * a;
            untied_y += b * b;
            x_rank += a;
            y_rank += b;
        }
        both += x_rank * y_rank;
        x += x_rank * x_rank;
        y += y_rank * y_rank;
    }
    *kendall = agreed / sqrt(untied_x * untied_y);
    *spearman = both / sqrt(x * y);
}

static void as_by_all_pairs(void **unused) {
    (void)unused;
    enum { MOST = 257 };
    us_ranked values[MOST];
    for (uint32_t count = 2; count <= MOST; count += 17) {
        for (uint32_t levels = 2; levels < 2 * MOST; levels *= 3) { /* few of them: many ties */
            double spearman, kendall, expected_spearman, expected_kendall;
            for (uint32_t i = 0; i < count; i++) {
                const double u = (double)us_random_uniform(levels, US_STREAM_TEST, count, 2 * i);
                const double v =
                    (double)us_random_uniform(levels, US_STREAM_TEST, count, 2 * i + 1);
                values[i].x = floor(levels * u);
                values[i].y = floor(levels * (0.6 * u + 0.4 * v));
            }
            values[0] = (us_ranked){-1, -1}; /* not all are alike */
            by_all_pairs(values, count, &expected_spearman, &expected_kendall);
            assert_true(us_rank_correlation(values, count, &spearman, &kendall));
            assert_close(spearman, expected_spearman);
            assert_close(kendall, expected_kendall);
        }
    }
}

static void numbers_of_scipy(void **unused) {
    (void)unused;
    const us_ranked values[] = {{1, 2}, {2, 2}, {2, 1}, {3, 5}, {4, 3}, {5, 5}, {5, 7}};
    double spearman, kendall;
    assert_true(us_rank_correlation(values, sizeof values / sizeof *values, &spearman, &kendall));
    assert_close(spearman, 0.8333333333333335);
    assert_close(kendall, 0.6842105263157894);
}

static void of_what_says_nothing(void **unused) {
    (void)unused;
    const us_ranked values[] = {{1, 1}, {1, 2}, {1, 3}};
    double spearman, kendall;
    assert_true(us_rank_correlation(values, 3, &spearman, &kendall));
    assert_true(isnan(spearman) && isnan(kendall));
    for (size_t count = 0; count < 2; count++) {
        assert_true(us_rank_correlation(values, count, &spearman, &kendall));
        assert_true(isnan(spearman) && isnan(kendall));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_by_all_pairs),
        cmocka_unit_test(numbers_of_scipy),
        cmocka_unit_test(of_what_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
