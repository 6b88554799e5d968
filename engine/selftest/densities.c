/* SPDX-License-Identifier: MIT */
/* Densities, learned on the device from three batches, beside what the host makes of the same
 * points in double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/density.h"
#include "ops/density_fit.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"

typedef struct density_case {
    const char *what;
    us_shape shape;
    int n;
    us_density_settings settings;
} density_case;

#define GAUSSIAN(SHRINKAGE)                                                                        \
    { US_DENSITY_GAUSSIAN, SHRINKAGE, 512, 1, 16, 0 }
#define NEIGHBOURS(COUNT, POINTS)                                                                  \
    { US_DENSITY_NEIGHBOURS, -1, 512, COUNT, POINTS, 0 }
#define KERNELS(POINTS, WIDTH)                                                                     \
    { US_DENSITY_KERNELS, -1, 512, 1, POINTS, WIDTH }

static const density_case cases[] = {
    {"gaussian, Ledoit and Wolf", {5, 1, 1}, 17, GAUSSIAN(-1)},
    {"gaussian, Ledoit and Wolf", {7, 7, 5}, 3, GAUSSIAN(-1)},
    {"gaussian, Ledoit and Wolf", {40, 1, 1}, 17, GAUSSIAN(-1)},
    {"gaussian, fixed", {3, 7, 5}, 17, GAUSSIAN(0.1)},
    {"gaussian, fixed", {1, 1, 1}, 33, GAUSSIAN(0)},
    {"gaussian, projected", {20, 3, 2}, 17, {US_DENSITY_GAUSSIAN, 0.05, 6, 1, 16, 0}},
    {"neighbours", {5, 1, 1}, 17, NEIGHBOURS(1, 40)},
    {"neighbours", {3, 7, 5}, 5, NEIGHBOURS(3, 200)},
    {"neighbours, all points", {6, 1, 1}, 17, NEIGHBOURS(5, 1000)},
    {"neighbours, fewer points than wanted", {4, 1, 1}, 1, NEIGHBOURS(8, 1000)},
    {"kernel density", {5, 1, 1}, 17, KERNELS(40, 0)},
    {"kernel density", {3, 7, 5}, 5, KERNELS(150, 0.7)},
};
enum { CASES = sizeof cases / sizeof *cases, BATCHES = 3, X = BATCHES, DISTANCES, VALUES };

/* Points of all batches that were learned, [count][channels], in the order of images and pixels. */
static double *gather(const density_case *wanted, us_test_values values[VALUES], int batch,
                      int batches) {
    const size_t channels = (size_t)wanted->shape.channels, n = (size_t)wanted->n;
    const size_t pixels = us_shape_size(wanted->shape) / channels;
    double *points = malloc((size_t)batches * n * pixels * channels * sizeof *points);
    for (size_t b = 0; points && b < (size_t)batches; b++)
        for (size_t j = 0; j < n; j++)
            for (size_t p = 0; p < pixels; p++)
                for (size_t c = 0; c < channels; c++)
                    points[((b * n + j) * pixels + p) * channels + c] =
                        values[(size_t)batch + b].host[(c * pixels + p) * n + j];
    return points;
}

/* [count][channels] projected as the device does, after the shift. */
static void project(int channels, int d, size_t count, const float *shift, double *points) {
    float *weights = malloc((size_t)channels * (size_t)d * sizeof *weights);
    if (weights) us_projection(channels, d, weights);
    for (size_t i = 0; weights && i < count; i++) {
        double z[64] = {0};
        for (int c = 0; c < channels; c++)
            for (int t = 0; t < d; t++)
                z[t] += (points[i * (size_t)channels + (size_t)c] - (double)shift[c]) *
                        (double)weights[c * d + t];
        for (int t = 0; t < d; t++)
            points[i * (size_t)d + (size_t)t] = z[t]; /* behind what is still to be read */
    }
    free(weights);
}

/* Mahalanobis distances by Gaussian elimination of the shrunk covariance, whose shrinkage is
 * computed from the points themselves. */
