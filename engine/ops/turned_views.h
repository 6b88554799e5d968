/* SPDX-License-Identifier: MIT */
/* Images side by side in one batch, each in all four turns by quarters: what a network needs that
 * is to tell them apart, and whose BatchNorm must not see each turn by itself. */
#ifndef US_OPS_TURNED_VIEWS_H
#define US_OPS_TURNED_VIEWS_H

#include "ops/layer.h"

enum { US_TURNS = 4 };

typedef struct us_turned_views us_turned_views;

/* shape: square; batch: lanes of the images; wide: lanes of what is made of them. */
unseen_status us_turned_views_create(us_device *device, us_purpose purpose, us_shape shape,
                                     int batch, int wide, us_turned_views **views,
                                     unseen_error *error);
void us_turned_views_destroy(us_turned_views *views);

/* Lane p stride + j of out is image j < n of x, turned by p mod 4 quarters against the clock, for
 * parts p < parts, stride >= n; every other lane is 0. labels (NULL: not wanted): `wide` int32_t,
 * lane / stride mod 4. */
typedef struct us_turned_views_args {
    us_buffer *x, *out, *labels;
    int n, stride, parts;
} us_turned_views_args;
unseen_status us_turned_views_run(us_turned_views *views, const us_turned_views_args *args,
                                  unseen_error *error);

#endif
