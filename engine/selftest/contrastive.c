/* SPDX-License-Identifier: MIT */
/* The contrastive loss, whose gradients are finite differences here; the score; turned images. */
#include <math.h>
#include <stdlib.h>

#include "ops/contrastive.h"
#include "ops/turned_views.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"

static int room_for(const us_selftest *test, int n, int room) {
    return us_device_pad(&test->device->facts, room > n ? room : n);
}

/* ---- the loss ---- */

typedef struct loss_case {
    const char *what;
    int dimensions, n, room;
    us_activation activation;
    double temperature, scale;
} loss_case;

static const loss_case loss_cases[] = {
    {"one pair", 3, 2, 0, {US_ACTIVATION_NONE, 0}, 0.5, 1},
    {"a batch", 13, 34, 128, {US_ACTIVATION_NONE, 0}, 0.5, 2},
    {"two dimensions", 2, 18, 0, {US_ACTIVATION_NONE, 0}, 0.5, 1},
    {"sharp", 9, 16, 0, {US_ACTIVATION_NONE, 0}, 0.05, 1},
    {"behind an activation", 8, 18, 0, {US_ACTIVATION_LEAKY_RELU, 0.2f}, 0.5, 1},
};

enum { LOSS_CASES = sizeof loss_cases / sizeof *loss_cases };

static double cosine(const double *z, int dimensions, int n, int a, int b) {
    double product = 0, first = 0, second = 0;
    for (int d = 0; d < dimensions; d++) {
        const double x = z[d * n + a], y = z[d * n + b];
        product += x * y;
        first += x * x;
        second += y * y;
    }
    return product / sqrt(first * second);
}

/* [n][n] */
static void fill_cosines(const loss_case *wanted, const double *z, double *cosines) {
    for (int a = 0; a < wanted->n; a++)
        for (int b = 0; b < wanted->n; b++)
            cosines[a * wanted->n + b] = cosine(z, wanted->dimensions, wanted->n, a, b);
}

static double mean_loss(const loss_case *wanted, const double *cosines) {
    const int n = wanted->n;
    double total = 0;
    for (int a = 0; a < n; a++) {
        double sum = 0;
        for (int b = 0; b < n; b++)
            if (b != a) sum += exp(cosines[a * n + b] / wanted->temperature);
        total += log(sum) - cosines[a * n + (a + n / 2) % n] / wanted->temperature;
    }
    return total / n;
}

/* The loss with one number of one vector changed. */
static double changed_loss(const loss_case *wanted, double *z, int vector, int place, double by,
                           const double *cosines, double *room) {
    const int n = wanted->n;
    const double was = z[place];
    z[place] = was + by;
    for (int i = 0; i < n * n; i++)
        room[i] = cosines[i];
    for (int b = 0; b < n; b++)
        room[vector * n + b] = room[b * n + vector] = cosine(z, wanted->dimensions, n, vector, b);
    z[place] = was;
    return mean_loss(wanted, room);
}

static void reference_loss(const loss_case *wanted, us_test_values *z, us_test_values *dz,
                           us_test_values *loss, double *room) {
    const double step = 1e-5;
    double *cosines = room, *changed = room + wanted->n * wanted->n;
    fill_cosines(wanted, z->host, cosines);
    loss->host[0] = mean_loss(wanted, cosines);
    for (int d = 0; d < wanted->dimensions; d++)
        for (int a = 0; a < wanted->n; a++) {
            const int place = d * wanted->n + a;
            dz->host[place] = (changed_loss(wanted, z->host, a, place, step, cosines, changed) -
                               changed_loss(wanted, z->host, a, place, -step, cosines, changed)) /
                              (2 * step) * us_activation_slope(wanted->activation, z->host[place]);
        }
}

typedef struct loss_test {
    us_test_values z, dz, loss;
    us_contrastive_loss *operator;
    double *room;
} loss_test;

