/* SPDX-License-Identifier: MIT */
/* The sum of a split of the pixels of a channel of dy, for the gradient of a bias:
 *
 *     partial[split][c] = sum over a split of the pixels and the batch of dy[c][pixel][n]
 *
 * by one work-group. On GPUs its items take the quads of four floats of that run alternately; their
 * sums are added by BIAS_ADDERS of them, and then by the first. dy is 0 in padded lanes.
 *
 * Options
 *     BATCH                        lanes of the batch in memory
 *     BIAS_CHANNELS, BIAS_PIXELS   of dy
 *     BIAS_SPLITS                  parts that the pixels are summed in (1 to 64)
 *
 * Included by the kernels that launch such work-groups, which may define BIAS_ITEMS, their size. */
#ifndef BIAS_ITEMS
#define BIAS_ITEMS GROUP_SIZE
#endif
#define BIAS_FIRST ((size_t)split * BIAS_PIXELS / BIAS_SPLITS * BATCH)
#define BIAS_LAST ((size_t)(split + 1) * BIAS_PIXELS / BIAS_SPLITS * BATCH)

#if LANES
#define BIAS_ADDERS 16
INLINE float bias_run(__global const float *run, int quads, __local float *room) {
    const int item = get_local_id(0);
    float4 sum = (float4)(0.0f);
    _Pragma("unroll 4") for (int i = item; i < quads; i += BIAS_ITEMS) sum +=
        ((__global const float4 *)run)[i];
    room[item] = (sum.x + sum.y) + (sum.z + sum.w);
    barrier(CLK_LOCAL_MEM_FENCE);
    float own = 0.0f;
    if (item < BIAS_ADDERS)
        for (int i = item; i < BIAS_ITEMS; i += BIAS_ADDERS) own += room[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    room[item] = own;
    barrier(CLK_LOCAL_MEM_FENCE);
    float total = 0.0f;
    for (int i = 0; i < min(BIAS_ADDERS, BIAS_ITEMS); i++) total += room[i];
    return total;
}
#endif

/* room: BIAS_ITEMS floats. */
INLINE void bias_sum(__global const float *dy, int channel, int split, __global float *partial,
                     int accumulate, __local float *room) {
    const size_t first = BIAS_FIRST, last = BIAS_LAST;
    __global const float *d = dy + (size_t)channel * BIAS_PIXELS * BATCH;
#if LANES
    const float total = bias_run(d + first, (int)((last - first) / 4), room);
#else
    vec sum[4] = {(vec)(0.0f), (vec)(0.0f), (vec)(0.0f), (vec)(0.0f)};
    size_t n = first;
    for (; n + 4 * LANE_STRIDE <= last; n += 4 * LANE_STRIDE) {
        UNROLL_FOR (int j = 0; j < 4; j++) sum[j] += vec_load(d + n + j * LANE_STRIDE);
    }
    for (; n < last; n += LANE_STRIDE) sum[0] += vec_load(d + n);
    const float total = vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
#endif
    __global float *to = partial + (size_t)split * BIAS_CHANNELS + channel;
    if (get_local_id(0) == 0) *to = accumulate ? *to + total : total;
}

/* For kernels whose launch has such work-groups after its own: their arguments, and the work of the
 * group with a number from 0 on. */
#define BIAS_ARGUMENTS __global float *restrict bias, long first_bias, int accumulate_bias
#define BIAS_GROUP(group, room)                                                                    \
    if ((group) < BIAS_CHANNELS * BIAS_SPLITS)                                                     \
    bias_sum(BIAS_OF_LARGE ? large : small, (group) % BIAS_CHANNELS, (group) / BIAS_CHANNELS,      \
             bias + first_bias, accumulate_bias, room)
