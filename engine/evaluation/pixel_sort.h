/* SPDX-License-Identifier: MIT */
/* Pixels of any number of maps in descending order of their values, in bounded memory: what does
 * not fit is sorted in parts, which lie in a temporary file of 8 bytes a pixel and are merged. */
#ifndef US_EVALUATION_PIXEL_SORT_H
#define US_EVALUATION_PIXEL_SORT_H

#include "base/error.h"

/* Twice as many pixels of 8 bytes are in memory at most: 64 MiB. */
enum { US_PIXEL_SORT_ROOM = 1 << 22 };

typedef struct us_pixel_sort us_pixel_sort;

typedef struct us_sorted_pixel {
    uint32_t key;    /* the smaller, the larger the value; equal for equal values */
    uint32_t region; /* as added */
} us_sorted_pixel;

/* room: pixels that are sorted at once. The file is in TMPDIR, else /var/tmp, without a name. */
unseen_status us_pixel_sort_create(size_t room, us_pixel_sort **sort, unseen_error *error);
void us_pixel_sort_destroy(us_pixel_sort *sort); /* NULL is fine */

/* The value must be finite. */
unseen_status us_pixel_sort_add(us_pixel_sort *sort, float value, uint32_t region,
                                unseen_error *error);

/* After the last pixel was added: us_pixel_sort_next gives the one of the largest value, and so on;
 * *end receives whether there was none left. */
unseen_status us_pixel_sort_begin(us_pixel_sort *sort, unseen_error *error);
unseen_status us_pixel_sort_next(us_pixel_sort *sort, us_sorted_pixel *pixel, bool *end,
                                 unseen_error *error);

#endif
