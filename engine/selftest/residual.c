/* SPDX-License-Identifier: MIT */
/* Where branches meet: the residual layer forward, and sums of gradients. */
#include "selftest/reference.h"
#include "ops/residual.h"
#include "selftest/selftest.h"
#include "selftest/cases.h"

typedef struct residual_case {
    us_shape shape;
    int n, room; /* images, and those that the batch has room for (0: no more) */
    us_activation activation;
} residual_case;

static const residual_case cases[] = {
    {{3, 7, 5}, 17, 0, RELU},  {{5, 1, 1}, 1, 40, LEAKY}, {{1, 1, 1}, 1, 0, NONE},
    {{1, 7, 5}, 33, 60, TANH}, {{40, 9, 7}, 5, 0, NONE},  {{5, 7, 5}, 64, 0, SIGMOID},
};

enum { CASES = sizeof cases / sizeof *cases };

typedef struct residual_test {
    us_selftest *test;
    const residual_case *wanted;
    int batch;
    us_test_values a, b, x, y;
} residual_test;

static const float PADDING = 77;
static const double LIMIT = 2e-5;

static unseen_status create(residual_test *t, unseen_error *error) {
    const residual_case *wanted = t->wanted;
    const size_t size = us_shape_size(wanted->shape);
    us_test_values *const values[] = {&t->a, &t->b, &t->x, &t->y};
    t->batch =
        us_device_pad(&t->test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    for (size_t i = 0; i < 4; i++) {
        US_TRY(us_test_values_create(t->test, size, wanted->n, t->batch, values[i], error));
        us_test_values_random(t->test, values[i], 1, 0.1);
    }
    for (size_t i = 0; i < size * (size_t)wanted->n; i++)
        t->x.host[i] = (double)(float)us_activate(wanted->activation, t->x.host[i]);
    return us_test_values_upload(&t->x, PADDING, error);
}

static unseen_status check_forward(residual_test *t, unseen_error *error) {
    const us_layer_plan plan = {.device = t->test->device,
                                .in = t->wanted->shape,
                                .out = t->wanted->shape,
                                .batch = t->batch,
                                .activation = t->wanted->activation};
    US_TRY(us_test_values_upload(&t->a, PADDING, error));
    US_TRY(us_test_values_upload(&t->b, PADDING, error));
    void *layer;
    US_TRY(us_residual_layer.create(&plan, &layer, error));
    const us_layer_forward args = {
        .x = t->a.device, .shortcut = t->b.device, .y = t->y.device, .n = t->wanted->n};
    unseen_status status = us_residual_layer.forward(layer, &args, error);
    us_residual_layer.destroy(layer);
    US_TRY(status);
    for (size_t i = 0; i < t->y.rows * (size_t)t->y.n; i++)
        t->y.host[i] = us_activate(t->wanted->activation, t->a.host[i] + t->b.host[i]);
    return us_test_values_compare(t->test, &t->y, us_residual_layer.name, "forward",
                                  t->wanted->shape, LIMIT, 1e-3, false, error);
}

/* Into `sum`, which is written over. With a base, that is a. */
static unseen_status check_sum(residual_test *t, bool with_base, us_test_values *sum,
                               const char *what, unseen_error *error) {
    US_TRY(us_test_values_upload(&t->a, 0, error));
    US_TRY(us_test_values_upload(&t->b, 0, error));
    us_gradient_sum *adder;
    US_TRY(us_gradient_sum_create(&(us_build){.device = t->test->device}, t->wanted->shape,
                                  t->batch, t->wanted->activation, &adder, error));
    const us_gradient_sum_args args = {.base = with_base ? t->a.device : NULL,
                                       .x = t->x.device,
                                       .gradient = t->b.device,
                                       .sum = sum->device};
    unseen_status status = us_gradient_sum_run(adder, &args, error);
    us_gradient_sum_destroy(adder);
    US_TRY(status);
    for (size_t i = 0; i < sum->rows * (size_t)sum->n; i++)
        sum->host[i] = (with_base ? t->a.host[i] : 0) +
                       t->b.host[i] * us_activation_slope(t->wanted->activation, t->x.host[i]);
    return us_test_values_compare(t->test, sum, us_residual_layer.name, what, t->wanted->shape,
                                  LIMIT, 1e-3, true, error);
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    const residual_case *wanted = &cases[number];
    residual_test t = {.test = test, .wanted = wanted};
    unseen_status status = create(&t, error);
    if (status == UNSEEN_OK) status = check_forward(&t, error);
    if (status == UNSEEN_OK) status = check_sum(&t, false, &t.y, "gradient", error);
    if (status == UNSEEN_OK) status = check_sum(&t, true, &t.y, "sum of gradients", error);
    if (status == UNSEEN_OK) status = check_sum(&t, true, &t.a, "sum in place", error);
    us_test_values *const values[] = {&t.a, &t.b, &t.x, &t.y};
    for (size_t i = 0; i < 4; i++)
        us_test_values_destroy(values[i]);
    return status;
}

const us_selftest_group us_selftest_residual = {"residual sum", CASES, run_case};
