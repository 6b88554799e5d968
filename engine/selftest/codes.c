/* SPDX-License-Identifier: MIT */
/* Codes drawn from a normal distribution, and sums of gradients, against the host. What a gradient
 * must be is measured there by finite differences, so that it is checked against the loss itself.
 */
#include <math.h>
#include <stdio.h>

#include "selftest/reference.h"
#include "selftest/selftest.h"

typedef struct gaussian_case {
    const char *what;
    us_activation mean, log_variance;
    us_shape shape;
    int n, room;
    double scale; /* of the log variances before their activation */
} gaussian_case;

static const gaussian_case gaussian_cases[] = {
    {"linear", {US_ACTIVATION_NONE, 0}, {US_ACTIVATION_NONE, 0}, {3, 7, 5}, 17, 0, 1},
    {"linear", {US_ACTIVATION_NONE, 0}, {US_ACTIVATION_NONE, 0}, {1, 1, 1}, 1, 0, 1},
    {"near the prior", {US_ACTIVATION_NONE, 0}, {US_ACTIVATION_NONE, 0}, {5, 7, 5}, 5, 0, 1e-3},
    {"relu", {US_ACTIVATION_RELU, 0}, {US_ACTIVATION_RELU, 0}, {48, 8, 8}, 33, 128, 1},
    {"two activations",
     {US_ACTIVATION_LEAKY_RELU, 0.2f},
     {US_ACTIVATION_TANH, 0},
     {5, 7, 5},
     17,
     0,
     1},
    {"two activations", {US_ACTIVATION_SIGMOID, 0}, {US_ACTIVATION_RELU, 0}, {16, 1, 1}, 1, 60, 2},
    {"beyond the bound", {US_ACTIVATION_NONE, 0}, {US_ACTIVATION_NONE, 0}, {3, 7, 5}, 17, 0, 15},
};

/* The values before the activations stay on the host. */
enum {
    MEAN,
    LOG_VARIANCE,
    NOISE,
    DZ,
    MEAN_BEFORE,
    LOG_VARIANCE_BEFORE,
    Z,
    MEAN_GRADIENT,
    LOG_VARIANCE_GRADIENT,
    DIVERGENCES,
    LOSSES,
    VALUES
};
enum { GAUSSIAN_CASES = sizeof gaussian_cases / sizeof *gaussian_cases, SLOT = 3, SLOTS = 5 };

static const float weight = 0.7f;
static const double step = 1e-5; /* of finite differences */

/* A ReLU has no slope to measure at its kink. */
static void leave_kink(us_test_values *before) {
    for (size_t i = 0; i < before->rows * (size_t)before->n; i++)
        if (fabs(before->host[i]) < 2 * step) before->host[i] = (double)(float)(4 * step);
}

static unseen_status create_gaussian(us_selftest *test, const gaussian_case *wanted,
                                     us_test_values values[VALUES], unseen_error *error) {
    const size_t features = us_shape_size(wanted->shape);
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    for (int i = 0; i < LOSSES; i++)
        US_TRY(us_test_values_create(test, i == DIVERGENCES ? 1 : features, wanted->n, batch,
                                     &values[i], error));
    US_TRY(us_test_values_create(test, SLOTS, 1, 1, &values[LOSSES], error));
    us_test_values_random(test, &values[MEAN_BEFORE], 1, 0);
    us_test_values_random(test, &values[LOG_VARIANCE_BEFORE], wanted->scale, 0);
    leave_kink(&values[MEAN_BEFORE]);
    leave_kink(&values[LOG_VARIANCE_BEFORE]);
    us_test_values_random(test, &values[NOISE], 1, 0);
    us_test_values_random(test, &values[DZ], 0.1, 0);
    us_test_values_random(test, &values[LOSSES], 1, 0);
    for (size_t i = 0; i < features * (size_t)wanted->n; i++) {
        values[MEAN].host[i] =
            (double)(float)us_activate(wanted->mean, values[MEAN_BEFORE].host[i]);
        values[LOG_VARIANCE].host[i] =
            (double)(float)us_activate(wanted->log_variance, values[LOG_VARIANCE_BEFORE].host[i]);
    }
    US_TRY(us_test_values_upload(&values[MEAN], 0.25f, error));
    US_TRY(us_test_values_upload(&values[LOG_VARIANCE], 0.75f, error));
    US_TRY(us_test_values_upload(&values[NOISE], 0, error));
    US_TRY(us_test_values_upload(&values[DZ], 0, error));
    return us_test_values_upload(&values[LOSSES], 0, error);
}