static unseen_status check_loss(us_selftest *test, const loss_case *wanted, loss_test *t,
                                unseen_error *error) {
    const int n = wanted->n, batch = room_for(test, n, wanted->room);
    const size_t rows = (size_t)wanted->dimensions;
    const us_shape shape = {wanted->dimensions, 1, 1};
    US_TRY(us_test_values_create(test, rows, n, batch, &t->z, error));
    US_TRY(us_test_values_create(test, rows, n, batch, &t->dz, error));
    US_TRY(us_test_values_create(test, 1, 1, 1, &t->loss, error));
    t->room = malloc(2 * (size_t)(n * n) * sizeof *t->room);
    if (!t->room) return us_fail_memory(error, "the self-test");
    us_test_values_random(test, &t->z, wanted->scale, 0);
    for (size_t i = 0; i < rows * (size_t)n; i++)
        t->z.host[i] = (double)(float)us_activate(wanted->activation, t->z.host[i]);
    US_TRY(us_test_values_upload(&t->z, 0.5f, error));
    US_TRY(us_test_values_upload(&t->dz, 3, error));
    US_TRY(us_contrastive_loss_create(test->device, wanted->dimensions, batch, wanted->activation,
                                      wanted->temperature, &t->operator, error));
    const us_contrastive_loss_args args = {
        .z = t->z.device, .dz = t->dz.device, .losses = t->loss.device, .n = n};
    US_TRY(us_contrastive_loss_run(t->operator, & args, error));
    reference_loss(wanted, &t->z, &t->dz, &t->loss, t->room);
    US_TRY(us_test_values_compare(test, &t->loss, "contrastive loss", wanted->what, shape, 1e-5,
                                  1e-3, false, error));
    /* Terms of up to 1 / (n temperature) cancel: all of them where there is one pair. */
    const double floor = fmax(1e-3, 1e-2 / (n * wanted->temperature));
    return us_test_values_compare(test, &t->dz, "contrastive loss", "gradient", shape, 2e-5, floor,
                                  true, error);
}

static unseen_status run_loss(us_selftest *test, int number, unseen_error *error) {
    loss_test t = {0};
    unseen_status status = check_loss(test, &loss_cases[number], &t, error);
    us_test_values_destroy(&t.z);
    us_test_values_destroy(&t.dz);
    us_test_values_destroy(&t.loss);
    us_contrastive_loss_destroy(t.operator);
    free(t.room);
    return status;
}

/* ---- the score ---- */

typedef struct score_case {
    int parts, dimensions, points, n, room;
} score_case;

static const score_case score_cases[] = {
    {4, 13, 24, 17, 0}, {4, 128, 8, 1, 128}, {1, 3, 16, 33, 0}};

enum { SCORE_CASES = sizeof score_cases / sizeof *score_cases };

typedef struct score_test {
    us_test_values z, logits, similarity, shift;
    us_contrastive_score *operator;
    float *directions, *weights;
} score_test;

/* Vectors of part p are in lanes p batch .. p batch + n - 1. */
static void reference_score(const score_case *wanted, int batch, score_test *t) {
    const size_t wide = (size_t)t->z.n;
    for (int j = 0; j < wanted->n; j++) {
        double similarity = 0, shift = 0;
        for (int p = 0; p < wanted->parts; p++) {
            const size_t lane = (size_t)(p * batch + j);
            double top = -INFINITY;
            for (int m = 0; m < wanted->points; m++) {
                double product = 0;
                for (int d = 0; d < wanted->dimensions; d++)
                    product +=
                        t->z.host[(size_t)d * wide + lane] *
                        (double)t->directions[(p * wanted->dimensions + d) * wanted->points + m];
                top = fmax(top, product);
            }
            similarity += (double)t->weights[p] * top;
            shift +=
                (double)t->weights[wanted->parts + p] * t->logits.host[(size_t)p * wide + lane];
        }
        t->similarity.host[j] = similarity;
        t->shift.host[j] = shift;
    }
}

static unseen_status create_score(us_selftest *test, const score_case *wanted, int batch,
                                  score_test *t, unseen_error *error) {
    const int wide = us_device_pad(&test->device->facts, wanted->parts * batch);
    const size_t directions = (size_t)(wanted->parts * wanted->dimensions * wanted->points);
    US_TRY(us_test_values_create(test, (size_t)wanted->dimensions, wanted->parts * batch, wide,
                                 &t->z, error));
    US_TRY(us_test_values_create(test, (size_t)wanted->parts, wanted->parts * batch, wide,
                                 &t->logits, error));
    US_TRY(us_test_values_create(test, 1, wanted->n, batch, &t->similarity, error));
    US_TRY(us_test_values_create(test, 1, wanted->n, batch, &t->shift, error));
    us_test_values_random(test, &t->z, 1, 0);
    us_test_values_random(test, &t->logits, 1, 0);
    US_TRY(us_test_values_upload(&t->z, 0, error));
    US_TRY(us_test_values_upload(&t->logits, 0, error));
    t->directions = malloc(directions * sizeof *t->directions);
    t->weights = malloc(2 * (size_t)wanted->parts * sizeof *t->weights);
    if (!t->directions || !t->weights) return us_fail_memory(error, "the self-test");
    for (size_t i = 0; i < directions; i++)
        t->directions[i] = (float)(i * 37 % 101) / 101 - 0.5f;
    for (int p = 0; p < 2 * wanted->parts; p++)
        t->weights[p] = 0.25f * (float)(p + 1);
    const us_contrastive_memory memory = {.parts = wanted->parts,
                                          .dimensions = wanted->dimensions,
                                          .points = wanted->points,
                                          .directions = t->directions,
                                          .weights = t->weights};
    return us_contrastive_score_create(test->device, &memory, batch, wide, &t->operator, error);
}

