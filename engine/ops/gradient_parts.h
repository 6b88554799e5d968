/* SPDX-License-Identifier: MIT */
/* Gradients of parameters that kernels leave in parts, each the sum over a share of the work. On
 * GPUs nothing is launched to add them up for a layer: the optimizer adds them while it reads the
 * gradients of a network, and us_gradient_parts_sum does for whoever else wants to see them.
 *
 * While a network's layers are created each reserves room for what it leaves; then the room is
 * allocated. Passes backward that accumulate add to the parts. */
#ifndef US_OPS_GRADIENT_PARTS_H
#define US_OPS_GRADIENT_PARTS_H

#include "device/device.h"

typedef struct us_gradient_parts us_gradient_parts;

/* How a layer's room holds the gradient of one of its tensors: element i of `count` is the sum over
 * p of room[first + p * stride + i]. */
typedef struct us_split_gradient {
    int splits; /* 0: it is not left in parts */
    size_t first, stride, count;
} us_split_gradient;

/* What kernels read: see cl_kernels/split_gradients.cl. */
typedef struct us_gradient_table {
    us_buffer *parts, *table; /* NULL without rows */
    int rows;
    int first; /* the table's number of the first gradient that the kernel is about */
} us_gradient_table;

/* gradients: all that the offsets below count in; they outlive the parts. */
unseen_status us_gradient_parts_create(us_buffer *gradients, us_gradient_parts **parts,
                                       unseen_error *error);
void us_gradient_parts_destroy(us_gradient_parts *parts); /* NULL is fine */

/* Room of `floats` for `tensors` tensors, of which tensor t's gradient begins at element
 * offsets[t]; layers come in the order of these. *place: for us_gradient_parts_room; -1 where it
 * would be too much memory, and the layer is to add up its parts itself. */
unseen_status us_gradient_parts_reserve(us_gradient_parts *parts, size_t floats,
                                        const us_split_gradient *split, int tensors,
                                        const size_t *offsets, int *place, unseen_error *error);

/* After all of them. */
unseen_status us_gradient_parts_allocate(us_gradient_parts *parts, unseen_error *error);

/* NULL for place -1. */
us_buffer *us_gradient_parts_room(const us_gradient_parts *parts, int place);

/* From the gradient with number `first` on. parts may be NULL, which has no rows. */
us_gradient_table us_gradient_parts_table(const us_gradient_parts *parts, size_t first);

/* Writes those that are in parts to their places among the gradients. */
unseen_status us_gradient_parts_sum(us_gradient_parts *parts, unseen_error *error);

#endif
