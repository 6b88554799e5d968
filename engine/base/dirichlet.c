/* SPDX-License-Identifier: MIT */
#include "base/dirichlet.h"

#include <math.h>

static const double euler = 0.57721566490153286061; /* -digamma(1) */

/* Abramowitz and Stegun 6.3.5 until the argument is large, then 6.3.18. */
double us_digamma(double x) {
    double sum = 0;
    for (; x < 10; x++)
        sum -= 1 / x;
    const double r = 1 / (x * x);
    return sum + log(x) - 0.5 / x -
           r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132)))));
}

/* 6.4.6 and 6.4.12. */
static double trigamma(double x) {
    double sum = 0;
    for (; x < 10; x++)
        sum += 1 / (x * x);
    const double r = 1 / (x * x);
    return sum + 1 / x + r / 2 +
           r / x * (1.0 / 6 - r * (1.0 / 30 - r * (1.0 / 42 - r * (1.0 / 30 - r * (5.0 / 66)))));
}

/* By Newton's method from Minka's beginning (appendix C), which converges for every y. */
double us_digamma_inverse(double y) {
    double x = y >= -2.22 ? exp(y) + 0.5 : -1 / (y + euler);
    for (int i = 0; i < 8; i++)
        x -= (us_digamma(x) - y) / trigamma(x);
    return x;
}

enum { MOST_STEPS = 10000 };

void us_dirichlet_estimate(const double *mean, const double *mean_log, int count, double *alpha) {
    const double largest = 1e6; /* sum of alpha: beyond it points are the same but for rounding */
    double spread = 0, sum = 0;
    for (int i = 0; i < count; i++)
        if (mean[i] > 0) spread += mean[i] * (log(mean[i]) - mean_log[i]);
    double scale = (count - 1) * euler / spread;
    if (!(scale < largest)) scale = largest;
    for (int i = 0; i < count; i++)
        sum += alpha[i] = fmax(mean[i] * scale, 1e-12);
    for (int step = 0; step < MOST_STEPS; step++) {
        double next = 0, change = 0;
        const double common = us_digamma(sum);
        for (int i = 0; i < count; i++) {
            const double better = us_digamma_inverse(common + mean_log[i]);
            change = fmax(change, fabs(better - alpha[i]) / better);
            next += alpha[i] = better;
        }
        sum = next;
        if (change < 1e-10 || sum > largest) return;
    }
}
