/* SPDX-License-Identifier: MIT */
/* Writes the gradients that kernels left in parts (split_gradients.cl), for others than the
 * optimizer, which adds up the parts while it reads them. A row of work-groups for each row of the
 * table, an item for each element; no options.
 *
 * Twin of engine/ops/gradient_parts.c. */

#include "split_gradients.cl"

__kernel GROUP_ATTRIBUTE void gradient_parts_sum(__global const float *restrict parts,
                                                 __global const long *restrict table,
                                                 __global float *restrict gradients) {
    __global const long *row = table + PARTS_ROW * get_group_id(1);
    const long element = (long)get_group_id(0) * GROUP_SIZE + get_local_id(0);
    if (element < row[1]) gradients[row[0] + element] = parts_sum(parts, row, element);
}
