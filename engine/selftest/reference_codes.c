/* SPDX-License-Identifier: MIT */
/* Codes that are drawn from a normal distribution, on the host. */
#include <math.h>

#include "selftest/reference.h"

/* The tangent of exp(factor v) from the bound on. */
static double bounded_exp(double factor, double v) {
    const double largest = US_GAUSSIAN_LARGEST_LOG_VARIANCE;
    if (v <= largest) return exp(factor * v);
    return exp(factor * largest) * (1 + factor * (v - largest));
}

double us_reference_gaussian_sample(double mean, double log_variance, double noise) {
    return mean + bounded_exp(0.5, log_variance) * noise;
}

double us_reference_gaussian_divergence(double mean, double log_variance) {
    return (mean * mean + bounded_exp(1, log_variance) - 1 - log_variance) / 2;
}
