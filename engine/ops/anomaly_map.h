/* SPDX-License-Identifier: MIT */
/* Where each image of a batch is anomalous: maps [height][width][batch]. */
#ifndef US_OPS_ANOMALY_MAP_H
#define US_OPS_ANOMALY_MAP_H

#include "ops/layer.h"

typedef struct us_anomaly_map us_anomaly_map;

/* shape: of the images; batch is padded. smoothing: the standard deviation, in pixels, of the
 * Gaussian that maps are smoothed by, cut off at four of it; beyond an image there is nothing, so
 * at its edges the weights of the pixels within add up to 1. 0: maps are left as they are. */
unseen_status us_anomaly_map_create(us_device *device, us_shape shape, int batch, double smoothing,
                                    us_anomaly_map **map, unseen_error *error);
void us_anomaly_map_destroy(us_anomaly_map *map); /* NULL is fine */

/* Writes `out`, smoothed: the sum over channels of (x - y)^2, of images [C][H][W][batch];
 * y NULL: of x^2, where x are gradients. */
unseen_status us_anomaly_map_error(us_anomaly_map *map, us_buffer *x, us_buffer *y, us_buffer *out,
                                   unseen_error *error);

/* Smooths maps [height][width][batch] that were made otherwise, in their place. */
unseen_status us_anomaly_map_smooth(us_anomaly_map *map, us_buffer *out, unseen_error *error);

/* Writes `out`, smoothed, from a value for each cell of a grid that covers the images evenly, cells
 * [rows][columns][batch]: bilinear between the middles of cells, and constant beyond the outermost.
 */
unseen_status us_anomaly_map_stretch(us_anomaly_map *map, us_buffer *cells, int rows, int columns,
                                     us_buffer *out, unseen_error *error);

#endif
