/* SPDX-License-Identifier: MIT */
/* Copies images from some lanes of a batch to some of another one, which may have another size:
 *
 *     to[f][to_first + i] = from[f][from_first + i]    for i < count
 *     to[f][..] = 0                                    for the `zeros` lanes after those
 *
 * from is [FEATURES][FROM_BATCH], to is [FEATURES][TO_BATCH]. On CPUs an item has ROWS features, of whose
 * lanes it copies all; on GPUs one feature, and a vector of the lanes of `to`:
 *
 *                  lanes of `to`
 *     feature 0    . . . c c c c 0 0       c: copied, 0: zeros, dots are left alone
 *     feature 1    . . . c c c c 0 0
 *
 * Options
 *     FEATURES               of an image (12288)
 *     FROM_BATCH, TO_BATCH   lanes in memory
 *     ROWS                   features of an item
 *
 * Twin of engine/ops/lanes.c. */

__kernel GROUP_ATTRIBUTE void lanes_copy(__global const float *restrict from,
                                         __global float *restrict to, int from_first, int to_first,
                                         int count, int zeros) {
    for (int r = 0; r < ROWS; r++) {
        const int row = (int)get_group_id(1) * ROWS + r;
        if (row >= FEATURES) return;
        __global const float *source = from + (size_t)row * FROM_BATCH + from_first;
        __global float *target = to + (size_t)row * TO_BATCH + to_first;
#if LANES
        const int first = LANE_BASE(get_group_id(0), 1) - to_first;
        for (int i = first; i < first + VECTOR_WIDTH; i++)
            if (i >= 0 && i < count + zeros) target[i] = i < count ? source[i] : 0.0f;
#else
        for (int i = 0; i < count; i++) target[i] = source[i];
        for (int i = count; i < count + zeros; i++) target[i] = 0.0f;
#endif
    }
}
