/* SPDX-License-Identifier: MIT */
/* Images of any size, each cut into overlapping windows of one size. */
#ifndef US_DATA_TILES_H
#define US_DATA_TILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* How images are cut. */
typedef struct us_tile_form {
    int height, width; /* of a window */
    double overlap;    /* the share of a window that the next one has, too, at least; below 1 */
} us_tile_form;

typedef struct us_tiling {
    us_tile_form form;
    int64_t count;   /* of whole images; 0: images are not cut */
    int (*sizes)[2]; /* height and width of each; heap */
    int64_t *first;  /* the place of its first window; count + 1; heap */
} us_tiling;

/* For images whose sizes are then filled in, before us_tiling_finish counts windows. More than
 * INT32_MAX of them are UNSEEN_BAD_INPUT. */
unseen_status us_tiling_create(int64_t count, const us_tile_form *form, us_tiling *tiling,
                               unseen_error *error);
unseen_status us_tiling_finish(us_tiling *tiling, const char *path, unseen_error *error);
void us_tiling_release(us_tiling *tiling); /* zeroed ones are fine */

static inline int64_t us_tiling_windows(const us_tiling *tiling, int64_t image) {
    return tiling->first[image + 1] - tiling->first[image];
}

/* The whole image that a window is of. */
int64_t us_tiling_image(const us_tiling *tiling, int64_t window);

/* Where the k-th window of an image lies: rows from the top on, evenly spread from edge to edge. Of
 * an image that is smaller, the window begins before its edge. */
typedef struct us_window_place {
    int top, left;
} us_window_place;
us_window_place us_tiling_place(const us_tiling *tiling, int64_t image, int64_t k);

/* Copies the k-th window out of an image's pixels, [height][width][pixel_bytes]. Beyond the edges
 * are the pixels at the edge. */
void us_tiling_cut(const us_tiling *tiling, int64_t image, int64_t k, const void *pixels,
                   size_t pixel_bytes, void *window);

#endif
