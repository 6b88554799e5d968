/* SPDX-License-Identifier: MIT */
/* Expected numbers: tools/dirichlet_reference.py, by SciPy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/dirichlet.h"

static void assert_close(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance * fabs(expected)))
        fail_msg("%.17g, expected %.17g", value, expected);
}

static const struct {
    double x, y;
} digamma[] = {
    {0.001, -1.000575571931810e+03}, {0.1, -1.042375494041108e+01},
    {0.5, -1.963510026021424e+00},   {1.0, -5.772156649015329e-01},
    {2.5, 7.031566406452432e-01},    {9.99, 2.250700372831201e+00},
    {50.0, 3.901989673427892e+00},   {100000.0, 1.151292046496190e+01},
};

static void digamma_and_its_inverse(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof digamma / sizeof *digamma; i++) {
        assert_close(us_digamma(digamma[i].x), digamma[i].y, 1e-13);
        assert_close(us_digamma_inverse(digamma[i].y), digamma[i].x, 1e-11);
    }
}

static const struct {
    int count;
    double mean[5], mean_log[5], alpha[5];
} cases[] = {
    {2,
     {0.28458883917467792, 0.71541116082532219},
     {-1.4175382502072422, -0.36708756829540501},
     {2.2484163852122157, 5.5555917044368792}},
    {3,
     {0.41308011444848497, 0.43044903547056246, 0.15647085008095249},
     {-2.828445475082654, -3.6602287338880353, -13.907191796706153},
     {0.20996197580495143, 0.1799752991136464, 0.063933287852561763}},
    {4,
     {0.90052351160050748, 0.032108417001354743, 0.054960280407410099, 0.012407790990727722},
     {-0.10614137205515731, -3.9191106212149505, -3.0749426591986575, -5.4137278081448903},
     {39.69176020648792, 1.3220428959181569, 2.49294720972705, 0.57389275792005634}},
    {5,
     {0.051589410380188508, 0.90953143861138752, 0.026025517671374621, 0.0059898634152952207,
      0.0068637699217540841},
     {-35.351319393181271, -0.20931110666061487, -36.954816465701967, -38.981512784154781,
      -31.045776908714636},
     {0.028225198134467576, 0.86755436409415587, 0.02700447305310346, 0.025604666105323998,
      0.03212342265508137}},
};

static void estimates_are_those_of_scipy(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double alpha[5];
        us_dirichlet_estimate(cases[i].mean, cases[i].mean_log, cases[i].count, alpha);
        for (int c = 0; c < cases[i].count; c++)
            assert_close(alpha[c], cases[i].alpha[c], 1e-6);
    }
}

/* A classifier that is always sure, and one that always says the same. */
static void degenerate_points_have_finite_parameters(void **state) {
    (void)state;
    const double sure[2][3] = {{1, 0, 0}, {0, -700, -650}},
                 same[2][2] = {{0.25, 0.75}, {log(0.25), log(0.75)}};
    double alpha[3];
    us_dirichlet_estimate(sure[0], sure[1], 3, alpha);
    for (int c = 0; c < 3; c++)
        assert_true(alpha[c] > 0 && isfinite(alpha[c]));
    assert_true(alpha[0] > alpha[1] && alpha[0] > alpha[2]);
    us_dirichlet_estimate(same[0], same[1], 2, alpha);
    assert_true(isfinite(alpha[0]) && isfinite(alpha[1]));
    assert_close(alpha[1] / alpha[0], 3, 1e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digamma_and_its_inverse),
        cmocka_unit_test(estimates_are_those_of_scipy),
        cmocka_unit_test(degenerate_points_have_finite_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
