/* SPDX-License-Identifier: MIT */
/* Geometric transformations and the loss of telling them apart, against the host. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "ops/class_entropy.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"
#include "ops/transformation.h"

enum { DRAW_SEED = 11, DRAW_SUBSTREAM = 5 };

/* ---- transformations ---- */

typedef struct transformation_case {
    const char *what;
    us_transformations set;
    us_shape shape;
    int n, room;
} transformation_case;

static const transformation_case transformation_cases[] = {
    {"rotations, flips and shifts", {4, 2, 9, 2, 2}, {3, 7, 7}, 33, 0},
    {"flips and shifts", {1, 2, 9, 3, 1}, {1, 7, 5}, 17, 128},
    {"shifts as far as may be", {1, 1, 9, 6, 4}, {1, 7, 5}, 5, 0},
    {"rotations", {4, 1, 1, 0, 0}, {5, 1, 1}, 1, 0},
};

enum { TRANSFORMATION_CASES = sizeof transformation_cases / sizeof *transformation_cases };

static int mirrored(int i, int size) {
    while (i < 0 || i >= size)
        i = i < 0 ? -i : 2 * (size - 1) - i;
    return i;
}

/* One channel of one image, the pixels `n` apart: each step as it is described, forwards. */
static void reference_transform(const us_transformations *set, us_shape shape, int t,
                                const double *x, double *out, size_t n, double *room) {
    int h = shape.height, w = shape.width, size = h * w;
    int shift = t % set->shifts, flip = t / set->shifts % set->flips;
    int quarters = t / (set->shifts * set->flips);
    int down = (int[]){0, set->shift_y, -set->shift_y}[shift / 3];
    int right = (int[]){0, set->shift_x, -set->shift_x}[shift % 3];
    for (int p = 0; p < size; p++) {
        int y = mirrored(p / w - down, h), column = mirrored(p % w - right, w);
        room[p] = x[(size_t)(y * w + (flip ? w - 1 - column : column)) * n];
    }
    for (; quarters > 0; quarters--) {
        double *turned = room + size;
        for (int y = 0; y < h; y++) /* the right edge goes to the top */
            for (int column = 0; column < w; column++)
                turned[(w - 1 - column) * h + y] = room[y * w + column];
        for (int p = 0; p < size; p++)
            room[p] = turned[p];
    }
    for (int p = 0; p < size; p++)
        out[(size_t)p * n] = room[p];
}

static int drawn(const us_transformations *set, int image) {
    uint32_t words[4];
    us_random_words(DRAW_SEED, US_STREAM_NOISE, DRAW_SUBSTREAM, (uint64_t)image, words);
    return (int)(((uint64_t)words[0] * (uint64_t)us_transformations_count(set)) >> 32);
}

/* What reference_transform does, transposed: what it takes to a pixel, of a 1 elsewhere. Adds to out. */
static void reference_adjoint(const us_transformations *set, us_shape shape, int t,
                              const double *gradient, double *out, size_t n, double *room) {
    const size_t size = (size_t)(shape.height * shape.width);
    double *unit = room + 2 * size, *moved = unit + size;
    for (size_t p = 0; p < size; p++) {
        for (size_t q = 0; q < size; q++)
            unit[q] = q == p;
        reference_transform(set, shape, t, unit, moved, 1, room);
        for (size_t q = 0; q < size; q++)
            out[p * n] += moved[q] * gradient[q * n];
    }
}

/* fixed: as us_transformation_draw has it. */
static void reference_batch(const transformation_case *wanted, int fixed, const us_test_values *x,
                            us_test_values *out, double *room) {
    size_t n = (size_t)x->n, plane = (size_t)(wanted->shape.height * wanted->shape.width) * n;
    for (int j = 0; j < wanted->n; j++)
        for (int c = 0; c < wanted->shape.channels; c++) {
            size_t first = (size_t)c * plane + (size_t)j;
            int t = fixed < 0 ? drawn(&wanted->set, j) : fixed;
            reference_transform(&wanted->set, wanted->shape, t, x->host + first, out->host + first,
                                n, room);
        }
}

