/* SPDX-License-Identifier: MIT */
/* Distances of features from a centre, and the loss that draws them to it.
 * engine/ops/hypersphere.h has the formulas.
 *
 * y and dy are [FEATURES][BATCH], the centre is [FEATURES], distances are [BATCH]. An item owns a
 * vector of the batch:
 *
 *                      <- vector ->
 *     all features    |  item      |     distance: work-groups (lane groups)
 *     ROWS features   |  item      |     gradient: work-groups (lane groups, rows of features)
 *
 * Options
 *     FEATURES, BATCH    of the tensors in memory
 *     ROWS               features of an item of the gradient (16)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced y, see common.cl
 *
 * Twin of engine/ops/hypersphere.c. */

__kernel GROUP_ATTRIBUTE void hypersphere_distance(__global const float *restrict y,
                                                   __global const float *restrict centre,
                                                   __global float *restrict distances) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec sum = (vec)(0.0f);
    for (int f = 0; f < FEATURES; f++) {
        const vec away = vec_load(y + (size_t)f * BATCH + lane) - centre[f];
        sum += away * away;
    }
    vec_store(sum, distances + lane);
}

/* One work-group. A NaN passes through. */
__kernel GROUP_ATTRIBUTE void hypersphere_loss(__global const float *restrict distances,
                                               __global float *restrict losses, int slot, int n,
                                               float radius_squared, float factor) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int i = get_local_id(0); i < n; i += GROUP_SIZE) {
        const float beyond = distances[i] - radius_squared;
        sum += beyond <= 0.0f ? 0.0f : beyond;
    }
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) losses[slot] = radius_squared + factor * sum;
}

__kernel GROUP_ATTRIBUTE void hypersphere_gradient(__global const float *restrict y,
                                                   __global const float *restrict centre,
                                                   __global const float *restrict distances,
                                                   __global float *restrict dy, int n,
                                                   float radius_squared, float scale) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    const vec distance = vec_load(distances + lane);
    const vec pull = vec_choose((vec)(scale), (vec)(0.0f), distance <= (vec)(radius_squared));
    const int first = (int)get_group_id(1) * ROWS, end = min(first + ROWS, FEATURES);
    for (int f = first; f < end; f++) {
        const size_t i = (size_t)f * BATCH + lane;
        const vec value = vec_load(y + i);
        const vec d = input_activation_backward(pull * (value - centre[f]), value);
        vec_store(vec_mask(d, lane, n), dy + i);
    }
}
