/* SPDX-License-Identifier: MIT */
/* Learning a density: sums and candidates, batch by batch, and what is made of them in the end. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/random.h"
#include "ops/density_fit.h"
#include "ops/density_internal.h"

enum { CANDIDATES = 16 /* for each point that is kept */ };

static const double least_variance = 1e-6; /* in any direction, of the mean one */

struct us_density_lesson {
    /* Of a Gaussian: of a batch on the device and on the host, and of all. */
    us_convolution *moments;
    us_buffer *products; /* [d + 2][d + 2] */
    float *read;
    double *sums;
    /* Of the others. */
    uint32_t *wanted;             /* candidates by their number among all points, sorted */
    float *candidates, *features; /* [count][d]; z of a batch */
    int count, taken;
    int64_t seen; /* images */
};

static size_t rows_of(const us_density *density) {
    return (size_t)density->d + 2;
}

static unseen_status begin_moments(us_density *density, unseen_error *error) {
    us_density_lesson *l = density->lesson;
    const size_t count = rows_of(density) * rows_of(density);
    l->read = malloc(count * sizeof *l->read);
    l->sums = calloc(count, sizeof *l->sums);
    if (!l->read || !l->sums) return us_fail_memory(error, "a covariance");
    US_TRY(us_buffer_create(density->device, count * sizeof(float), "a covariance", &l->products,
                            error));
    return us_density_product(density, US_CONVOLUTION_WEIGHTS, density->d + 2, density->d + 2,
                              false, &l->moments, error);
}

static int compare(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Points are chosen at random among those of all images, as far as 32 bits count them. A random
 * choice is all that kernels need, a cover begins with more. */
static unseen_status begin_candidates(us_density *density, int64_t images, uint64_t seed,
                                      unseen_error *error) {
    us_density_lesson *l = density->lesson;
    const int64_t all = images * density->pixels;
    const uint32_t n = all > UINT32_MAX ? UINT32_MAX : (uint32_t)all;
    int64_t count = density->settings.points;
    if (density->settings.kind == US_DENSITY_NEIGHBOURS) count *= CANDIDATES;
    l->count = us_smaller(count, n);
    const size_t numbers = (size_t)l->count * (size_t)density->d;
    l->wanted = malloc((size_t)l->count * sizeof *l->wanted);
    l->candidates = malloc(numbers * sizeof *l->candidates);
    l->features = malloc((size_t)density->d * (size_t)density->pixels * (size_t)density->batch *
                         sizeof *l->features);
    if (!l->wanted || !l->candidates || !l->features)
        return us_fail_memory(error, "the points of a density");
    for (int i = 0; i < l->count; i++)
        l->wanted[i] = us_random_permute(seed, US_STREAM_DENSITY, 0, n, (uint32_t)i);
    qsort(l->wanted, (size_t)l->count, sizeof *l->wanted, compare);
    return UNSEEN_OK;
}

unseen_status us_density_begin(us_density *density, int64_t images, uint64_t seed,
                               unseen_error *error) {
    us_density_forget(density);
    us_density_end_lesson(density);
    density->lesson = calloc(1, sizeof *density->lesson);
    if (!density->lesson) return us_fail_memory(error, "a density");
    return us_density_is_gaussian(density) ? begin_moments(density, error)
                                           : begin_candidates(density, images, seed, error);
}

void us_density_end_lesson(us_density *density) {
    us_density_lesson *l = density->lesson;
    density->lesson = NULL;
    if (!l) return;
    us_convolution_destroy(l->moments);
    us_buffer_destroy(l->products);
    free(l->read);
    free(l->sums);
    free(l->wanted);
    free(l->candidates);
    free(l->features);
    free(l);
}

/* The mean of the first batch: near enough to the mean of all that sums of squares lose nothing. */
static unseen_status choose_shift(us_density *density, us_buffer *x, int n, unseen_error *error) {
    const size_t batch = (size_t)density->batch, pixels = (size_t)density->pixels;
    float *values = malloc(pixels * batch * sizeof *values);
    unseen_status status = values ? UNSEEN_OK : us_fail_memory(error, "the shift of features");
    for (int c = 0; status == UNSEEN_OK && c < density->shape.channels; c++) {
        double sum = 0;
        status = us_buffer_read(x, (size_t)c * pixels * batch * sizeof *values, values,
                                pixels * batch * sizeof *values, error);
        for (size_t p = 0; status == UNSEEN_OK && p < pixels; p++)
            for (size_t j = 0; j < (size_t)n; j++)
                sum += (double)values[p * batch + j];
        density->host_shift[c] = (float)(sum / ((double)pixels * n));
        if (status == UNSEEN_OK && !isfinite(density->host_shift[c]))
            status = us_fail(error, UNSEEN_DIVERGED, "the features are not finite");
    }
    free(values);
    if (status != UNSEEN_OK) return status;
    return us_buffer_write(density->shift, 0, density->host_shift,
                           (size_t)density->shape.channels * sizeof(float), error);
}

static unseen_status add_moments(us_density *density, int n, unseen_error *error) {
    us_density_lesson *l = density->lesson;
    const size_t count = rows_of(density) * rows_of(density);
    const us_convolution_args args = {
        .large = density->z, .small = density->z, .weights = l->products, .n = n};
    US_TRY(us_convolution_run(l->moments, &args, error));
    US_TRY(us_buffer_read(l->products, 0, l->read, count * sizeof *l->read, error));
    for (size_t i = 0; i < count; i++)
        l->sums[i] += (double)l->read[i];
    return UNSEEN_OK;
}

static unseen_status take_candidates(us_density *density, int n, unseen_error *error) {
    us_density_lesson *l = density->lesson;
    const size_t batch = (size_t)density->batch, pixels = (size_t)density->pixels;
    const size_t d = (size_t)density->d;
    const int64_t end = (l->seen + n) * density->pixels;
    if (l->taken == l->count || l->wanted[l->taken] >= end) return UNSEEN_OK;
    US_TRY(us_buffer_read(density->z, 0, l->features, d * pixels * batch * sizeof *l->features,
                          error));
    for (; l->taken < l->count && l->wanted[l->taken] < end; l->taken++) {
        const size_t place = l->wanted[l->taken] - (size_t)l->seen * pixels;
        const size_t from = place % pixels * batch + place / pixels;
        for (size_t c = 0; c < d; c++)
            l->candidates[(size_t)l->taken * d + c] = l->features[c * pixels * batch + from];
    }
    return UNSEEN_OK;
}

unseen_status us_density_learn(us_density *density, us_buffer *x, int n, unseen_error *error) {
    us_density_lesson *l = density->lesson;
    if (l->seen == 0) US_TRY(choose_shift(density, x, n, error));
    US_TRY(us_density_prepare(density, x, n, error));
    US_TRY(us_density_is_gaussian(density) ? add_moments(density, n, error)
                                           : take_candidates(density, n, error));
    l->seen += n;
    return UNSEEN_OK;
}

/* ---- in the end ---- */

static unseen_status all_alike(unseen_error *error) {
    return us_fail(error, UNSEEN_FAILURE,
                   "the features are the same for every training image: they say nothing");
}

static unseen_status not_finite(unseen_error *error) {
    return us_fail(error, UNSEEN_DIVERGED, "the features of training images are not finite");
}

static unseen_status whiten(us_density *density, double *covariance, unseen_error *error) {
    const size_t d = (size_t)density->d;
    double trace = 0;
    for (size_t i = 0; i < d; i++)
        trace += covariance[i * d + i];
    if (!isfinite(trace)) return not_finite(error);
    if (!(trace > 0)) return all_alike(error);
    for (size_t i = 0; i < d; i++)
        covariance[i * d + i] += least_variance * trace / (double)d;
    if (us_whitening(density->d, covariance)) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE,
                   "the covariance of the features cannot be inverted: give it a larger "
                   "\"shrinkage\"");
}

