/* SPDX-License-Identifier: MIT */
#include "ops/usual.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"

enum { LEAST_ROWS = 64 /* of an item */, MOST_SPLITS = 256 /* that an item adds up */ };

static const double prior = 10;            /* images */
static const double least_distance = 1e-6; /* the kernels' LEAST */

struct us_usual {
    us_kernel *level, *apply;
    us_buffer *parts, *values;
    float *host; /* [US_USUAL_ROWS][places] */
    int places, batch;
    bool ready;
    size_t groups[3];
    /* While it learns: sums over images, of a, a^2 and a l at each place, and of l and l^2. */
    double *sums, count, level_sum, level_squares;
    float *distances;
};

static unseen_status create(us_device *device, us_usual *u, unseen_error *error) {
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    const size_t places = (size_t)u->places, batch = (size_t)u->batch;
    int rows = us_divide_up(u->places, MOST_SPLITS);
    if (rows < LEAST_ROWS) rows = LEAST_ROWS;
    u->groups[0] = (size_t)us_device_vectors(&device->facts, u->batch);
    u->groups[1] = (size_t)us_divide_up(u->places, rows);
    u->groups[2] = 1;
    u->host = malloc(US_USUAL_ROWS * places * sizeof *u->host);
    u->sums = malloc(3 * places * sizeof *u->sums);
    u->distances = malloc(places * batch * sizeof *u->distances);
    if (!u->host || !u->sums || !u->distances) return us_fail_memory(error, "usual distances");
    const char *const names[] = {"usual_level", "usual_apply"};
    us_kernel **const kernels[] = {&u->level, &u->apply};
    for (int i = 0; i < 2; i++)
        US_TRY(us_kernel_create(&build, "usual", names[i], kernels[i], error,
                                "-DPLACES=%d -DBATCH=%d -DROWS=%d -DLEAST=1e-6f", u->places,
                                u->batch, rows));
    US_TRY(us_buffer_create(device, u->groups[1] * batch * sizeof(float), "sums of distances",
                            &u->parts, error));
    return us_buffer_create(device, US_USUAL_ROWS * places * sizeof(float), "usual distances",
                            &u->values, error);
}

unseen_status us_usual_create(us_device *device, int places, int batch, us_usual **usual,
                              unseen_error *error) {
    *usual = NULL;
    us_usual *u = calloc(1, sizeof *u);
    if (!u) return us_fail_memory(error, "usual distances");
    u->places = places;
    u->batch = batch;
    unseen_status status = create(device, u, error);
    if (status == UNSEEN_OK)
        *usual = u;
    else
        us_usual_destroy(u);
    return status;
}

void us_usual_destroy(us_usual *u) {
    if (!u) return;
    us_kernel_destroy(u->level);
    us_kernel_destroy(u->apply);
    us_buffer_destroy(u->parts);
    us_buffer_destroy(u->values);
    free(u->host);
    free(u->sums);
    free(u->distances);
    free(u);
}

/* ---- learning ---- */

void us_usual_begin(us_usual *u) {
    memset(u->sums, 0, 3 * (size_t)u->places * sizeof *u->sums);
    u->count = u->level_sum = u->level_squares = 0;
    u->ready = false;
}

static double log_of(float distance) {
    return log(fmax((double)distance, least_distance));
}

unseen_status us_usual_learn(us_usual *u, us_buffer *distances, int n, unseen_error *error) {
    const size_t places = (size_t)u->places, batch = (size_t)u->batch;
    US_TRY(us_buffer_read(distances, 0, u->distances, places * batch * sizeof(float), error));
    for (size_t j = 0; j < (size_t)n; j++) {
        double level = 0;
        for (size_t p = 0; p < places; p++)
            level += log_of(u->distances[p * batch + j]) / (double)places;
        for (size_t p = 0; p < places; p++) {
            const double a = log_of(u->distances[p * batch + j]);
            u->sums[p] += a;
            u->sums[places + p] += a * a;
            u->sums[2 * places + p] += a * level;
        }
        u->level_sum += level;
        u->level_squares += level * level;
    }
    u->count += n;
    return UNSEEN_OK;
}

/* The line at a place; *squares receives the mean square of what is left. */
static void fit(const us_usual *u, size_t place, double *offset, double *slope, double *squares) {
    const size_t places = (size_t)u->places;
    const double n = u->count, trust = n / (n + prior);
    const double level = u->level_sum / n, level_variance = u->level_squares / n - level * level;
    const double mean = u->sums[place] / n;
    const double variance = u->sums[places + place] / n - mean * mean;
    const double covariance = u->sums[2 * places + place] / n - mean * level;
    const double steepness = level_variance > 1e-12 ? covariance / level_variance : 1;
    const double drawn = trust * mean + (1 - trust) * level;
    *slope = trust * steepness + (1 - trust);
    *offset = drawn - *slope * level;
    *squares = fmax(variance, 0) + (mean - drawn) * (mean - drawn) - 2 * *slope * covariance +
               *slope * *slope * fmax(level_variance, 0);
}

unseen_status us_usual_finish(us_usual *u, unseen_error *error) {
    const size_t places = (size_t)u->places;
    const double trust = u->count / (u->count + prior), least = 1e-8;
    double mean = 0;
    if (u->count < 1)
        return us_fail(error, UNSEEN_FAILURE, "there are no images whose distances are usual");
    for (size_t p = 0; p < places; p++) {
        double offset, slope, squares;
        fit(u, p, &offset, &slope, &squares);
        u->host[p] = (float)offset;
        u->host[places + p] = (float)slope;
        u->sums[p] = squares; /* which has been fitted, and is not needed any more */
        mean += squares / (double)places;
    }
    if (!isfinite(mean))
        return us_fail(error, UNSEEN_DIVERGED,
                       "the distances of training images are not finite numbers");
    for (size_t p = 0; p < places; p++)
        u->host[2 * places + p] = (float)sqrt(fmax(trust * u->sums[p] + (1 - trust) * mean, least));
    US_TRY(us_buffer_write(u->values, 0, u->host, US_USUAL_ROWS * places * sizeof(float), error));
    u->ready = true;
    return UNSEEN_OK;
}

/* ---- asking ---- */

unseen_status us_usual_apply(us_usual *u, us_buffer *distances, unseen_error *error) {
    if (!u->ready)
        return us_fail(error, UNSEEN_FAILURE, "nothing has been learned of usual distances yet");
    US_TRY(us_kernel_run(u->level, u->groups, error, "bb", distances, u->parts));
    return us_kernel_run(u->apply, u->groups, error, "bbb", u->parts, u->values, distances);
}

/* ---- files ---- */

const float *us_usual_values(const us_usual *u) {
    return u->ready ? u->host : NULL;
}

unseen_status us_usual_restore(us_usual *u, const float *values, unseen_error *error) {
    const size_t places = (size_t)u->places;
    for (size_t i = 0; i < US_USUAL_ROWS * places; i++)
        if (!isfinite(values[i]) || (i >= 2 * places && !(values[i] > 0)))
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "number %zu of usual distances is %g, which cannot have been learned", i,
                           (double)values[i]);
    memcpy(u->host, values, US_USUAL_ROWS * places * sizeof(float));
    US_TRY(us_buffer_write(u->values, 0, u->host, US_USUAL_ROWS * places * sizeof(float), error));
    u->ready = true;
    return UNSEEN_OK;
}
