/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's bias, where the kernel for the weights does not take it along:
 *
 *     partial[split][c] = sum over a split of the pixels and the batch of dy[c][pixel][n]
 *
 * which sum_splits.cl adds up. A work-group per channel and split; its lanes are added at the end.
 *
 * Options
 *     BATCH           lanes of the batch in memory
 *     BIAS_CHANNELS, BIAS_PIXELS   of dy
 *     BIAS_SPLITS     parts that the pixels are summed in (1 to 16)
 *
 * Twin of engine/ops/convolution/weight_gradient.c. */
__kernel GROUP_ATTRIBUTE void bias_gradient(__global const float *restrict dy,
                                            __global float *restrict partial) {
    const int channel = get_group_id(0), split = get_group_id(1);
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
#if LANES
    __local float lanes[GROUP_SIZE];
    lanes[get_local_id(0)] = own;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) == 0) {
        float total = 0.0f;
        for (int item = 0; item < GROUP_SIZE; item++) total += lanes[item];
        partial[(size_t)split * BIAS_CHANNELS + channel] = total;
    }
#else
    partial[(size_t)split * BIAS_CHANNELS + channel] = own;
#endif
}
