/* SPDX-License-Identifier: MIT */
/* The derivative of an image's score by each of the columns that it is made of. */
#ifndef US_OPS_SCORE_SLOPES_H
#define US_OPS_SCORE_SLOPES_H

#include "ops/layer.h"

enum { US_SCORE_PARTS_MOST = 5 };

/* A score's part of column c is factors[c] x column + offsets[c], of the numbers on the device; the
 * score is the sum of the parts, or the largest of them. */
typedef struct us_score_parts {
    bool maximum;
    int count;
    double factors[US_SCORE_PARTS_MOST], offsets[US_SCORE_PARTS_MOST];
} us_score_parts;

typedef struct us_score_slopes us_score_slopes;

/* batch: padded. */
unseen_status us_score_slopes_create(us_device *device, const us_score_parts *parts, int batch,
                                     us_score_slopes **slopes, unseen_error *error);
void us_score_slopes_destroy(us_score_slopes *slopes); /* NULL is fine */

/* columns, out: as many buffers as parts, `batch` floats each. Of image j < n out[c][j] becomes the
 * derivative by column c, where several parts are the largest that of the first; padded lanes are
 * 0. */
unseen_status us_score_slopes_run(us_score_slopes *slopes, us_buffer *const *columns, int n,
                                  us_buffer *const *out, unseen_error *error);

#endif
