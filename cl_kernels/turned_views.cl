/* SPDX-License-Identifier: MIT */
/* Images side by side, in parts of a wide batch, each part turned by another number of quarters:
 *
 *     x     | 0 1 2 .. n |                                [channels][SIDE][SIDE][BATCH]
 *     out   | 0 1 2 .. n | 0 1 2 .. n | 0 1 2 .. n | ..   [channels][SIDE][SIDE][WIDE_BATCH]
 *              upright      1 quarter    2 quarters
 *
 * Work-groups are (lane groups, rows of all channels), and an item has one row of VECTORS vectors
 * of out. Every lane reads elsewhere, so an item does one lane after the other.
 *
 * Options
 *     SIDE                of images in pixels (32)
 *     BATCH, WIDE_BATCH   lanes in memory
 *     TURNS               how many there are (4)
 *     VECTORS             of the wide batch of an item (all on CPUs, 1 on GPUs)
 *
 * Twin of engine/ops/turned_views.c. */

__kernel void turned_views_labels(__global int *restrict labels, int stride) {
    const int lane = (int)get_global_id(0);
    if (lane < WIDE_BATCH) labels[lane] = lane / stride % TURNS;
}

/* Where a pixel comes from, and the step to that of its right neighbour. */
static inline int2 source_of_row(int quarters, int y) {
    const int last = SIDE - 1;
    if (quarters == 1) return (int2)(last - y, SIDE);
    if (quarters == 2) return (int2)((last - y) * SIDE + last, -1);
    if (quarters == 3) return (int2)(last * SIDE + y, -SIDE);
    return (int2)(y * SIDE, 1);
}

__kernel GROUP_ATTRIBUTE void turned_views(__global const float *restrict x,
                                           __global float *restrict out, int n, int stride,
                                           int parts) {
    const int channel = (int)get_group_id(1) / SIDE, y = (int)get_group_id(1) % SIDE;
    x += (size_t)channel * SIDE * SIDE * BATCH;
    out += ((size_t)channel * SIDE + y) * SIDE * WIDE_BATCH;
    for (int j = 0; j < VECTORS; j++)
        for (int l = 0; l < VECTOR_WIDTH; l++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE + l;
            const int part = lane / stride, image = lane % stride;
            const int2 row = source_of_row(part % TURNS, y);
            const bool there = part < parts && image < n;
            for (int i = 0; i < SIDE; i++)
                out[(size_t)i * WIDE_BATCH + lane] =
                    there ? x[(size_t)(row.x + i * row.y) * BATCH + image] : 0.0f;
        }
}
