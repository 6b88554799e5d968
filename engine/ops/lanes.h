/* SPDX-License-Identifier: MIT */
/* Moves images between batches of different sizes, on the device: several batches become one, a
 * part of one a batch of its own, or some images of a batch are replaced. */
#ifndef US_OPS_LANES_H
#define US_OPS_LANES_H

#include "ops/layer.h"

typedef struct us_lanes us_lanes;

/* For images of that shape; batches as they lie in memory. */
unseen_status us_lanes_create(us_device *device, us_shape shape, int from_batch, int to_batch,
                              us_lanes **lanes, unseen_error *error);
void us_lanes_destroy(us_lanes *lanes);

/* Images from_first .. from_first + n - 1 of `from` become images to_first .. of `to`, another
 * buffer. last: the lanes after them become 0; else they are left alone. */
typedef struct us_lanes_args {
    us_buffer *from, *to;
    int from_first, to_first, n;
    bool last;
} us_lanes_args;
unseen_status us_lanes_copy(us_lanes *lanes, const us_lanes_args *args, unseen_error *error);

#endif
