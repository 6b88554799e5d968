/* SPDX-License-Identifier: MIT */
/* Resampling of one image whose rows come from above, so that a large one is never in memory. Each
 * output value is the mean of the values below a triangle around it, which is as wide as the image
 * is shrunk (at least a pixel each way): bilinear where it grows, without aliases where it shrinks,
 * and nothing but a copy where the size stays. PIL's BILINEAR and PyTorch's antialias=True are the
 * same. */
#ifndef US_DATA_RESAMPLE_H
#define US_DATA_RESAMPLE_H

#include "base/error.h"

/* What becomes of an image: `window` of it, in pixels and fractions of them, is sampled at height x
 * width places. */
typedef struct us_resample_shape {
    int in_height, in_width, channels;
    double top, left, window_height, window_width;
    int height, width;
} us_resample_shape;

typedef struct us_resampler us_resampler;

unseen_status us_resampler_create(const us_resample_shape *shape, us_resampler **resampler,
                                  unseen_error *error);
void us_resampler_destroy(us_resampler *resampler);

/* The rows that are needed are *first .. *end - 1. */
void us_resampler_rows(const us_resampler *resampler, int *first, int *end);

/* The next of them, in_width x channels values. */
void us_resampler_add(us_resampler *resampler, const float *row);

/* height x width x channels values, once all rows have been added. */
const float *us_resampler_result(const us_resampler *resampler);

#endif
