/* SPDX-License-Identifier: MIT */
/* The gradient of a reconstruction score beside finite differences of the score on the host, and
 * the slopes of a score by the columns that it is made of. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/pixel_gradient.h"
#include "ops/score_slopes.h"
#include "selftest/cases.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"

/* ---- gradients of pixel scores ---- */

typedef struct gradient_case {
    const char *what;
    us_pixel_score_kind kind;
    int top_k;
    us_activation activation;
    us_shape shape;
    int n, room;
    bool accumulate;
} gradient_case;

static const gradient_case gradient_cases[] = {
    {"root of the sum", US_PIXEL_SCORE_ROOT_SUM, 1, TANH, {3, 7, 5}, 17, 0, false},
    {"mean", US_PIXEL_SCORE_MEAN, 1, NONE, {5, 7, 5}, 1, 60, true},
    {"maximum", US_PIXEL_SCORE_MAXIMUM, 9, TANH, {3, 7, 5}, 17, 0, true},
    {"3 largest", US_PIXEL_SCORE_TOP_K, 3, LEAKY, {1, 7, 5}, 33, 0, false},
    {"more largest than there are", US_PIXEL_SCORE_TOP_K, 99, NONE, {3, 1, 1}, 17, 0, false},
    {"sum", US_PIXEL_SCORE_SUM, 1, LEAKY, {1, 1, 1}, 5, 0, true},
    {"relative", US_PIXEL_SCORE_RELATIVE, 1, TANH, {3, 7, 5}, 17, 0, false},
};
enum { GRADIENT_CASES = sizeof gradient_cases / sizeof *gradient_cases };

enum { X, BEFORE, Y, SLOPES, DX, DY, VALUES };

static const double step = 1e-6; /* of finite differences */

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The score of one image, [channels][pixels] apart; e has room for its pixels. */
static double score_of(const gradient_case *wanted, const double *x, const double *y, double *e) {
    const int pixels = wanted->shape.height * wanted->shape.width;
    const int channels = wanted->shape.channels;
    double sum = 0, size = 0, top = 0;
    for (int p = 0; p < pixels; p++) {
        e[p] = 0;
        for (int i = p; i < channels * pixels; i += pixels) {
            e[p] += (x[i] - y[i]) * (x[i] - y[i]);
            size += (x[i] + 1) * (x[i] + 1);
        }
        sum += e[p];
    }
    int count = wanted->kind == US_PIXEL_SCORE_MAXIMUM ? 1 : wanted->top_k;
    if (count > pixels) count = pixels;
    qsort(e, (size_t)pixels, sizeof *e, descending);
    for (int p = 0; p < count; p++)
        top += e[p] / count;
    switch (wanted->kind) {
    case US_PIXEL_SCORE_ROOT_SUM:
        return sqrt(sum);
    case US_PIXEL_SCORE_MEAN:
        return sum / (pixels * channels);
    case US_PIXEL_SCORE_SUM:
        return sum;
    case US_PIXEL_SCORE_RELATIVE:
        return sqrt(sum) / (1 + sqrt(size));
    default:
        return top;
    }
}

/* The derivative of the score by value i of x, or by what y's value i was before its activation. */
static double difference(const gradient_case *wanted, double *x, double *y, size_t i, double before,
                         bool of_image, double *e) {
    double *value = of_image ? &x[i] : &y[i], sides[2];
    const double kept = *value;
    for (int s = 0; s < 2; s++) {
        const double away = s ? step : -step;
        *value = of_image ? kept + away : us_activate(wanted->activation, before + away);
        sides[s] = score_of(wanted, x, y, e);
    }
    *value = kept;
    return (sides[1] - sides[0]) / (2 * step);
}

static unseen_status expect(const gradient_case *wanted, us_test_values values[VALUES],
                            unseen_error *error) {
    const size_t size = us_shape_size(wanted->shape), n = (size_t)wanted->n;
    double *x = malloc(3 * size * sizeof *x), *y = x + size, *e = y + size;
    if (!x) return us_fail_memory(error, "the self-test");
    for (size_t j = 0; j < n; j++) {
        const double slope = values[SLOPES].host[j];
        for (size_t i = 0; i < size; i++) {
            x[i] = values[X].host[i * n + j];
            /* y is what the host's activation gives, so that differences are of one function. */
            y[i] = us_activate(wanted->activation, values[BEFORE].host[i * n + j]);
        }
        for (size_t i = 0; i < size; i++) {
            const double before = values[BEFORE].host[i * n + j];
            values[DX].host[i * n + j] = slope * difference(wanted, x, y, i, before, true, e);
            const double dy = slope * difference(wanted, x, y, i, before, false, e);
            values[DY].host[i * n + j] = (wanted->accumulate ? values[DY].host[i * n + j] : 0) + dy;
        }
    }
    free(x);
    return UNSEEN_OK;
}

