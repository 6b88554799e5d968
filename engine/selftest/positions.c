/* SPDX-License-Identifier: MIT */
/* Losses, scores and maps of grids of logits, against the host. */
#include <math.h>
#include <stdlib.h>

#include "ops/activation.h"
#include "ops/positions.h"
#include "selftest/cases.h"
#include "selftest/selftest.h"

/* ---- the loss ---- */

typedef struct loss_case {
    const char *what;
    us_shape grid, image;
    us_position_loss_settings settings;
    us_activation activation;
    int n, room;
    double scale; /* of the logits */
} loss_case;

static const loss_case loss_cases[] = {
    {"cross entropy", {1, 4, 3}, {3, 16, 12}, {0.2, 1, 0}, NONE, 17, 0, 2},
    {"weighted", {1, 8, 8}, {1, 33, 31}, {0.5, 3, 0}, NONE, 33, 128, 2},
    {"focal", {1, 5, 7}, {3, 20, 21}, {0.2, 2, 2}, NONE, 17, 0, 2},
    {"focal, behind an activation", {1, 3, 3}, {1, 7, 5}, {1, 1, 1.5}, LEAKY, 17, 0, 1},
    {"large logits", {1, 4, 4}, {1, 8, 8}, {0.2, 2, 0}, NONE, 17, 0, 60},
    {"large logits, focal", {1, 4, 4}, {1, 8, 8}, {0.2, 2, 2}, NONE, 17, 0, 60},
    {"one position", {1, 1, 1}, {1, 1, 1}, {0.2, 1, 0}, NONE, 1, 0, 1},
    {"more positions than pixels", {1, 5, 4}, {1, 2, 3}, {0.2, 1, 0}, NONE, 5, 0, 1},
};

enum { LOSS_CASES = sizeof loss_cases / sizeof *loss_cases };

static double target_of(const loss_case *c, const double *mask, int i, int k, size_t image) {
    const us_shape grid = c->grid, shape = c->image;
    double sum = 0;
    int count = 0;
    for (int y = 0; y < shape.height; y++)
        for (int x = 0; x < shape.width; x++) {
            /* Whether the pixel and the position have a part in common. */
            if ((y + 1) * grid.height <= i * shape.height ||
                y * grid.height >= (i + 1) * shape.height)
                continue;
            if ((x + 1) * grid.width <= k * shape.width || x * grid.width >= (k + 1) * shape.width)
                continue;
            sum += mask[(size_t)(y * shape.width + x) * (size_t)c->n + image];
            count++;
        }
    return fmin(sum / count / c->settings.coverage, 1);
}

/* log(1 + exp(v)) */
static double softplus(double v) {
    return fmax(v, 0) + log1p(exp(-fabs(v)));
}

static double loss_of(const loss_case *c, double v, double t) {
    const double gamma = c->settings.focusing;
    return c->settings.positive_weight * t * exp(-gamma * softplus(v)) * softplus(-v) +
           (1 - t) * exp(-gamma * softplus(-v)) * softplus(v);
}

static void reference_loss(const loss_case *c, const double *y, const double *mask, double *dy,
                           double *loss) {
    const size_t n = (size_t)c->n;
    const double count = (double)c->grid.height * c->grid.width * c->n;
    *loss = 0;
    for (int p = 0; p < c->grid.height * c->grid.width; p++)
        for (size_t j = 0; j < n; j++) {
            const double v = y[(size_t)p * n + j], step = 1e-5;
            const double t = target_of(c, mask, p / c->grid.width, p % c->grid.width, j);
            *loss += loss_of(c, v, t) / count;
            dy[(size_t)p * n + j] = (loss_of(c, v + step, t) - loss_of(c, v - step, t)) /
                                    (2 * step * count) * us_activation_slope(c->activation, v);
        }
}

static unseen_status run_loss(us_selftest *test, int number, unseen_error *error) {
    const loss_case *c = &loss_cases[number];
    const int batch = us_device_pad(&test->device->facts, c->room > c->n ? c->room : c->n);
    const us_shape plane = {1, c->image.height, c->image.width}, one = {1, 1, 1};
    us_test_values y = {0}, mask = {0}, dy = {0}, loss = {0};
    us_position_loss *op = NULL;
    unseen_status status;
    US_CHECK(us_test_values_create(test, us_shape_size(c->grid), c->n, batch, &y, error));
    US_CHECK(us_test_values_create(test, us_shape_size(plane), c->n, batch, &mask, error));
    US_CHECK(us_test_values_create(test, us_shape_size(c->grid), c->n, batch, &dy, error));
    US_CHECK(us_test_values_create(test, 1, 1, 1, &loss, error));
    us_test_values_random(test, &y, c->scale, 0);
    for (size_t i = 0; i < y.rows * (size_t)c->n; i++)
        y.host[i] = (double)(float)us_activate(c->activation, y.host[i]);
    us_test_values_random(test, &mask, 1, -1);
    for (size_t i = 0; i < mask.rows * (size_t)c->n; i++)
        mask.host[i] = fmin(fmax(mask.host[i], 0), 1);
    US_CHECK(us_test_values_upload(&y, 0.5f, error));
    US_CHECK(us_test_values_upload(&mask, 0.5f, error));
    US_CHECK(us_test_values_upload(&dy, 3, error));
    US_CHECK(us_position_loss_create(test->device, &c->settings, c->grid, c->image, batch,
                                     c->activation, &op, error));
    const us_position_loss_args args = {
        .y = y.device, .mask = mask.device, .dy = dy.device, .losses = loss.device, .n = c->n};
    US_CHECK(us_position_loss_run(op, &args, error));
    reference_loss(c, y.host, mask.host, dy.host, loss.host);
    US_CHECK(us_test_values_compare(test, &dy, "position loss", c->what, c->grid, 2e-5, 1e-6, true,
                                    error));
    status =
        us_test_values_compare(test, &loss, "position loss", "sum", one, 1e-5, 1e-6, false, error);

done:
    us_position_loss_destroy(op);
    us_test_values_destroy(&y);
    us_test_values_destroy(&mask);
    us_test_values_destroy(&dy);
    us_test_values_destroy(&loss);
    return status;
}