/* The gradients of two transformations add up. */
static unseen_status check_adjoint(us_selftest *test, const transformation_case *wanted,
                                   us_transformation *transformation, us_test_values *x,
                                   us_test_values *out, double *room, unseen_error *error) {
    const size_t plane = (size_t)(wanted->shape.height * wanted->shape.width) * (size_t)x->n;
    const int count = us_transformations_count(&wanted->set);
    for (int t = count - 1; t >= 0; t -= count / 5 + 1) {
        const int pair[2] = {t, (t * 7 + 1) % count};
        for (size_t i = 0; i < plane * (size_t)wanted->shape.channels; i++)
            out->host[i] = 0;
        for (int i = 0; i < 2; i++) {
            US_TRY(us_transformation_adjoint(transformation, x->device, pair[i], i > 0, out->device,
                                             error));
            for (size_t c = 0; c < (size_t)wanted->shape.channels; c++)
                for (size_t j = 0; j < (size_t)wanted->n; j++)
                    reference_adjoint(&wanted->set, wanted->shape, pair[i], x->host + c * plane + j,
                                      out->host + c * plane + j, (size_t)x->n, room);
        }
        US_TRY(us_test_values_compare(test, out, "transformation", "adjoint", wanted->shape, 1e-6,
                                      1, false, error));
    }
    return UNSEEN_OK;
}

static unseen_status check_transformations(us_selftest *test, const transformation_case *wanted,
                                           us_transformation *transformation, us_test_values *x,
                                           us_test_values *out, us_buffer *labels, double *room,
                                           unseen_error *error) {
    US_TRY(us_transformation_draw(transformation, labels, -1, DRAW_SEED, DRAW_SUBSTREAM, error));
    US_TRY(
        us_transformation_each(transformation, x->device, labels, out->device, wanted->n, error));
    reference_batch(wanted, -1, x, out, room);
    US_TRY(us_test_values_compare(test, out, "transformation", wanted->what, wanted->shape, 1e-7, 1,
                                  true, error));
    int count = us_transformations_count(&wanted->set);
    for (int t = count - 1; t >= 0; t -= count / 4 + 1) {
        US_TRY(us_transformation_all(transformation, x->device, t, out->device, wanted->n, error));
        reference_batch(wanted, t, x, out, room);
        US_TRY(us_test_values_compare(test, out, "transformation", "the same for all",
                                      wanted->shape, 1e-7, 1, true, error));
    }
    return UNSEEN_OK;
}

static unseen_status run_transformations(us_selftest *test, int number, unseen_error *error) {
    const transformation_case *wanted = &transformation_cases[number];
    const size_t rows = us_shape_size(wanted->shape);
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    us_transformation *transformation = NULL;
    us_test_values x = {0}, out = {0};
    us_buffer *labels = NULL;
    unseen_status status = UNSEEN_OK;
    double *room = calloc(4 * rows, sizeof *room);
    if (!room) return us_fail_memory(error, "the self-test");
    US_CHECK(us_test_values_create(test, rows, wanted->n, batch, &x, error));
    US_CHECK(us_test_values_create(test, rows, wanted->n, batch, &out, error));
    us_test_values_random(test, &x, 1, 0);
    US_CHECK(us_test_values_upload(&x, 7, error));
    US_CHECK(us_buffer_create(test->device, (size_t)batch * sizeof(int32_t), "the self-test",
                              &labels, error));
    US_CHECK(us_transformation_create(test->device, US_PURPOSE_SCORING, &wanted->set, wanted->shape,
                                      batch, &transformation, error));
    US_CHECK(check_transformations(test, wanted, transformation, &x, &out, labels, room, error));
    US_CHECK(check_adjoint(test, wanted, transformation, &x, &out, room, error));
done:
    us_transformation_destroy(transformation);
    us_test_values_destroy(&x);
    us_test_values_destroy(&out);
    us_buffer_destroy(labels);
    free(room);
    return status;
}

/* ---- cross entropy of classes ---- */

typedef struct entropy_case {
    const char *what;
    us_class_heads heads;
    us_activation activation;
    int n, room;
    double scale; /* of the class scores */
} entropy_case;

