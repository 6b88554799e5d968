/* SPDX-License-Identifier: MIT */
#include "ops/density_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

/* ---- covariance ---- */

/* The sum over points of |z - mean|^4. */
static double fourth_moment(int d, const double *sums, const double *mean) {
    const size_t rows = (size_t)d + 2;
    const double *ones = sums + (size_t)d * rows, *squares = ones + rows, n = ones[d];
    double length = 0, quadratic = 0, mixed = 0;
    for (int i = 0; i < d; i++) {
        double row = 0;
        for (int j = 0; j < d; j++)
            row += sums[(size_t)i * rows + (size_t)j] * mean[j];
        quadratic += row * mean[i];
        mixed += squares[i] * mean[i];
        length += mean[i] * mean[i];
    }
    return squares[d + 1] + 4 * quadratic - 3 * n * length * length - 4 * mixed +
           2 * length * squares[d];
}

static double ledoit_wolf(int d, const double *sums, const double *mean, const double *covariance) {
    const double n = sums[(size_t)d * ((size_t)d + 2) + (size_t)d];
    double squares = 0, trace = 0;
    for (int i = 0; i < d; i++) {
        trace += covariance[(size_t)i * (size_t)d + (size_t)i];
        for (int j = 0; j < d; j++) {
            const double value = covariance[(size_t)i * (size_t)d + (size_t)j];
            squares += value * value;
        }
    }
    const double away = squares - trace * trace / d; /* from a multiple of the identity */
    const double noise = (fourth_moment(d, sums, mean) / n - squares) / n;
    if (!(away > 0) || noise >= away) return 1;
    return noise > 0 ? noise / away : 0;
}

double us_shrunk_covariance(int d, const double *sums, double shrinkage, double *mean,
                            double *covariance) {
    const size_t rows = (size_t)d + 2;
    const double n = sums[(size_t)d * rows + (size_t)d];
    for (int i = 0; i < d; i++)
        mean[i] = sums[(size_t)d * rows + (size_t)i] / n;
    double trace = 0;
    for (int i = 0; i < d; i++) {
        for (int j = 0; j < d; j++)
            covariance[(size_t)i * (size_t)d + (size_t)j] =
                sums[(size_t)i * rows + (size_t)j] / n - mean[i] * mean[j];
        trace += covariance[(size_t)i * (size_t)d + (size_t)i];
    }
    if (shrinkage < 0) shrinkage = ledoit_wolf(d, sums, mean, covariance);
    for (int i = 0; i < d; i++) {
        for (int j = 0; j < d; j++)
            covariance[(size_t)i * (size_t)d + (size_t)j] *= 1 - shrinkage;
        covariance[(size_t)i * (size_t)d + (size_t)i] += shrinkage * trace / d;
    }
    return shrinkage;
}

/* The lower factor, in place; what is above it stays. */
static bool factor(size_t d, double *a) {
    for (size_t j = 0; j < d; j++) {
        double pivot = a[j * d + j];
        for (size_t k = 0; k < j; k++)
            pivot -= a[j * d + k] * a[j * d + k];
        if (!(pivot > 0) || isinf(pivot)) return false;
        a[j * d + j] = pivot = sqrt(pivot);
        for (size_t i = j + 1; i < d; i++) {
            double value = a[i * d + j];
            for (size_t k = 0; k < j; k++)
                value -= a[i * d + k] * a[j * d + k];
            a[i * d + j] = value / pivot;
        }
    }
    return true;
}

bool us_whitening(int dimensions, double *a) {
    const size_t d = (size_t)dimensions;
    if (!factor(d, a)) return false;
    /* Row i of the inverse from the factor's and the rows above: place k holds the factor's number
     * until step k, and from then on a sum. */
    for (size_t i = 0; i < d; i++) {
        double *row = a + i * d;
        for (size_t k = 0; k < i; k++) {
            const double *above = a + k * d, value = row[k];
            for (size_t j = 0; j < k; j++)
                row[j] += value * above[j];
            row[k] = value * above[k];
        }
        for (size_t k = 0; k < i; k++)
            row[k] /= -row[i];
        row[i] = 1 / row[i];
        memset(row + i + 1, 0, (d - i - 1) * sizeof *row);
    }
    return true;
}

/* ---- points ---- */

enum { PROJECTED = 64, PROJECTION_SEED = 1 };

void us_projection(int d, int to, float *weights) {
    const size_t count = (size_t)d * (size_t)to;
    for (size_t i = 0; i < count; i++)
        weights[i] = us_random_normal(PROJECTION_SEED, US_STREAM_DENSITY, 1, i) / sqrtf((float)to);
}

