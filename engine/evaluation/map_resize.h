/* SPDX-License-Identifier: MIT */
#ifndef US_EVALUATION_MAP_RESIZE_H
#define US_EVALUATION_MAP_RESIZE_H

typedef struct us_map_size {
    int height, width;
} us_map_size;

/* Bilinear: the value at the middle of each pixel of `out`, between the middles of the pixels of
 * `map`; beyond those at the edge, theirs. What has the size already is copied. */
void us_map_resize(const float *map, us_map_size size, float *out, us_map_size out_size);

#endif
