/* SPDX-License-Identifier: MIT */
/* Codes z drawn from normal distributions that two networks describe by mean and log variance, the
 * divergence of these from N(0, 1), and both gradients. engine/ops/gaussian_code.h has the
 * formulas.
 *
 * All tensors are [FEATURES][BATCH]. Work-groups are (lane groups, splits of the features):
 *
 *                     <- VECTORS ->
 *     ROWS features  |  item       |     divergence: a part per split, [SPLITS][BATCH], which
 *     ROWS features  |  item       |     divergence_sum adds up for each lane
 *
 * Options
 *     FEATURES, BATCH    of the tensors in memory
 *     LARGEST            log variance beyond which exp is continued by its tangent (20)
 *     VECTORS, ROWS      vectors of the batch and features of an item (9, 8)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced what a gradient is with
 *                        respect to, see common.cl
 *
 * Twin of engine/ops/gaussian_code.c. */

#define SPLITS CEIL_DIV(FEATURES, ROWS)

/* A NaN stays one. */
static inline vec bounded(vec log_variance) {
    return vec_choose(log_variance, (vec)(LARGEST), log_variance > (vec)(LARGEST));
}

static inline vec deviation(vec log_variance) {
    const vec low = bounded(log_variance);
    return exp(0.5f * low) * (1.0f + 0.5f * (log_variance - low));
}

/* expm1 keeps the digits that exp(v) - 1 loses near 0. */
static inline vec divergence(vec mean, vec log_variance) {
    const vec low = bounded(log_variance), beyond = log_variance - low;
    return 0.5f * (mean * mean + (expm1(low) - log_variance + exp(low) * beyond));
}

__kernel GROUP_ATTRIBUTE void gaussian_code_sample(__global const float *restrict mean,
                                                   __global const float *restrict log_variance,
                                                   __global const float *restrict noise,
                                                   __global float *restrict z, int n) {
    const int first_row = (int)get_group_id(1) * ROWS;
    for (int f = first_row; f < min(first_row + ROWS, FEATURES); f++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
            const size_t i = (size_t)f * BATCH + lane;
            const vec value =
                vec_load(mean + i) + deviation(vec_load(log_variance + i)) * vec_load(noise + i);
            vec_store(vec_mask(value, lane, n), z + i);
        }
}

/* A part of each lane's divergence per split, [SPLITS][BATCH]. */
__kernel GROUP_ATTRIBUTE void gaussian_code_divergence_parts(
    __global const float *restrict mean, __global const float *restrict log_variance,
    __global float *restrict parts, int n) {
    const int first_row = (int)get_group_id(1) * ROWS, end_row = min(first_row + ROWS, FEATURES);
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    /* One feature after the other, so that memory is read in runs. */
    vec part[VECTORS];
    for (int j = 0; j < VECTORS; j++) part[j] = (vec)(0.0f);
    for (int f = first_row; f < end_row; f++)
        for (int j = 0; j < VECTORS; j++) {
            const size_t i = (size_t)f * BATCH + first + j * LANE_STRIDE;
            part[j] += divergence(vec_load(mean + i), vec_load(log_variance + i));
        }
    for (int j = 0; j < VECTORS; j++) {
        const int lane = first + j * LANE_STRIDE;
        vec_store(vec_mask(part[j], lane, n), parts + (size_t)get_group_id(1) * BATCH + lane);
    }
}

__kernel GROUP_ATTRIBUTE void gaussian_code_divergence_sum(__global const float *restrict parts,
                                                           __global float *restrict divergences) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec sum = (vec)(0.0f);
    for (int s = 0; s < SPLITS; s++) sum += vec_load(parts + (size_t)s * BATCH + lane);
    vec_store(sum, divergences + lane);
}

/* One work-group. */
__kernel GROUP_ATTRIBUTE void gaussian_code_divergence_mean(
    __global const float *restrict divergences, __global float *restrict losses, int slot, int n) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int i = get_local_id(0); i < n; i += GROUP_SIZE) sum += divergences[i];
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) losses[slot] = sum / (float)n;
}

__kernel GROUP_ATTRIBUTE void gaussian_code_mean_gradient(__global const float *restrict mean,
                                                          __global const float *restrict dz,
                                                          __global float *restrict gradient, int n,
                                                          float scale) {
    const int first_row = (int)get_group_id(1) * ROWS;
    for (int f = first_row; f < min(first_row + ROWS, FEATURES); f++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
            const size_t i = (size_t)f * BATCH + lane;
            const vec m = vec_load(mean + i);
            const vec d = input_activation_backward(vec_load(dz + i) + scale * m, m);
            vec_store(vec_mask(d, lane, n), gradient + i);
        }
}

__kernel GROUP_ATTRIBUTE void gaussian_code_log_variance_gradient(
    __global const float *restrict log_variance, __global const float *restrict noise,
    __global const float *restrict dz, __global float *restrict gradient, int n, float scale) {
    const int first_row = (int)get_group_id(1) * ROWS;
    for (int f = first_row; f < min(first_row + ROWS, FEATURES); f++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
            const size_t i = (size_t)f * BATCH + lane;
            const vec v = vec_load(log_variance + i), low = bounded(v);
            const vec d = 0.5f * (vec_load(dz + i) * vec_load(noise + i) * exp(0.5f * low) +
                                  scale * expm1(low));
            vec_store(vec_mask(input_activation_backward(d, v), lane, n), gradient + i);
        }
}
