/* SPDX-License-Identifier: MIT */
/* The part of learning a density that the host does, in double: a covariance from sums, its
 * inverse root, which points to keep, and how wide a kernel is. Nothing here knows of devices. */
#ifndef US_OPS_DENSITY_FIT_H
#define US_OPS_DENSITY_FIT_H

#include <stdbool.h>

#include "base/error.h"

/* Sums over points z of d numbers of the products of (z, 1, |z|^2) with themselves: a symmetric
 * matrix of d + 2 rows. Its mean, [d], and covariance, [d][d] (divided by the number of points),
 * shrunk: (1 - s) S + s tr(S) / d I. shrinkage: s, or below 0 for that of Ledoit and Wolf ("A
 * well-conditioned estimator for large-dimensional covariance matrices", 2004). Returns s. */
double us_shrunk_covariance(int d, const double *sums, double shrinkage, double *mean,
                            double *covariance);

/* The covariance, symmetric, becomes the inverse of its Cholesky factor: W, lower triangular, with
 * W covariance W^T = 1. false: it is not positive definite. */
bool us_whitening(int d, double *covariance);

/* Chooses `wanted` of `count` points, [count][d]: the first, and then each time the one farthest
 * from those chosen (Gonzalez 1985), in a random projection where points have more than 64 numbers.
 * chosen: [wanted], in order. */
unseen_status us_choose_centres(int d, int count, const float *points, int wanted, int *chosen,
                                unseen_error *error);

/* The standard deviation of a Gaussian kernel at each of the points, [count][d], by which up to 512
 * of them, each left out in turn, are the most likely. 0: all points are in one place. */
unseen_status us_choose_bandwidth(int d, int count, const float *points, double *bandwidth,
                                  unseen_error *error);

/* Of a random projection from d to `to` dimensions, as weights of a 1x1 convolution, [d][to]:
 * lengths stay as they are on average. The same on every device and in every run. */
void us_projection(int d, int to, float *weights);

#endif