/* ---- scores and maps ---- */

typedef struct score_case {
    const char *what;
    us_shape grid, image;
    int rim;
    double top;
    int n, room;
} score_case;

static const score_case score_cases[] = {
    {"scores", {1, 8, 6}, {3, 32, 24}, 1, 0.1, 17, 0},
    {"scores", {1, 16, 16}, {1, 33, 31}, 2, 0.05, 33, 128},
    {"without a rim", {1, 5, 7}, {1, 5, 7}, 0, 1, 17, 0},
    {"a rim of all", {1, 3, 4}, {1, 7, 5}, 5, 0.5, 1, 0},
    {"one position", {1, 1, 1}, {1, 1, 1}, 2, 0.01, 33, 0},
};

enum { SCORE_CASES = sizeof score_cases / sizeof *score_cases };

static int within(int i, int rim, int size) {
    return i < rim ? rim : i > size - 1 - rim ? size - 1 - rim : i;
}

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* What is at position (i, k), those of the rim being as the nearest within. */
static double evidence(const score_case *c, int rim, const double *y, int i, int k, size_t image) {
    double sum = 0;
    i = within(i, rim, c->grid.height);
    k = within(k, rim, c->grid.width);
    for (int v = -1; v <= 1; v++)
        for (int w = -1; w <= 1; w++)
            sum += y[(size_t)(within(i + v, rim, c->grid.height) * c->grid.width +
                              within(k + w, rim, c->grid.width)) *
                         (size_t)c->n +
                     image];
    return softplus(sum / 9);
}

static double map_at(const score_case *c, int rim, const double *y, int row, int column,
                     size_t image) {
    const double i = (row + 0.5) * c->grid.height / c->image.height - 0.5,
                 k = (column + 0.5) * c->grid.width / c->image.width - 0.5;
    const double top = floor(i), left = floor(k);
    double sum = 0;
    for (int v = 0; v < 2; v++)
        for (int w = 0; w < 2; w++)
            sum += (1 - fabs(i - top - v)) * (1 - fabs(k - left - w)) *
                   evidence(c, rim, y, (int)top + v, (int)left + w, image);
    return sum;
}

static void reference_score(const score_case *c, const double *y, double *room, double *scores,
                            double *map) {
    const int side = c->grid.height < c->grid.width ? c->grid.height : c->grid.width;
    const int rim = c->rim < (side - 1) / 2 ? c->rim : (side - 1) / 2;
    const size_t n = (size_t)c->n;
    for (size_t j = 0; j < n; j++) {
        size_t count = 0;
        for (int i = rim; i < c->grid.height - rim; i++)
            for (int k = rim; k < c->grid.width - rim; k++)
                room[count++] = evidence(c, rim, y, i, k, j);
        qsort(room, count, sizeof *room, descending);
        const size_t top = (size_t)ceil(c->top * (double)count);
        scores[j] = 0;
        for (size_t i = 0; i < top; i++)
            scores[j] += room[i] / (double)top;
        for (int p = 0; p < c->image.height * c->image.width; p++)
            map[(size_t)p * n + j] = map_at(c, rim, y, p / c->image.width, p % c->image.width, j);
    }
}

static unseen_status run_score(us_selftest *test, int number, unseen_error *error) {
    const score_case *c = &score_cases[number];
    const int batch = us_device_pad(&test->device->facts, c->room > c->n ? c->room : c->n);
    const us_shape plane = {1, c->image.height, c->image.width}, one = {1, 1, 1};
    us_test_values y = {0}, scores = {0}, map = {0};
    us_position_score *op = NULL;
    unseen_status status = UNSEEN_OK;
    double *room = calloc(us_shape_size(c->grid), sizeof *room);
    if (!room) return us_fail_memory(error, "the self-test");
    US_CHECK(us_test_values_create(test, us_shape_size(c->grid), c->n, batch, &y, error));
    US_CHECK(us_test_values_create(test, 1, c->n, batch, &scores, error));
    US_CHECK(us_test_values_create(test, us_shape_size(plane), c->n, batch, &map, error));
    us_test_values_random(test, &y, 3, -1);
    US_CHECK(us_test_values_upload(&y, 0, error));
    US_CHECK(us_position_score_create(test->device, c->grid, c->image, c->rim, c->top, batch, &op,
                                      error));
    US_CHECK(us_position_score_run(op, y.device, scores.device, error));
    US_CHECK(us_position_score_map(op, map.device, error));
    reference_score(c, y.host, room, scores.host, map.host);
    US_CHECK(us_test_values_compare(test, &scores, "position score", c->what, one, 1e-5, 1e-3,
                                    false, error));
    status = us_test_values_compare(test, &map, "position score", "map", plane, 1e-5, 1e-3, false,
                                    error);

done:
    us_position_score_destroy(op);
    us_test_values_destroy(&y);
    us_test_values_destroy(&scores);
    us_test_values_destroy(&map);
    free(room);
    return status;
}

const us_selftest_group us_selftest_position_losses = {"position loss", LOSS_CASES, run_loss};
const us_selftest_group us_selftest_position_scores = {"position score", SCORE_CASES, run_score};
