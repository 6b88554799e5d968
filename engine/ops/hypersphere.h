/* SPDX-License-Identifier: MIT */
/* Distances of features from a centre (Ruff et al., Deep One-Class Classification, ICML 2018). Of
 * image j with features y_j, a centre c and a radius R:
 *
 *   distance   d_j  = sum over features of (y_j - c)^2
 *   loss            = R^2 + 1 / (share n) sum over the n images of max(0, d_j - R^2)
 *
 * With R = 0 and share = 1 the loss is the mean distance. */
#ifndef US_OPS_HYPERSPHERE_H
#define US_OPS_HYPERSPHERE_H

#include "ops/layer.h"

typedef struct us_hypersphere us_hypersphere;

/* activation: the one that produced the features. training false: distances only. */
unseen_status us_hypersphere_create(us_device *device, us_shape features, int batch,
                                    us_activation activation, bool training,
                                    us_hypersphere **hypersphere, unseen_error *error);
void us_hypersphere_destroy(us_hypersphere *hypersphere);

/* distances: a float per lane of the batch. y [features][batch]; centre [features]. */
unseen_status us_hypersphere_score(us_hypersphere *hypersphere, us_buffer *y, us_buffer *centre,
                                   us_buffer *distances, unseen_error *error);

/* The gradient of each image's distance with respect to the values before the activation, to dy; 0
 * in padded lanes. distances: those of us_hypersphere_score. Needs `training`. */
unseen_status us_hypersphere_score_gradient(us_hypersphere *hypersphere, us_buffer *y,
                                            us_buffer *centre, us_buffer *distances, int n,
                                            us_buffer *dy, unseen_error *error);

typedef struct us_hypersphere_args {
    us_buffer *y, *centre;
    us_buffer *dy; /* NULL, or receives the loss's gradient with respect to the values before the
                      activation; 0 in padded lanes */
    us_buffer *losses;
    int slot; /* losses[slot] becomes the loss */
    int n;
    double radius_squared;
    double share; /* above 0 */
} us_hypersphere_args;
unseen_status us_hypersphere_loss(us_hypersphere *hypersphere, const us_hypersphere_args *args,
                                  unseen_error *error);

#endif
