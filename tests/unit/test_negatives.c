/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "detector/negatives.h"

static void assert_divided(us_negative_shares shares, int n, double u, int decoded, int noise) {
    int begin[3];
    us_negatives_divide(&shares, n, u, begin);
    assert_int_equal(begin[0], decoded);
    assert_int_equal(begin[2] - begin[1], noise);
}

static void shares_that_fit_are_met_exactly(void **state) {
    (void)state;
    static const double points[] = {0, 0x1p-24, 0.25, 0.5, 1 - 0x1p-24};
    for (int i = 0; i < 5; i++) {
        assert_divided((us_negative_shares){.codes = 1}, 128, points[i], 128, 0);
        assert_divided((us_negative_shares){.noise = 1e-300}, 128, points[i], 0, 128);
        assert_divided((us_negative_shares){.corrupted = 1e6}, 128, points[i], 0, 0);
        assert_divided((us_negative_shares){.codes = 0.5, .corrupted = 0.5}, 128, points[i], 64, 0);
        assert_divided((us_negative_shares){2, 1, 1, 1}, 5, points[i], 2, 1);
        assert_divided((us_negative_shares){.noise = 3}, 1, points[i], 0, 1);
    }
}

/* Over all u the mean is the share, whatever the batch; no division is 1 image or more off. */
static void shares_that_do_not_fit_are_met_on_average(void **state) {
    (void)state;
    static const us_negative_shares shares = {2, 3, 1, 1};
    enum { POINTS = 7000 };
    for (int n = 1; n <= 9; n++) {
        double decoded = 0, noise = 0;
        for (int i = 0; i < POINTS; i++) {
            int begin[3];
            us_negatives_divide(&shares, n, (i + 0.5) / POINTS, begin);
            assert_true(begin[0] >= 0 && begin[0] <= begin[1] && begin[1] <= begin[2] &&
                        begin[2] <= n);
            assert_true(fabs(begin[0] - n * 2 / 7.0) < 1);
            assert_true(fabs(begin[1] - begin[0] - n * 3 / 7.0) < 1);
            assert_true(fabs(begin[2] - begin[1] - n / 7.0) < 1);
            decoded += begin[0];
            noise += begin[2] - begin[1];
        }
        assert_true(fabs(decoded / POINTS - n * 2 / 7.0) < 1e-3);
        assert_true(fabs(noise / POINTS - n / 7.0) < 1e-3);
    }
}

/* A share of the moved and of the corrupted ones is reconstructed, on average. */
static void reconstructed_are_a_share(void **state) {
    (void)state;
    enum { POINTS = 1000 };
    for (int count = 0; count <= 9; count++)
        for (int quarter = 0; quarter <= 4; quarter++) {
            double sum = 0;
            for (int i = 0; i < POINTS; i++) {
                const int some =
                    us_negatives_reconstructed(quarter / 4.0, count, (i + 0.5) / POINTS);
                assert_true(some >= 0 && some <= count);
                sum += some;
            }
            assert_true(fabs(sum / POINTS - count * quarter / 4.0) < 1e-3);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_that_fit_are_met_exactly),
        cmocka_unit_test(reconstructed_are_a_share),
        cmocka_unit_test(shares_that_do_not_fit_are_met_on_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
