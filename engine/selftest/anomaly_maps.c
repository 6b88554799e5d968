/* SPDX-License-Identifier: MIT */
/* Maps of anomaly, beside the definition with a Gaussian of two dimensions. */
#include <math.h>
#include <stdlib.h>

#include "ops/anomaly_map.h"
#include "selftest/selftest.h"

typedef struct map_case {
    const char *what;
    us_shape shape;
    int n;
    double smoothing;
} map_case;

static const map_case map_cases[] = {
    {"error", {3, 7, 5}, 17, 0},
    {"error", {1, 1, 1}, 1, 0},
    {"error", {5, 33, 31}, 128, 0},
    {"error, smoothed", {3, 7, 5}, 17, 0.5},
    {"error, smoothed", {1, 33, 31}, 128, 1},
    {"error, smoothed", {5, 12, 9}, 1, 4},
    {"error, smoothed", {3, 1, 1}, 17, 2},
    {"error, smoothed", {1, 1, 9}, 128, 100},
};

enum { MAP_CASES = sizeof map_cases / sizeof *map_cases };

/* Per pixel, [height][width][n]. */
static void reference_map(us_shape shape, int n, const double *x, const double *y, double *map) {
    const size_t values = (size_t)shape.height * (size_t)shape.width * (size_t)n;
    for (size_t i = 0; i < values; i++) {
        map[i] = 0;
        for (size_t c = 0; c < (size_t)shape.channels; c++) {
            const double d = x[c * values + i] - y[c * values + i];
            map[i] += d * d;
        }
    }
}

static double weight(double distance, double smoothing) {
    return fabs(distance) > ceil(4 * smoothing)
               ? 0
               : exp(-0.5 * distance * distance / (smoothing * smoothing));
}

static void reference_smooth(us_shape shape, int n, double smoothing, const double *map,
                             double *smooth) {
    for (int y = 0; y < shape.height; y++)
        for (int x = 0; x < shape.width; x++)
            for (int j = 0; j < n; j++) {
                double sum = 0, total = 0;
                for (int v = 0; v < shape.height; v++)
                    for (int u = 0; u < shape.width; u++) {
                        const double w = weight(v - y, smoothing) * weight(u - x, smoothing);
                        sum += w * map[(v * shape.width + u) * n + j];
                        total += w;
                    }
                smooth[(y * shape.width + x) * n + j] = sum / total;
            }
}

static unseen_status check_map(us_selftest *test, const map_case *wanted, us_test_values values[3],
                               us_anomaly_map **map, unseen_error *error) {
    const us_shape shape = wanted->shape;
    const size_t pixels = (size_t)shape.height * (size_t)shape.width;
    const int batch = us_device_pad(&test->device->facts, wanted->n);
    for (int i = 0; i < 3; i++)
        US_TRY(us_test_values_create(test, i < 2 ? us_shape_size(shape) : pixels, wanted->n, batch,
                                     &values[i], error));
    for (int i = 0; i < 2; i++) {
        us_test_values_random(test, &values[i], 1, i * 0.5);
        US_TRY(us_test_values_upload(&values[i], 1, error));
    }
    US_TRY(us_anomaly_map_create(test->device, shape, batch, wanted->smoothing, map, error));
    US_TRY(us_anomaly_map_error(*map, values[0].device, values[1].device, values[2].device, error));
    double *plain = calloc(pixels * (size_t)wanted->n, sizeof *plain);
    if (!plain) return us_fail_memory(error, "the self-test");
    double *first = wanted->smoothing > 0 ? plain : values[2].host;
    reference_map(shape, wanted->n, values[0].host, values[1].host, first);
    if (wanted->smoothing > 0)
        reference_smooth(shape, wanted->n, wanted->smoothing, plain, values[2].host);
    free(plain);
    return us_test_values_compare(test, &values[2], "anomaly map", wanted->what, shape, 1e-5, 1e-3,
                                  false, error);
}

static unseen_status run_map(us_selftest *test, int number, unseen_error *error) {
    us_test_values values[3] = {{0}};
    us_anomaly_map *map = NULL;
    unseen_status status = check_map(test, &map_cases[number], values, &map, error);
    us_anomaly_map_destroy(map);
    for (int i = 0; i < 3; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

/* ---- grids ---- */

typedef struct grid_case {
    us_shape shape;
    int rows, columns, n;
    double smoothing;
} grid_case;

static const grid_case grid_cases[] = {
    {{1, 7, 5}, 3, 2, 17, 0}, {{3, 32, 16}, 8, 16, 1, 0}, {{1, 5, 9}, 1, 1, 33, 0},
    {{1, 1, 1}, 4, 3, 5, 0},  {{1, 12, 9}, 4, 3, 17, 1},
};
enum { GRID_CASES = sizeof grid_cases / sizeof *grid_cases };

/* The weight of a cell, along one axis: a tent around its middle, flat beyond the outermost. */
static double tent(int pixel, int pixels, int cell, int cells) {
    double place = (pixel + 0.5) * cells / pixels - 0.5;
    place = fmin(fmax(place, 0), cells - 1);
    return fmax(0, 1 - fabs(place - cell));
}

static unseen_status run_grid(us_selftest *test, int number, unseen_error *error) {
    const grid_case *wanted = &grid_cases[number];
    const us_shape shape = wanted->shape;
    const int batch = us_device_pad(&test->device->facts, wanted->n), n = wanted->n;
    const size_t pixels = (size_t)shape.height * (size_t)shape.width;
    us_test_values cells = {0}, map = {0};
    us_anomaly_map *maps = NULL;
    double *plain = calloc(pixels * (size_t)n, sizeof *plain);
    unseen_status status = plain ? UNSEEN_OK : us_fail_memory(error, "the self-test");
    if (status != UNSEEN_OK) return status;
    US_CHECK(us_test_values_create(test, (size_t)wanted->rows * (size_t)wanted->columns, n, batch,
                                   &cells, error));
    US_CHECK(us_test_values_create(test, pixels, n, batch, &map, error));
    us_test_values_random(test, &cells, 1, 0);
    US_CHECK(us_test_values_upload(&cells, 1, error));
    US_CHECK(us_anomaly_map_create(test->device, shape, batch, wanted->smoothing, &maps, error));
    US_CHECK(us_anomaly_map_stretch(maps, cells.device, wanted->rows, wanted->columns, map.device,
                                    error));
    double *first = wanted->smoothing > 0 ? plain : map.host;
    for (int p = 0; p < shape.height * shape.width; p++)
        for (int c = 0; c < wanted->rows * wanted->columns; c++)
            for (int j = 0; j < n; j++)
                first[p * n + j] +=
                    cells.host[c * n + j] *
                    tent(p / shape.width, shape.height, c / wanted->columns, wanted->rows) *
                    tent(p % shape.width, shape.width, c % wanted->columns, wanted->columns);
    if (wanted->smoothing > 0) reference_smooth(shape, n, wanted->smoothing, plain, map.host);
    US_CHECK(
        us_test_values_compare(test, &map, "anomaly map", "grid", shape, 1e-5, 1e-3, false, error));
done:
    us_anomaly_map_destroy(maps);
    us_test_values_destroy(&cells);
    us_test_values_destroy(&map);
    free(plain);
    return status;
}

const us_selftest_group us_selftest_anomaly_grids = {"anomaly grid", GRID_CASES, run_grid};

const us_selftest_group us_selftest_anomaly_maps = {"anomaly map", MAP_CASES, run_map};