static const entropy_case entropy_cases[] = {
    {"72 classes", {1, {72}, {1}}, {US_ACTIVATION_NONE, 0}, 17, 0, 3},
    {"large scores", {1, {5}, {1}}, {US_ACTIVATION_NONE, 0}, 33, 128, 60},
    {"behind an activation", {1, {2}, {1}}, {US_ACTIVATION_LEAKY_RELU, 0.2f}, 1, 0, 1},
    {"three heads", {3, {4, 3, 3}, {9, 3, 1}}, {US_ACTIVATION_NONE, 0}, 45, 0, 3},
    {"four heads", {4, {4, 3, 3, 2}, {18, 3, 1, 9}}, {US_ACTIVATION_TANH, 0}, 17, 96, 20},
};

enum { ENTROPY_CASES = sizeof entropy_cases / sizeof *entropy_cases };

typedef struct entropy_test {
    us_test_values y, dy, entropies, weights, scores, weighted, loss;
    us_buffer *labels;
    us_class_entropy *entropy;
} entropy_test;

/* What a label of all heads is below. */
static int label_count(const us_class_heads *heads) {
    int count = 1;
    for (int h = 0; h < heads->count; h++)
        count *= heads->sizes[h];
    return count;
}

static unseen_status create_entropy(us_selftest *test, const entropy_case *wanted, entropy_test *t,
                                    unseen_error *error) {
    const size_t classes = (size_t)us_class_heads_classes(&wanted->heads);
    const int n = wanted->n,
              batch = us_device_pad(&test->device->facts, wanted->room > n ? wanted->room : n);
    US_TRY(us_test_values_create(test, classes, n, batch, &t->y, error));
    US_TRY(us_test_values_create(test, classes, n, batch, &t->dy, error));
    US_TRY(us_test_values_create(test, 1, n, batch, &t->entropies, error));
    US_TRY(us_test_values_create(test, 2 * classes, 1, 1, &t->weights, error));
    US_TRY(us_test_values_create(test, 1, n, batch, &t->scores, error));
    US_TRY(us_test_values_create(test, classes, n, batch, &t->weighted, error));
    US_TRY(us_test_values_create(test, 1, 1, 1, &t->loss, error));
    us_test_values_random(test, &t->y, wanted->scale, 0);
    us_test_values_random(test, &t->entropies, 1, 0);
    us_test_values_random(test, &t->weights, 1, 0);
    us_test_values_random(test, &t->scores, 1, 0);
    for (size_t i = 0; i < classes * (size_t)n; i++)
        t->y.host[i] = (double)(float)us_activate(wanted->activation, t->y.host[i]);
    US_TRY(us_test_values_upload(&t->y, 0.5f, error));
    US_TRY(us_test_values_upload(&t->entropies, 0, error));
    US_TRY(us_test_values_upload(&t->weights, 0, error));
    US_TRY(us_test_values_upload(&t->scores, 0, error));
    size_t bytes = (size_t)batch * sizeof(int32_t);
    US_TRY(us_buffer_create(test->device, bytes, "the self-test", &t->labels, error));
    int32_t *labels = calloc((size_t)batch, sizeof *labels);
    if (!labels) return us_fail_memory(error, "the self-test");
    for (int j = 0; j < n; j++)
        labels[j] = j % label_count(&wanted->heads);
    unseen_status status = us_buffer_write(t->labels, 0, labels, bytes, error);
    free(labels);
    US_TRY(status);
    return us_class_entropy_create(test->device, US_PURPOSE_SCORING, &wanted->heads, batch,
                                   wanted->activation, &t->entropy, error);
}

/* A head of one image, whose scores begin at y: adds to its entropy and its weighted score. Gradients
 * are those of the mean over images, and of each image's weighted score. */
static void reference_head(const entropy_case *wanted, entropy_test *t, size_t begin, size_t size,
                           size_t own, size_t j) {
    const size_t n = (size_t)wanted->n;
    const double *weights = t->weights.host + us_class_heads_classes(&wanted->heads);
    double top = -INFINITY, sum = 0, weight = 0;
    for (size_t c = begin; c < begin + size; c++) {
        top = fmax(top, t->y.host[c * n + j]);
        weight += weights[c];
    }
    for (size_t c = begin; c < begin + size; c++)
        sum += exp(t->y.host[c * n + j] - top);
    for (size_t c = begin; c < begin + size; c++) {
        const double y = t->y.host[c * n + j];
        const double share = exp(y - top) / sum, slope = us_activation_slope(wanted->activation, y);
        t->dy.host[c * n + j] = (share - (c == begin + own)) / (double)n * slope;
        t->weighted.host[c * n + j] = (weight * share - weights[c]) * slope;
        t->scores.host[j] += weights[c] * (log(sum) + top - y);
    }
    t->entropies.host[j] += log(sum) + top - t->y.host[(begin + own) * n + j];
}

