/* SPDX-License-Identifier: MIT */
/* A step along a direction, kept within limits:
 *
 *     y = min(max(y + scale d, low), high)
 *
 * Any tensor of floats; work is cut as in activation.cl.
 *
 * Options
 *     COUNT      floats of the tensor, those of padded lanes included (16384)
 *     VECTORS    vectors of an item (512 on CPUs, 4 on GPUs)
 *
 * Twin of engine/ops/bounded_step.c. */

/* y + scale d, kept within the limits by comparisons that a NaN fails. */
__kernel GROUP_ATTRIBUTE void bounded_step(__global float *restrict y,
                                           __global const float *restrict d, float scale, float low,
                                           float high) {
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i >= COUNT) continue;
        vec v = vec_load(y + i) + scale * vec_load(d + i);
        v = vec_choose(v, (vec)(low), v < (vec)(low));
        vec_store(vec_choose(v, (vec)(high), v > (vec)(high)), y + i);
    }
}
