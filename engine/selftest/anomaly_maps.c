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

const us_selftest_group us_selftest_anomaly_maps = {"anomaly map", MAP_CASES, run_map};