static void expect_gaussian(int d, double shrinkage, size_t learned, const double *points,
                            size_t count, const double *asked, double *distances) {
    const size_t n = (size_t)d;
    double *mean = calloc(n, sizeof *mean), *s = calloc(n * n, sizeof *s);
    double *a = malloc(n * (n + 1) * sizeof *a);
    for (size_t i = 0; i < learned; i++)
        for (size_t c = 0; c < n; c++)
            mean[c] += points[i * n + c] / (double)learned;
    double fourth = 0, squares = 0, trace = 0;
    for (size_t i = 0; i < learned; i++) {
        double length = 0;
        for (size_t c = 0; c < n; c++) {
            const double away = points[i * n + c] - mean[c];
            length += away * away;
            for (size_t k = 0; k < n; k++)
                s[c * n + k] += away * (points[i * n + k] - mean[k]) / (double)learned;
        }
        fourth += length * length;
    }
    for (size_t i = 0; i < n * n; i++)
        squares += s[i] * s[i];
    for (size_t i = 0; i < n; i++)
        trace += s[i * n + i];
    if (shrinkage < 0) {
        const double noise = (fourth / (double)learned - squares) / (double)learned;
        const double away = squares - trace * trace / d;
        shrinkage = away > 0 ? fmin(1, noise / away) : 1;
    }
    for (size_t i = 0; i < n * n; i++)
        s[i] = (1 - shrinkage) * s[i] + (i % (n + 1) == 0 ? (shrinkage + 1e-6) * trace / d : 0);
    for (size_t q = 0; q < count; q++) {
        for (size_t r = 0; r < n; r++) {
            memcpy(a + r * (n + 1), s + r * n, n * sizeof *a);
            a[r * (n + 1) + n] = asked[q * n + r] - mean[r];
        }
        double sum = 0;
        for (size_t r = 0; r < n; r++) {
            const double *row = a + r * (n + 1);
            for (size_t below = r + 1; below < n; below++) {
                double *other = a + below * (n + 1);
                const double factor = other[r] / row[r];
                for (size_t k = r; k <= n; k++)
                    other[k] -= factor * row[k];
            }
            sum += row[n] * row[n] / row[r]; /* the factor is U^T D^-1 U */
        }
        distances[q] = sqrt(sum / d);
    }
    free(mean);
    free(s);
    free(a);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* From the points that the density keeps: which those are, test_density_fit.c looks at. */
static void expect_points(us_density *density, const density_case *wanted, size_t count,
                          const double *asked, double *distances) {
    us_density_tensor tensors[US_DENSITY_MAX_TENSORS];
    us_density_tensors(density, tensors);
    const size_t d = (size_t)wanted->shape.channels, points = (size_t)tensors[1].dims[0];
    double *squares = malloc((points + 1) * sizeof *squares);
    for (size_t q = 0; squares && q < count; q++) {
        for (size_t p = 0; p < points; p++) {
            squares[p] = 0;
            for (size_t c = 0; c < d; c++) {
                const double away = asked[q * d + c] - (double)tensors[0].values[c] -
                                    (double)tensors[1].values[p * d + c];
                squares[p] += away * away;
            }
        }
        qsort(squares, points, sizeof *squares, compare);
        double sum = 0;
        if (wanted->settings.kind == US_DENSITY_NEIGHBOURS) {
            const size_t skip = squares[0] < 1e-9;
            size_t used = (size_t)wanted->settings.neighbours;
            if (used > points - skip) used = points - skip;
            for (size_t k = skip; k < skip + used; k++)
                sum += sqrt(squares[k]);
            distances[q] = used ? sum / (double)used : 0;
        } else {
            const double width = (double)tensors[2].values[0];
            for (size_t p = 0; p < points; p++)
                sum += exp(-squares[p] / (2 * width * width));
            distances[q] = log((double)points) - log(sum);
        }
    }
    free(squares);
}

static unseen_status expect(us_density *density, const density_case *wanted,
                            us_test_values values[VALUES], unseen_error *error) {
    const size_t pixels = values[DISTANCES].rows, n = (size_t)wanted->n, count = pixels * n;
    const int channels = wanted->shape.channels;
    us_density_tensor tensors[US_DENSITY_MAX_TENSORS];
    us_density_tensors(density, tensors);
    double *points = gather(wanted, values, 0, BATCHES), *asked = gather(wanted, values, X, 1);
    double *distances = calloc(count, sizeof *distances);
    unseen_status status =
        points && asked && distances ? UNSEEN_OK : us_fail_memory(error, "the self-test");
    if (status == UNSEEN_OK && wanted->settings.kind == US_DENSITY_GAUSSIAN) {
        int d = channels;
        if (d > wanted->settings.components) {
            d = wanted->settings.components;
            project(channels, d, BATCHES * count, tensors[0].values, points);
            project(channels, d, count, tensors[0].values, asked);
        }
        expect_gaussian(d, wanted->settings.shrinkage, BATCHES * count, points, count, asked,
                        distances);
    } else if (status == UNSEEN_OK) {
        expect_points(density, wanted, count, asked, distances);
    }
    for (size_t j = 0; status == UNSEEN_OK && j < n; j++)
        for (size_t p = 0; p < pixels; p++)
            values[DISTANCES].host[p * n + j] = distances[j * pixels + p];
    free(points);
    free(asked);
    free(distances);
    return status;
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    const density_case *wanted = &cases[number];
    const us_shape shape = wanted->shape;
    const int batch = us_device_pad(&test->device->facts, wanted->n);
    const size_t pixels = (size_t)shape.height * (size_t)shape.width;
    us_test_values values[VALUES] = {{0}};
    us_density *density = NULL;
    unseen_status status;
    for (int i = 0; i < VALUES; i++) {
        US_CHECK(us_test_values_create(test, i == DISTANCES ? pixels : us_shape_size(shape),
                                       wanted->n, batch, &values[i], error));
        if (i == DISTANCES) continue;
        us_test_values_random(test, &values[i], 1, 2);
        /* Neighbours that are alike, and one that was learned. */
        for (size_t k = 1; k < values[i].rows * (size_t)wanted->n; k++)
            values[i].host[k] = (double)(float)(values[i].host[k] + 0.5 * values[i].host[k - 1]);
        if (i == X)
            for (size_t r = 0; r < values[i].rows; r++)
                values[i].host[r * (size_t)wanted->n] = values[1].host[r * (size_t)wanted->n];
        US_CHECK(us_test_values_upload(&values[i], 0.5f, error));
    }
    US_CHECK(us_density_create(test->device, shape, batch, &wanted->settings, &density, error));
    US_CHECK(us_density_begin(density, BATCHES * wanted->n, 7, error));
    for (int i = 0; i < BATCHES; i++)
        US_CHECK(us_density_learn(density, values[i].device, wanted->n, error));
    US_CHECK(us_density_finish(density, error));
    US_CHECK(
        us_density_score(density, values[X].device, values[DISTANCES].device, wanted->n, error));
    US_CHECK(expect(density, wanted, values, error));
    US_CHECK(us_test_values_compare(test, &values[DISTANCES], "density", wanted->what, shape, 2e-5,
                                    1e-3, false, error));
done:
    us_density_destroy(density);
    for (int i = 0; i < VALUES; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

const us_selftest_group us_selftest_densities = {"density", CASES, run_case};

/* ---- the largest distances ---- */

typedef struct top_case {
    const char *what;
    int pixels, n;
    double share, shift;
} top_case;

static const top_case top_cases[] = {
    {"a tenth", 100, 17, 0.1, 0},
    {"the largest", 35, 1, 0, -3},
    {"all", 7, 33, 1, 1},
    {"one pixel", 1, 17, 0.05, 0},
};
enum { TOP_CASES = sizeof top_cases / sizeof *top_cases };

static unseen_status run_top(us_selftest *test, int number, unseen_error *error) {
    const top_case *wanted = &top_cases[number];
    const int batch = us_device_pad(&test->device->facts, wanted->n);
    const size_t pixels = (size_t)wanted->pixels, n = (size_t)wanted->n;
    us_test_values map = {0}, scores = {0};
    us_density_top *top = NULL;
    double *column = malloc(pixels * sizeof *column);
    unseen_status status = column ? UNSEEN_OK : us_fail_memory(error, "the self-test");
    if (status != UNSEEN_OK) return status;
    US_CHECK(us_test_values_create(test, pixels, wanted->n, batch, &map, error));
    US_CHECK(us_test_values_create(test, 1, wanted->n, batch, &scores, error));
    us_test_values_random(test, &map, 1, wanted->shift);
    for (size_t i = 0; i + 1 < pixels * n; i += 7) /* some are the same */
        map.host[i + 1] = map.host[i];
    US_CHECK(us_test_values_upload(&map, 0, error));
    US_CHECK(
        us_density_top_create(test->device, wanted->pixels, batch, wanted->share, &top, error));
    US_CHECK(us_density_top_run(top, map.device, scores.device, error));
    size_t count = (size_t)(wanted->share * wanted->pixels + 0.5);
    if (count < 1) count = 1;
    for (size_t j = 0; j < n; j++) {
        for (size_t p = 0; p < pixels; p++)
            column[p] = map.host[p * n + j];
        qsort(column, pixels, sizeof *column, compare);
        scores.host[j] = 0;
        for (size_t k = 0; k < count; k++)
            scores.host[j] += column[pixels - 1 - k] / (double)count;
    }
    US_CHECK(us_test_values_compare(test, &scores, "density", wanted->what,
                                    (us_shape){1, wanted->pixels, 1}, 1e-5, 1e-3, false, error));
done:
    us_density_top_destroy(top);
    us_test_values_destroy(&map);
    us_test_values_destroy(&scores);
    free(column);
    return status;
}

const us_selftest_group us_selftest_density_tops = {"density top", TOP_CASES, run_top};
