/* SPDX-License-Identifier: MIT */
/* The sum of a split of the pixels of a channel of dy, for the gradient of a bias:
 *
 *     partial[split][c] = sum over a split of the pixels and the batch of dy[c][pixel][n]
 *
 * by one work-group, whose lanes are added at the end. dy is 0 in padded lanes.
 *
 * Options
 *     BATCH                        lanes of the batch in memory
 *     BIAS_CHANNELS, BIAS_PIXELS   of dy
 *     BIAS_SPLITS                  parts that the pixels are summed in (1 to 64)
 *
 * Included by the kernels that launch such work-groups. */
INLINE void bias_sum(__global const float *dy, int channel, int split, __global float *partial,
                     int accumulate, __local float *room) {
    const size_t first = (size_t)split * BIAS_PIXELS / BIAS_SPLITS * BATCH;
    const size_t last = (size_t)(split + 1) * BIAS_PIXELS / BIAS_SPLITS * BATCH;
    __global const float *d = dy + (size_t)channel * BIAS_PIXELS * BATCH + LANE_BASE(0, 0);
    vec sum[4] = {(vec)(0.0f), (vec)(0.0f), (vec)(0.0f), (vec)(0.0f)};
    size_t n = first;
    for (; n + 4 * LANE_STRIDE <= last; n += 4 * LANE_STRIDE) {
        UNROLL_FOR (int j = 0; j < 4; j++) sum[j] += vec_load(d + n + j * LANE_STRIDE);
    }
    for (; n < last; n += LANE_STRIDE) sum[0] += vec_load(d + n);
    const float own = vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    const float total = group_sum(own, room);
    __global float *to = partial + (size_t)split * BIAS_CHANNELS + channel;
    if (get_local_id(0) == 0) *to = accumulate ? *to + total : total;
}