/* What feature i adds to the loss whose gradient with respect to z is DZ. */
static double loss_of(const gaussian_case *wanted, const us_test_values values[VALUES], size_t i,
                      double mean_before, double log_variance_before) {
    const double mean = us_activate(wanted->mean, mean_before);
    const double log_variance = us_activate(wanted->log_variance, log_variance_before);
    return values[DZ].host[i] *
               us_reference_gaussian_sample(mean, log_variance, values[NOISE].host[i]) +
           (double)weight / wanted->n * us_reference_gaussian_divergence(mean, log_variance);
}

static void expect_gaussian(const gaussian_case *wanted, us_test_values values[VALUES]) {
    double sum = 0;
    for (size_t i = 0; i < values[MEAN].rows * (size_t)wanted->n; i++) {
        const double m = values[MEAN_BEFORE].host[i], v = values[LOG_VARIANCE_BEFORE].host[i];
        const double mean = values[MEAN].host[i], log_variance = values[LOG_VARIANCE].host[i];
        const double divergence = us_reference_gaussian_divergence(mean, log_variance);
        values[Z].host[i] = us_reference_gaussian_sample(mean, log_variance, values[NOISE].host[i]);
        values[DIVERGENCES].host[i % (size_t)wanted->n] += divergence;
        sum += divergence;
        /* The mean's part of the loss is the same whatever the variance is, and would drown in a
         * large one. */
        values[MEAN_GRADIENT].host[i] =
            (loss_of(wanted, values, i, m + step, 0) - loss_of(wanted, values, i, m - step, 0)) /
            (2 * step);
        values[LOG_VARIANCE_GRADIENT].host[i] =
            (loss_of(wanted, values, i, m, v + step) - loss_of(wanted, values, i, m, v - step)) /
            (2 * step);
    }
    values[LOSSES].host[SLOT] = sum / wanted->n;
}

static unseen_status run_on_device(us_gaussian_code *code, const gaussian_case *wanted,
                                   const us_test_values values[VALUES], unseen_error *error) {
    const us_gaussian_code_values args = {
        .mean = values[MEAN].device,
        .log_variance = values[LOG_VARIANCE].device,
        .noise = values[NOISE].device,
        .n = wanted->n,
    };
    const us_gaussian_code_gradients gradients = {
        .dz = values[DZ].device,
        .weight = weight,
        .mean = values[MEAN_GRADIENT].device,
        .log_variance = values[LOG_VARIANCE_GRADIENT].device,
    };
    US_TRY(us_gaussian_code_sample(code, &args, values[Z].device, error));
    US_TRY(us_gaussian_code_divergence(code, &args, values[DIVERGENCES].device, error));
    US_TRY(us_gaussian_code_loss(code, &args, values[LOSSES].device, SLOT, error));
    return us_gaussian_code_backward(code, &args, &gradients, error);
}

static unseen_status compare_gaussian(us_selftest *test, const gaussian_case *wanted,
                                      const us_test_values values[VALUES], unseen_error *error) {
    static const struct {
        int index;
        const char *what;
    } results[] = {
        {Z, "sample"},
        {DIVERGENCES, "divergence"},
        {LOSSES, "loss"},
        {MEAN_GRADIENT, "gradient of the mean"},
        {LOG_VARIANCE_GRADIENT, "gradient of the log variance"},
    };
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        char what[96];
        snprintf(what, sizeof what, "%s, %s", results[i].what, wanted->what);
        US_TRY(us_test_values_compare(test, &values[results[i].index], "gaussian code", what,
                                      wanted->shape, 1e-5, 1e-9, true, error));
    }
    return UNSEEN_OK;
}

static unseen_status run_gaussian(us_selftest *test, int number, unseen_error *error) {
    const gaussian_case *wanted = &gaussian_cases[number];
    us_test_values values[VALUES] = {{0}};
    us_gaussian_code *code = NULL;
    unseen_status status;
    US_CHECK(create_gaussian(test, wanted, values, error));
    const us_gaussian_code_plan plan = {
        .shape = wanted->shape,
        .batch = values[MEAN].batch,
        .mean_activation = wanted->mean,
        .log_variance_activation = wanted->log_variance,
        .training = true,
    };
    US_CHECK(us_gaussian_code_create(test->device, &plan, &code, error));
    US_CHECK(run_on_device(code, wanted, values, error));
    expect_gaussian(wanted, values);
    status = compare_gaussian(test, wanted, values, error);
done:
    us_gaussian_code_destroy(code);
    for (int i = 0; i < VALUES; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

const us_selftest_group us_selftest_gaussian_codes = {"gaussian code", GAUSSIAN_CASES,
                                                      run_gaussian};