static unseen_status finish_gaussian(us_density *density, unseen_error *error) {
    const size_t d = (size_t)density->d;
    double *covariance = malloc(d * d * sizeof *covariance), *mean = malloc(d * sizeof *mean);
    density->host_matrix = malloc(d * d * sizeof *density->host_matrix);
    density->host_mean = malloc(d * sizeof *density->host_mean);
    unseen_status status = covariance && mean && density->host_matrix && density->host_mean
                               ? UNSEEN_OK
                               : us_fail_memory(error, "a covariance");
    if (status == UNSEEN_OK) {
        us_shrunk_covariance(density->d, density->lesson->sums, density->settings.shrinkage, mean,
                             covariance);
        status = whiten(density, covariance, error);
    }
    for (size_t i = 0; status == UNSEEN_OK && i < d * d; i++)
        density->host_matrix[i] = (float)covariance[i];
    for (size_t i = 0; status == UNSEEN_OK && i < d; i++)
        density->host_mean[i] = (float)mean[i];
    free(covariance);
    free(mean);
    return status;
}

static unseen_status check_points(const us_density *density, unseen_error *error) {
    const size_t d = (size_t)density->d;
    bool differ = false;
    for (size_t i = 0; i < (size_t)density->points * d; i++) {
        if (!isfinite(density->host_matrix[i])) return not_finite(error);
        differ = differ || density->host_matrix[i] != density->host_matrix[i % d];
    }
    return differ || density->points < 2 ? UNSEEN_OK : all_alike(error);
}

static unseen_status keep_points(us_density *density, unseen_error *error) {
    us_density_lesson *l = density->lesson;
    const size_t d = (size_t)density->d;
    density->points = us_smaller(density->settings.points, l->count);
    int *chosen = malloc((size_t)density->points * sizeof *chosen);
    density->host_matrix = malloc((size_t)density->points * d * sizeof *density->host_matrix);
    if (!chosen || !density->host_matrix) {
        free(chosen);
        return us_fail_memory(error, "the points of a density");
    }
    unseen_status status = UNSEEN_OK;
    if (density->points < l->count)
        status =
            us_choose_centres(density->d, l->count, l->candidates, density->points, chosen, error);
    for (int i = 0; status == UNSEEN_OK && i < density->points; i++)
        memcpy(density->host_matrix + (size_t)i * d,
               l->candidates + (size_t)(density->points < l->count ? chosen[i] : i) * d,
               d * sizeof(float));
    free(chosen);
    if (status == UNSEEN_OK) status = check_points(density, error);
    return status;
}

static unseen_status choose_width(us_density *density, unseen_error *error) {
    double width = density->settings.bandwidth;
    if (density->settings.kind != US_DENSITY_KERNELS) return UNSEEN_OK;
    if (!(width > 0))
        US_TRY(
            us_choose_bandwidth(density->d, density->points, density->host_matrix, &width, error));
    density->bandwidth = (float)width;
    return density->bandwidth > 0 ? UNSEEN_OK : all_alike(error);
}

unseen_status us_density_finish(us_density *density, unseen_error *error) {
    unseen_status status;
    if (us_density_is_gaussian(density)) {
        status = finish_gaussian(density, error);
    } else {
        status = keep_points(density, error);
        if (status == UNSEEN_OK) status = choose_width(density, error);
    }
    us_density_end_lesson(density);
    return status == UNSEEN_OK ? us_density_take(density, error) : status;
}