static unseen_status run_score(us_selftest *test, int number, unseen_error *error) {
    const score_case *wanted = &score_cases[number];
    const int batch = room_for(test, wanted->n, wanted->room);
    const us_shape shape = {wanted->dimensions, 1, 1};
    score_test t = {0};
    unseen_status status;
    US_CHECK(create_score(test, wanted, batch, &t, error));
    US_CHECK(us_contrastive_score_run(t.operator, t.z.device, t.logits.device, t.similarity.device,
                                      t.shift.device, error));
    reference_score(wanted, batch, &t);
    US_CHECK(us_test_values_compare(test, &t.similarity, "contrastive score", "similarities", shape,
                                    1e-5, 1e-3, false, error));
    US_CHECK(us_test_values_compare(test, &t.shift, "contrastive score", "shifts", shape, 1e-5,
                                    1e-3, false, error));
done:
    us_test_values_destroy(&t.z);
    us_test_values_destroy(&t.logits);
    us_test_values_destroy(&t.similarity);
    us_test_values_destroy(&t.shift);
    us_contrastive_score_destroy(t.operator);
    free(t.directions);
    free(t.weights);
    return status;
}

/* ---- turned images ---- */

typedef struct turn_case {
    us_shape shape;
    int n, room, parts;
    bool apart; /* parts begin at multiples of the batch, else right after each other */
} turn_case;

static const turn_case turn_cases[] = {
    {{3, 7, 7}, 17, 0, 8, false}, {{1, 5, 5}, 9, 64, 4, true}, {{5, 1, 1}, 1, 0, 8, false}};

enum { TURN_CASES = sizeof turn_cases / sizeof *turn_cases };

static void reference_turns(const turn_case *wanted, int stride, const us_test_values *x,
                            us_test_values *out) {
    const int side = wanted->shape.height, last = side - 1, n = wanted->n;
    const size_t wide = (size_t)out->n;
    for (int c = 0, row = 0; c < wanted->shape.channels; c++)
        for (int y = 0; y < side; y++)
            for (int column = 0; column < side; column++, row++)
                for (int lane = 0; lane < wanted->parts * stride; lane++) {
                    int from_y = y, from_x = column, image = lane % stride;
                    /* The right edge goes to the top, quarter by quarter. */
                    for (int q = lane / stride % 4; q > 0; q--) {
                        const int turned = last - from_y;
                        from_y = from_x;
                        from_x = turned;
                    }
                    const int from = (c * side + from_y) * side + from_x;
                    out->host[(size_t)row * wide + (size_t)lane] =
                        image < n ? x->host[from * n + image] : 0;
                }
}

static unseen_status run_turns(us_selftest *test, int number, unseen_error *error) {
    const turn_case *wanted = &turn_cases[number];
    const int batch = room_for(test, wanted->n, wanted->room);
    const int stride = wanted->apart ? batch : wanted->n;
    const int wide = us_device_pad(&test->device->facts, wanted->parts * batch);
    const size_t size = us_shape_size(wanted->shape);
    us_test_values x = {0}, out = {0};
    us_turned_views *views = NULL;
    unseen_status status;
    US_CHECK(us_test_values_create(test, size, wanted->n, batch, &x, error));
    US_CHECK(us_test_values_create(test, size, wanted->parts * stride, wide, &out, error));
    us_test_values_random(test, &x, 1, 0);
    US_CHECK(us_test_values_upload(&x, 7, error));
    US_CHECK(us_test_values_upload(&out, 2, error));
    US_CHECK(us_turned_views_create(test->device, US_PURPOSE_SCORING, wanted->shape, batch, wide,
                                    &views, error));
    const us_turned_views_args args = {
        .x = x.device, .out = out.device, .n = wanted->n, .stride = stride, .parts = wanted->parts};
    US_CHECK(us_turned_views_run(views, &args, error));
    reference_turns(wanted, stride, &x, &out);
    US_CHECK(us_test_values_compare(test, &out, "turned views", wanted->apart ? "apart" : "joined",
                                    wanted->shape, 1e-7, 1, true, error));
done:
    us_turned_views_destroy(views);
    us_test_values_destroy(&x);
    us_test_values_destroy(&out);
    return status;
}

const us_selftest_group us_selftest_contrastive_losses = {"contrastive loss", LOSS_CASES, run_loss};
const us_selftest_group us_selftest_contrastive_scores = {"contrastive score", SCORE_CASES,
                                                          run_score};
const us_selftest_group us_selftest_turned_views = {"turned views", TURN_CASES, run_turns};