/* [dimensions][count], in fewer dimensions where there are many. */
static unseen_status lay_out(int d, int count, const float *points, int *dimensions, float **out,
                             unseen_error *error) {
    const int to = d > PROJECTED ? PROJECTED : d;
    float *weights = malloc((size_t)d * (size_t)to * sizeof *weights);
    float *flat = calloc((size_t)to * (size_t)count, sizeof *flat);
    *dimensions = to;
    *out = flat;
    if (!weights || !flat) {
        free(weights);
        free(flat);
        *out = NULL;
        return us_fail_memory(error, "the points of a density");
    }
    if (to < d) us_projection(d, to, weights);
    for (int p = 0; p < count; p++)
        for (int c = 0; c < d; c++) {
            const float value = points[(size_t)p * (size_t)d + (size_t)c];
            if (to == d)
                flat[(size_t)c * (size_t)count + (size_t)p] = value;
            else
                for (int t = 0; t < to; t++)
                    flat[(size_t)t * (size_t)count + (size_t)p] +=
                        value * weights[(size_t)c * (size_t)to + (size_t)t];
        }
    free(weights);
    return UNSEEN_OK;
}

/* Squared distances of all points from one of them, added to `sums`. */
static void add_distances(int dimensions, int count, const float *flat, int from, float *sums) {
    memset(sums, 0, (size_t)count * sizeof *sums);
    for (int t = 0; t < dimensions; t++) {
        const float *row = flat + (size_t)t * (size_t)count, own = row[from];
        for (int p = 0; p < count; p++)
            sums[p] += (row[p] - own) * (row[p] - own);
    }
}

unseen_status us_choose_centres(int d, int count, const float *points, int wanted, int *chosen,
                                unseen_error *error) {
    int dimensions, next = 0;
    float *flat, *nearest = malloc((size_t)count * sizeof *nearest);
    float *distances = malloc((size_t)count * sizeof *distances);
    unseen_status status = lay_out(d, count, points, &dimensions, &flat, error);
    if (status == UNSEEN_OK && (!nearest || !distances))
        status = us_fail_memory(error, "the points of a density");
    for (int p = 0; status == UNSEEN_OK && p < count; p++)
        nearest[p] = INFINITY;
    for (int i = 0; status == UNSEEN_OK && i < wanted; i++) {
        chosen[i] = next;
        add_distances(dimensions, count, flat, next, distances);
        nearest[next] = -1; /* never again */
        float farthest = -1;
        for (int p = 0; p < count; p++) {
            if (distances[p] < nearest[p]) nearest[p] = distances[p];
            if (nearest[p] > farthest) {
                farthest = nearest[p];
                next = p;
            }
        }
    }
    free(flat);
    free(nearest);
    free(distances);
    return status;
}

/* ---- the kernel's width ---- */

enum { QUERIES = 512 };

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The mean logarithm of the likelihood of each query by the other points, up to a constant.
 * squares: [queries][count], below 0 for the query itself. */
static double likelihood(int d, int queries, int count, const double *squares, double variance) {
    double sum = 0;
    for (int q = 0; q < queries; q++) {
        const double *row = squares + (size_t)q * (size_t)count;
        double nearest = INFINITY, kernels = 0;
        for (int p = 0; p < count; p++)
            if (row[p] >= 0 && row[p] < nearest) nearest = row[p];
        if (isinf(nearest)) continue;
        for (int p = 0; p < count; p++)
            if (row[p] >= 0) kernels += exp(-(row[p] - nearest) / (2 * variance));
        sum += log(kernels) - nearest / (2 * variance) - 0.5 * d * log(variance);
    }
    return sum / queries;
}

/* Pairs in one place say nothing of a width, and are left out. */
static void measure_squares(int d, int count, const float *points, int queries, double *squares) {
    for (int q = 0; q < queries; q++) {
        const float *own = points + (size_t)((int64_t)q * count / queries) * (size_t)d;
        for (int p = 0; p < count; p++) {
            const float *other = points + (size_t)p * (size_t)d;
            double sum = 0;
            for (int c = 0; c < d; c++)
                sum += ((double)own[c] - (double)other[c]) * ((double)own[c] - (double)other[c]);
            squares[(size_t)q * (size_t)count + (size_t)p] = sum > 0 ? sum : -1;
        }
    }
}

/* The median of those that are not left out; 0: all are. */
static double typical(const double *squares, size_t count, double *room) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (squares[i] >= 0) room[used++] = squares[i];
    if (used == 0) return 0;
    qsort(room, used, sizeof *room, compare);
    return room[used / 2];
}

unseen_status us_choose_bandwidth(int d, int count, const float *points, double *bandwidth,
                                  unseen_error *error) {
    enum { WIDEST = 4, NARROWEST = 32 }; /* half powers of 2 */
    const int queries = count < QUERIES ? count : QUERIES;
    const size_t pairs = (size_t)queries * (size_t)count;
    double *squares = malloc(pairs * sizeof *squares), *room = malloc(pairs * sizeof *room);
    *bandwidth = 0;
    if (!squares || !room) {
        free(squares);
        free(room);
        return us_fail_memory(error, "the width of a kernel");
    }
    measure_squares(d, count, points, queries, squares);
    const double middle = typical(squares, pairs, room);
    double best = -INFINITY;
    for (int k = -WIDEST; middle > 0 && k <= NARROWEST; k++) {
        const double variance = middle * pow(2, -0.5 * k);
        const double value = likelihood(d, queries, count, squares, variance);
        if (value <= best) continue;
        best = value;
        *bandwidth = sqrt(variance);
    }
    free(squares);
    free(room);
    return UNSEEN_OK;
}
