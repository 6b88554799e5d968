/* SPDX-License-Identifier: MIT */
/* What is usual of distances, learned from two batches, beside a regression on the host that goes
 * through the images once more instead of adding up products. */
#include <math.h>
#include <stdlib.h>

#include "ops/usual.h"
#include "selftest/selftest.h"

typedef struct usual_case {
    us_shape places;
    int n;
} usual_case;

static const usual_case cases[] = {
    {{1, 7, 5}, 17}, {{1, 1, 1}, 1}, {{1, 16, 16}, 33}, {{1, 1, 3}, 1}, {{1, 40, 40}, 5}};
enum { CASES = sizeof cases / sizeof *cases, BATCHES = 2, ASKED = BATCHES, VALUES };

static double log_at(const us_test_values *values, int n, int place, int image) {
    return log(fmax(values->host[place * n + image], 1e-6));
}

static double level_of(const us_test_values *values, int places, int n, int image) {
    double sum = 0;
    for (int p = 0; p < places; p++)
        sum += log_at(values, n, p, image) / places;
    return sum;
}

/* Offset, slope and mean square at a place, see ops/usual.h. */
static void expect_line(const us_test_values *learned, const usual_case *wanted, int place,
                        double *offset, double *slope, double *squares) {
    const int places = (int)us_shape_size(wanted->places), n = wanted->n;
    const double images = BATCHES * n;
    double level = 0, mean = 0, covariance = 0, variance = 0;
    for (int i = 0; i < BATCHES * n; i++) {
        level += level_of(&learned[i / n], places, n, i % n) / images;
        mean += log_at(&learned[i / n], n, place, i % n) / images;
    }
    for (int i = 0; i < BATCHES * n; i++) {
        const double away = level_of(&learned[i / n], places, n, i % n) - level;
        covariance += away * (log_at(&learned[i / n], n, place, i % n) - mean) / images;
        variance += away * away / images;
    }
    const double steepness = variance > 1e-12 ? covariance / variance : 1;
    *slope = (images * steepness + 10) / (images + 10);
    *offset = (images * mean + 10 * level) / (images + 10) - *slope * level;
    *squares = 0;
    for (int i = 0; i < BATCHES * n; i++) {
        const double rest = log_at(&learned[i / n], n, place, i % n) - *offset -
                            *slope * level_of(&learned[i / n], places, n, i % n);
        *squares += rest * rest / images;
    }
}

static unseen_status expect(const usual_case *wanted, us_test_values *values, unseen_error *error) {
    const int places = (int)us_shape_size(wanted->places), n = wanted->n;
    double *lines = malloc(3 * (size_t)places * sizeof *lines);
    double *levels = malloc((size_t)n * sizeof *levels), mean = 0;
    unseen_status status = lines && levels ? UNSEEN_OK : us_fail_memory(error, "the self-test");
    for (int p = 0; status == UNSEEN_OK && p < places; p++) {
        expect_line(values, wanted, p, &lines[3 * p], &lines[3 * p + 1], &lines[3 * p + 2]);
        mean += lines[3 * p + 2] / places;
    }
    for (int j = 0; status == UNSEEN_OK && j < n; j++)
        levels[j] = level_of(&values[ASKED], places, n, j);
    for (int p = 0; status == UNSEEN_OK && p < places; p++) {
        const double images = BATCHES * n;
        const double square = (images * lines[3 * p + 2] + 10 * mean) / (images + 10);
        for (int j = 0; j < n; j++)
            values[ASKED].host[p * n + j] =
                (log_at(&values[ASKED], n, p, j) - lines[3 * p] - lines[3 * p + 1] * levels[j]) /
                sqrt(fmax(square, 1e-8));
    }
    free(lines);
    free(levels);
    return status;
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    const usual_case *wanted = &cases[number];
    const int places = (int)us_shape_size(wanted->places);
    const int batch = us_device_pad(&test->device->facts, wanted->n);
    us_test_values values[VALUES] = {0};
    us_usual *usual = NULL, *again = NULL;
    unseen_status status;
    for (int i = 0; i < VALUES; i++) {
        US_CHECK(us_test_values_create(test, (size_t)places, wanted->n, batch, &values[i], error));
        us_test_values_random(test, &values[i], 0.5, 1.6);
        US_CHECK(us_test_values_upload(&values[i], 1, error));
    }
    US_CHECK(us_usual_create(test->device, places, batch, &usual, error));
    US_CHECK(us_usual_create(test->device, places, batch, &again, error));
    us_usual_begin(usual);
    for (int i = 0; i < BATCHES; i++)
        US_CHECK(us_usual_learn(usual, values[i].device, wanted->n, error));
    US_CHECK(us_usual_finish(usual, error));
    US_CHECK(us_usual_restore(again, us_usual_values(usual), error));
    US_CHECK(us_usual_apply(again, values[ASKED].device, error));
    US_CHECK(expect(wanted, values, error));
    US_CHECK(us_test_values_compare(test, &values[ASKED], "usual distances", "standardised",
                                    wanted->places, 1e-4, 1e-3, false, error));
done:
    us_usual_destroy(usual);
    us_usual_destroy(again);
    for (int i = 0; i < VALUES; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

const us_selftest_group us_selftest_usual = {"usual", CASES, run_case};