/* The entropies are added to what was there; the loss is the mean of both, as the sum is taken of
 * what is there. */
static void reference_entropy(const entropy_case *wanted, entropy_test *t) {
    const us_class_heads *heads = &wanted->heads;
    double total = 0;
    for (int j = 0; j < wanted->n; j++) {
        size_t begin = 0;
        for (int h = 0; h < heads->count; h++) {
            const int own = j % label_count(heads) / heads->divisors[h] % heads->sizes[h];
            reference_head(wanted, t, begin, (size_t)heads->sizes[h], (size_t)own, (size_t)j);
            begin += (size_t)heads->sizes[h];
        }
        total += t->entropies.host[j];
    }
    t->loss.host[0] = total / (double)wanted->n;
}

static unseen_status check_entropy(us_selftest *test, const entropy_case *wanted, entropy_test *t,
                                   unseen_error *error) {
    US_TRY(create_entropy(test, wanted, t, error));
    const int classes = us_class_heads_classes(&wanted->heads);
    us_class_entropy_args args = {
        .y = t->y.device,
        .labels = t->labels,
        .dy = t->dy.device,
        .entropies = t->entropies.device,
        .losses = t->loss.device,
        .n = wanted->n,
        .accumulate = true,
    };
    US_TRY(us_class_entropy_run(t->entropy, &args, error));
    const us_class_weighting weighting = {.y = t->y.device,
                                          .weights = t->weights.device,
                                          .scores = t->scores.device,
                                          .dy = t->weighted.device,
                                          .first = (size_t)classes,
                                          .n = wanted->n,
                                          .accumulate = true};
    US_TRY(us_class_entropy_weighted(t->entropy, &weighting, error));
    reference_entropy(wanted, t);
    const us_shape shape = {classes, 1, 1};
    const char *name = "class entropy";
    US_TRY(us_test_values_compare(test, &t->entropies, name, wanted->what, shape, 1e-5, 1e-3, true,
                                  error));
    US_TRY(us_test_values_compare(test, &t->dy, name, "gradient", shape, 1e-5, 1e-9, true, error));
    US_TRY(
        us_test_values_compare(test, &t->scores, name, "weighted", shape, 1e-5, 1e-3, true, error));
    US_TRY(us_test_values_compare(test, &t->weighted, name, "gradient, weighted", shape, 1e-5, 1e-6,
                                  true, error));
    args.gradient_of_sum = true;
    args.accumulate = false;
    args.losses = NULL;
    US_TRY(us_class_entropy_run(t->entropy, &args, error));
    for (size_t i = 0; i < t->dy.rows * (size_t)wanted->n; i++)
        t->dy.host[i] *= wanted->n;
    US_TRY(us_test_values_compare(test, &t->dy, name, "gradient of the sum", shape, 1e-5, 1e-8,
                                  true, error));
    return us_test_values_compare(test, &t->loss, name, "loss", shape, 1e-5, 1e-3, false, error);
}

static unseen_status run_entropy(us_selftest *test, int number, unseen_error *error) {
    const entropy_case *wanted = &entropy_cases[number];
    entropy_test t = {0};
    unseen_status status = check_entropy(test, wanted, &t, error);
    us_test_values *const all[] = {&t.y,      &t.dy,       &t.entropies, &t.weights,
                                   &t.scores, &t.weighted, &t.loss};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        us_test_values_destroy(all[i]);
    us_buffer_destroy(t.labels);
    us_class_entropy_destroy(t.entropy);
    return status;
}

/* ---- all of them ---- */

const us_selftest_group us_selftest_transformations = {"transformation", TRANSFORMATION_CASES,
                                                       run_transformations};
const us_selftest_group us_selftest_entropies = {"class entropy", ENTROPY_CASES, run_entropy};
