/* SPDX-License-Identifier: MIT */
/* The standard deviation of the values of a batch, values[BATCH], of which n are images:
 *
 *     out[slot] = max(out[slot], deviation)     a NaN is kept, too
 *
 * One work-group, whose items take vectors of the batch alternately. Differences are taken from the
 * first value, so that equal values have exactly no spread.
 *
 * Option
 *     BATCH    lanes of the batch in memory
 *
 * Twin of engine/ops/spread.c. */

__kernel GROUP_ATTRIBUTE void spread(__global const float *restrict values,
                                     __global float *restrict out, int slot, int n) {
    __local float room[GROUP_SIZE];
    const int start = LANE_BASE(0, 1);
    const vec first = (vec)(values[0]);
    vec sum = (vec)(0.0f);
    for (int lane = start; lane < BATCH; lane += LANE_STRIDE)
        sum += vec_mask(vec_load(values + lane) - first, lane, n);
    const float mean = group_sum(vec_sum(sum), room) / n;
    vec squares = (vec)(0.0f);
    for (int lane = start; lane < BATCH; lane += LANE_STRIDE) {
        const vec d = vec_mask(vec_load(values + lane) - first - mean, lane, n);
        squares += d * d;
    }
    const float deviation = sqrt(group_sum(vec_sum(squares), room) / n);
    /* Written so that a NaN is kept, too. */
    if (get_local_id(0) == 0 && !(deviation <= out[slot])) out[slot] = deviation;
}
