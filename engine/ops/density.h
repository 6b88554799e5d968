/* SPDX-License-Identifier: MIT */
/* Densities of points, learned from many and asked of others: how unlikely is a point?
 *
 * Features of a batch are [C][H][W][batch]; each pixel of each image is a point x of C numbers.
 * From it a shift is taken, and where C is above `components`, it is projected at random to that
 * many dimensions: z = R (x - shift), or x - shift. With d the numbers of z:
 *
 *   gaussian         sqrt(|W (z - m)|^2 / d), W^T W being the inverse of the shrunk covariance: the
 *                    Mahalanobis distance, 1 on average for points like those learned
 *   neighbours       the mean distance of z from the nearest of the points kept. A point in the
 *                    same place is left out once, so that what was learned is not its own neighbour
 *   kernel_density   -log of the mean over the points kept of exp(-|z - p|^2 / 2 h^2)
 *
 * Covariances and distances are products of matrices, for which convolutions with a kernel of one
 * pixel serve. The points kept are those of a greedy cover (neighbours) or a random choice
 * (kernel_density), out of a random choice of at most 16 times as many. Memory is bounded by the
 * settings and the size of a batch, whatever the number of images. */
#ifndef US_OPS_DENSITY_H
#define US_OPS_DENSITY_H

#include "ops/layer.h"

typedef enum us_density_kind {
    US_DENSITY_GAUSSIAN,
    US_DENSITY_NEIGHBOURS,
    US_DENSITY_KERNELS,
} us_density_kind;

typedef struct us_density_settings {
    int kind;         /* us_density_kind */
    double shrinkage; /* of the covariance; below 0: as Ledoit and Wolf */
    int components, neighbours, points;
    double bandwidth; /* h; 0: the likeliest for the points */
} us_density_settings;

typedef struct us_density us_density;

/* shape: of the features; batch: padded. */
unseen_status us_density_create(us_device *device, us_shape shape, int batch,
                                const us_density_settings *settings, us_density **density,
                                unseen_error *error);
void us_density_destroy(us_density *density); /* NULL is fine */

/* ---- learning: begin, learn each batch once, in the same order for the same bits, finish ---- */

/* images: how many there are in all. */
unseen_status us_density_begin(us_density *density, int64_t images, uint64_t seed,
                               unseen_error *error);
/* x: features of n images; not changed. */
unseen_status us_density_learn(us_density *density, us_buffer *x, int n, unseen_error *error);
/* UNSEEN_FAILURE where all points are the same, UNSEEN_DIVERGED where they are not finite. */
unseen_status us_density_finish(us_density *density, unseen_error *error);

/* ---- asking ---- */

/* distances: [H][W][batch]. x is not changed. */
unseen_status us_density_score(us_density *density, us_buffer *x, us_buffer *distances, int n,
                               unseen_error *error);

/* The mean of the largest distances of each image: of a share of its pixels, at least of one; one
 * float per lane. With a single pixel, that. */
typedef struct us_density_top us_density_top;
unseen_status us_density_top_create(us_device *device, int pixels, int batch, double share,
                                    us_density_top **top, unseen_error *error);
void us_density_top_destroy(us_density_top *top); /* NULL is fine */
unseen_status us_density_top_run(us_density_top *top, us_buffer *distances, us_buffer *scores,
                                 unseen_error *error);

/* ---- what was learned, for files ---- */

enum { US_DENSITY_MAX_TENSORS = 4 };

/* On the host, floats in C order. */
typedef struct us_density_tensor {
    const char *name; /* "shift", "matrix", "mean", "points", "bandwidth" */
    int rank, dims[2];
    float *values; /* the density's */
} us_density_tensor;

/* Those of the kind; after finish, with their values. A number of points below 1 is one that a file
 * decides. Returns how many there are. */
int us_density_tensors(us_density *density, us_density_tensor tensors[US_DENSITY_MAX_TENSORS]);

/* Forgets how many points there were, before those of a file are looked for. */
void us_density_forget_points(us_density *density);

/* Whether it has learned, or was restored. */
bool us_density_is_ready(const us_density *density);

/* In place of learning: the values of each of them, in that order. points: how many the file has.
 * UNSEEN_BAD_INPUT where they cannot be what was learned. */
unseen_status us_density_restore(us_density *density, int points,
                                 const float *const values[US_DENSITY_MAX_TENSORS],
                                 unseen_error *error);

#endif