static unseen_status fill(us_selftest *test, const gradient_case *wanted,
                          us_test_values values[VALUES], unseen_error *error) {
    const int padded = wanted->room > wanted->n ? wanted->room : wanted->n;
    const int batch = us_device_pad(&test->device->facts, padded);
    const size_t size = us_shape_size(wanted->shape), count = size * (size_t)wanted->n;
    for (int i = 0; i < VALUES; i++)
        US_TRY(us_test_values_create(test, i == SLOPES ? 1 : size, wanted->n, batch, &values[i],
                                     error));
    for (int i = 0; i < VALUES; i++)
        us_test_values_random(test, &values[i], 0.5, 0);
    for (size_t i = 0; i < count; i++) {
        double *before = &values[BEFORE].host[i];
        if (fabs(*before) < 1e-3) *before = 1e-3; /* a leaky ReLU has a kink at 0 */
        values[Y].host[i] = (double)(float)us_activate(wanted->activation, *before);
    }
    US_TRY(us_test_values_upload(&values[X], 0.25f, error));
    US_TRY(us_test_values_upload(&values[Y], 0.5f, error));
    US_TRY(us_test_values_upload(&values[DX], 3, error));
    US_TRY(us_test_values_upload(&values[DY], 0, error));
    return us_test_values_upload(&values[SLOPES], 0, error);
}

static unseen_status run_gradient(us_selftest *test, int number, unseen_error *error) {
    const gradient_case *wanted = &gradient_cases[number];
    us_test_values values[VALUES] = {{0}};
    us_pixel_gradient *gradient = NULL;
    char what[96];
    unseen_status status;
    US_CHECK(fill(test, wanted, values, error));
    US_CHECK(us_pixel_gradient_create(test->device, wanted->kind, wanted->top_k, wanted->shape,
                                      values[X].batch, wanted->activation, &gradient, error));
    const us_pixel_gradient_args args = {.x = values[X].device,
                                         .y = values[Y].device,
                                         .slopes = values[SLOPES].device,
                                         .dx = values[DX].device,
                                         .dy = values[DY].device,
                                         .n = wanted->n,
                                         .accumulate = wanted->accumulate};
    US_CHECK(us_pixel_gradient_run(gradient, &args, error));
    US_CHECK(expect(wanted, values, error));
    for (int i = DX; i <= DY; i++) {
        snprintf(what, sizeof what, "%s, %s", wanted->what, i == DX ? "by x" : "by y");
        US_CHECK(us_test_values_compare(test, &values[i], "pixel gradient", what, wanted->shape,
                                        2e-5, 1e-3, true, error));
    }
done:
    us_pixel_gradient_destroy(gradient);
    for (int i = 0; i < VALUES; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

/* ---- slopes of scores ---- */

typedef struct slope_case {
    const char *what;
    us_score_parts parts;
    int n, room;
} slope_case;

static const slope_case slope_cases[] = {
    {"sum", {false, 3, {1, 0, -2.5}, {0, 0, 0}}, 17, 0},
    {"largest", {true, 3, {1, 0.5, -2}, {0.25, -0.5, 1}}, 33, 128},
    {"largest of one", {true, 1, {-1}, {3}}, 1, 0},
};
enum { SLOPE_CASES = sizeof slope_cases / sizeof *slope_cases };

static void expect_slopes(const slope_case *wanted, const us_test_values *columns,
                          us_test_values *slopes) {
    const us_score_parts *parts = &wanted->parts;
    for (int j = 0; j < wanted->n; j++) {
        int largest = 0;
        double values[US_SCORE_PARTS_MOST];
        for (int c = 0; c < parts->count; c++) {
            values[c] = parts->factors[c] * columns[c].host[j] + parts->offsets[c];
            if (values[c] > values[largest]) largest = c;
        }
        for (int c = 0; c < parts->count; c++)
            slopes[c].host[j] = !parts->maximum || c == largest ? parts->factors[c] : 0;
    }
}

static unseen_status run_slopes(us_selftest *test, int number, unseen_error *error) {
    const slope_case *wanted = &slope_cases[number];
    const int padded = wanted->room > wanted->n ? wanted->room : wanted->n;
    const int batch = us_device_pad(&test->device->facts, padded), count = wanted->parts.count;
    us_test_values columns[US_SCORE_PARTS_MOST] = {{0}}, slopes[US_SCORE_PARTS_MOST] = {{0}};
    us_buffer *from[US_SCORE_PARTS_MOST], *to[US_SCORE_PARTS_MOST];
    us_score_slopes *tested = NULL;
    unseen_status status = UNSEEN_OK;
    for (int c = 0; c < count; c++) {
        US_CHECK(us_test_values_create(test, 1, wanted->n, batch, &columns[c], error));
        US_CHECK(us_test_values_create(test, 1, wanted->n, batch, &slopes[c], error));
        us_test_values_random(test, &columns[c], 1, 0);
        US_CHECK(us_test_values_upload(&columns[c], 9, error));
        US_CHECK(us_test_values_upload(&slopes[c], 9, error));
        from[c] = columns[c].device;
        to[c] = slopes[c].device;
    }
    US_CHECK(us_score_slopes_create(test->device, &wanted->parts, batch, &tested, error));
    US_CHECK(us_score_slopes_run(tested, from, wanted->n, to, error));
    expect_slopes(wanted, columns, slopes);
    for (int c = 0; c < count; c++)
        US_CHECK(us_test_values_compare(test, &slopes[c], "slopes of scores", wanted->what,
                                        (us_shape){count, 1, 1}, 1e-7, 1, true, error));
done:
    us_score_slopes_destroy(tested);
    for (int c = 0; c < count; c++) {
        us_test_values_destroy(&columns[c]);
        us_test_values_destroy(&slopes[c]);
    }
    return status;
}

const us_selftest_group us_selftest_pixel_gradients = {"pixel gradient", GRADIENT_CASES,
                                                       run_gradient};
const us_selftest_group us_selftest_score_slopes = {"slopes of scores", SLOPE_CASES, run_slopes};
