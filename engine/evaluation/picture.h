/* SPDX-License-Identifier: MIT */
/* Images and maps as pictures. */
#ifndef US_EVALUATION_PICTURE_H
#define US_EVALUATION_PICTURE_H

#include <stdint.h>

#include "evaluation/map_resize.h"

/* Values [channels][height][width], -1 to 1, become [height][width][3]: three channels red, green
 * and blue, any other number the mean of them, in grey. */
void us_picture_image(const float *values, int channels, us_map_size size, unsigned char *rgb);

/* What the colours of maps mean: black is `low` and below, the brightest `high` and above, and
 * between them the square root counts, so that errors look as large as differences of pixels are,
 * whose squares they sum up. */
typedef struct us_heat {
    float low, high;
} us_heat;
void us_picture_map(const float *map, us_heat heat, us_map_size size, unsigned char *rgb);

/* From the least and the largest value of each of `count` maps: the least of all, and the largest
 * of the image that 5% exceed, so that a few do not darken all others. Reorders `largest`. */
us_heat us_heat_of(const float *least, float *largest, int64_t count);

/* Makes values smaller in place: each block of factor x factor pixels (fewer at the edges) becomes
 * its mean, in each of `channels` by itself. Returns the size. */
us_map_size us_picture_shrink(float *values, int channels, us_map_size size, int factor);

/* Each pixel becomes a square of factor x factor in `to`, whose rows are `stride` pixels long. */
void us_picture_place(const unsigned char *rgb, us_map_size size, int factor, unsigned char *to,
                      int stride);

#endif
