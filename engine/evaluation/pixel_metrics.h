/* SPDX-License-Identifier: MIT */
/* How well maps of anomaly tell where images are anomalous, by masks. */
#ifndef US_EVALUATION_PIXEL_METRICS_H
#define US_EVALUATION_PIXEL_METRICS_H

#include <cjson/cJSON.h>

#include "base/error.h"

typedef struct us_pixel_metrics {
    double auroc; /* of pixels as of images in metrics.h: ties count half, exact */
    double aupro; /* see below */
    int64_t images, pixels, anomalous_pixels, regions;
} us_pixel_metrics;

/* AUPRO (Bergmann et al., "The MVTec anomaly detection dataset", International Journal of Computer
 * Vision 129, 2021): a region is a component of a mask, pixels that touch by sides or corners being
 * connected. At a threshold, the per-region overlap is the mean over the regions of all images of
 * the share of a region's pixels that reach it; the false positive rate is the share of all pixels
 * outside of regions that do. Every value of a pixel is a threshold, and lines connect the points
 * of the curve, which begins at (0, 0). AUPRO is the area below it up to the rate US_AUPRO_LIMIT,
 * divided by that. */
#define US_AUPRO_LIMIT 0.3

typedef struct us_pixel_evaluation us_pixel_evaluation;

/* room: pixels that are sorted in memory at once, 0: US_PIXEL_SORT_ROOM. All others are in a
 * temporary file (pixel_sort.h), so that memory is bounded by that, by the largest image and by 4
 * bytes a region. */
unseen_status us_pixel_evaluation_create(size_t room, us_pixel_evaluation **evaluation,
                                         unseen_error *error);
void us_pixel_evaluation_destroy(us_pixel_evaluation *evaluation); /* NULL is fine */

/* The map of an image and its mask, height x width each; pixels of the mask that are not 0 are
 * anomalous. Images may differ in size. */
typedef struct us_masked_map {
    const float *values;
    const unsigned char *mask;
    int height, width;
} us_masked_map;

/* UNSEEN_FAILURE where a value is not finite, naming the image, counted from 0. At most 2^32 - 1
 * pixels in all. */
unseen_status us_pixel_evaluation_add(us_pixel_evaluation *evaluation, const us_masked_map *map,
                                      unseen_error *error);

/* Once, after the last image. UNSEEN_BAD_INPUT where no pixel is anomalous, or none is normal,
 * UNSEEN_FAILURE where all have one value. */
unseen_status us_pixel_evaluation_finish(us_pixel_evaluation *evaluation, us_pixel_metrics *metrics,
                                         unseen_error *error);

/* Adds {pixel_auroc, aupro, masks: {path, images, pixels, anomalous_pixels, regions}} to an object.
 */
unseen_status us_pixel_metrics_to_json(const us_pixel_metrics *metrics, const char *masks_path,
                                       cJSON *object, unseen_error *error);

#endif
