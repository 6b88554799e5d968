/* SPDX-License-Identifier: MIT */
/* Distances from a centre and their loss, against the host. Gradients are measured there by finite
 * differences of the loss. */
#include <math.h>
#include <stdio.h>

#include "ops/hypersphere.h"
#include "selftest/cases.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"

typedef struct hypersphere_case {
    const char *what;
    us_activation activation;
    us_shape shape;
    int n, room; /* images, and what the batch has room for */
    double radius_squared, share;
} hypersphere_case;

static const hypersphere_case cases[] = {
    {"mean distance", NONE, {3, 7, 5}, 17, 0, 0, 1},
    {"mean distance", NONE, {1, 1, 1}, 1, 0, 0, 1},
    {"mean distance", LEAKY, {128, 1, 1}, 128, 0, 0, 1},
    {"soft boundary", NONE, {5, 7, 5}, 17, 60, 60, 0.1},
    {"soft boundary", TANH, {32, 1, 1}, 33, 0, 10, 0.5},
    {"all within", NONE, {3, 1, 1}, 5, 0, 100, 0.2},
};
enum { CASES = sizeof cases / sizeof *cases, SLOT = 2, SLOTS = 4 };

enum { Y, CENTRE, BEFORE, DISTANCES, DY, LOSSES, VALUES };

static const double step = 1e-5; /* of finite differences */

static unseen_status create(us_selftest *test, const hypersphere_case *wanted,
                            us_test_values values[VALUES], unseen_error *error) {
    const size_t features = us_shape_size(wanted->shape);
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    for (int i = 0; i < LOSSES; i++)
        if (i == CENTRE)
            US_TRY(us_test_values_create(test, features, 1, 1, &values[i], error));
        else
            US_TRY(us_test_values_create(test, i == DISTANCES ? 1 : features, wanted->n, batch,
                                         &values[i], error));
    US_TRY(us_test_values_create(test, SLOTS, 1, 1, &values[LOSSES], error));
    us_test_values_random(test, &values[BEFORE], 1, 0);
    us_test_values_random(test, &values[CENTRE], 1, 0);
    us_test_values_random(test, &values[LOSSES], 1, 0);
    for (size_t i = 0; i < features * (size_t)wanted->n; i++) {
        /* A leaky ReLU has no slope to measure at its kink. */
        if (fabs(values[BEFORE].host[i]) < 2 * step) values[BEFORE].host[i] = 4 * step;
        values[Y].host[i] = (double)(float)us_activate(wanted->activation, values[BEFORE].host[i]);
    }
    US_TRY(us_test_values_upload(&values[Y], 0.25f, error));
    US_TRY(us_test_values_upload(&values[CENTRE], 0, error));
    return us_test_values_upload(&values[LOSSES], 0, error);
}

static double square(double value) {
    return value * value;
}

/* The part of the loss that image j has. */
static double loss_of(const hypersphere_case *wanted, double distance) {
    return fmax(0, distance - wanted->radius_squared) / (wanted->share * wanted->n);
}

static void expect(const hypersphere_case *wanted, us_test_values values[VALUES]) {
    const size_t features = us_shape_size(wanted->shape), n = (size_t)wanted->n;
    double loss = wanted->radius_squared;
    for (size_t j = 0; j < n; j++) {
        double distance = 0;
        for (size_t f = 0; f < features; f++)
            distance += square(values[Y].host[f * n + j] - values[CENTRE].host[f]);
        values[DISTANCES].host[j] = distance;
        loss += loss_of(wanted, distance);
        for (size_t f = 0; f < features; f++) {
            const size_t i = f * n + j;
            const double centre = values[CENTRE].host[f];
            const double others = distance - square(values[Y].host[i] - centre);
            double sides[2];
            for (int s = 0; s < 2; s++) {
                double y =
                    us_activate(wanted->activation, values[BEFORE].host[i] + (s ? step : -step));
                sides[s] = loss_of(wanted, others + square(y - centre));
            }
            values[DY].host[i] = (sides[1] - sides[0]) / (2 * step);
        }
    }
    values[LOSSES].host[SLOT] = loss;
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    static const struct {
        int index;
        const char *what;
    } results[] = {{DISTANCES, "distance"}, {LOSSES, "loss"}, {DY, "gradient"}};
    const hypersphere_case *wanted = &cases[number];
    us_test_values values[VALUES] = {{0}};
    us_hypersphere *hypersphere = NULL;
    unseen_status status;
    US_CHECK(create(test, wanted, values, error));
    US_CHECK(us_hypersphere_create(test->device, wanted->shape, values[Y].batch, wanted->activation,
                                   true, &hypersphere, error));
    const us_hypersphere_args args = {.y = values[Y].device,
                                      .centre = values[CENTRE].device,
                                      .dy = values[DY].device,
                                      .losses = values[LOSSES].device,
                                      .slot = SLOT,
                                      .n = wanted->n,
                                      .radius_squared = wanted->radius_squared,
                                      .share = wanted->share};
    US_CHECK(us_hypersphere_score(hypersphere, values[Y].device, values[CENTRE].device,
                                  values[DISTANCES].device, error));
    US_CHECK(us_hypersphere_loss(hypersphere, &args, error));
    expect(wanted, values);
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        char what[96];
        snprintf(what, sizeof what, "%s, %s", results[i].what, wanted->what);
        US_CHECK(us_test_values_compare(test, &values[results[i].index], "hypersphere", what,
                                        wanted->shape, 1e-5, 1e-8, results[i].index != DISTANCES,
                                        error));
    }
done:
    us_hypersphere_destroy(hypersphere);
    for (int i = 0; i < VALUES; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

const us_selftest_group us_selftest_hyperspheres = {"hypersphere", CASES, run_case};
