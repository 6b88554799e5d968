/* SPDX-License-Identifier: MIT */
/* Losses and their gradients, of y and a target or a constant:
 *
 *     losses[slot] (+)= scale * sum over f, n of loss(y[f][n], target[f][n])
 *     dy[f][n] = scale * d loss / d (value before y's activation), + kept * dy[f][n]
 *
 * and, where y is one value of each image, how much these differ:
 *
 *     spreads[spread_slot] = max(spreads[spread_slot], standard deviation of y[n])
 *
 * Tensors are [FEATURES][BATCH]. loss_parts has work-groups (lane groups, splits of the features),
 * each of which leaves one part of the sum; loss_sum, one work-group, adds up the parts. A single
 * work-group needs no loss_sum:
 *
 *                     <- VECTORS ->
 *     ROWS features  | group (0,0) | group (1,0) |  ->  parts[split * LANE_GROUPS + lane group]
 *     ROWS features  | group (0,1) | group (1,1) |
 *
 * Options
 *     KIND               us_loss_kind
 *     FEATURES, BATCH    of the tensors in memory
 *     OCCUPIED           lanes that images may lie in
 *     VECTORS, ROWS      vectors of the batch (all on CPUs, 1 on GPUs) and features of an item (32)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced y, see common.cl
 *
 * Twin of engine/ops/loss.c. */

#include "loss_total.cl"

#define SPLITS CEIL_DIV(FEATURES, ROWS)
#define LANE_GROUPS (OCCUPIED / (VECTORS * LANE_STRIDE))
#define PARTS (SPLITS * LANE_GROUPS)

#define MEAN_SQUARED_ERROR 0
#define BINARY_CROSS_ENTROPY 1

/* Comparisons are written so that a NaN stays one and divergence is seen. */
static inline vec at_least(vec v, float low) {
    return vec_choose(v, (vec)(low), v < (vec)(low));
}

static inline vec loss(vec y, vec t) {
#if KIND == MEAN_SQUARED_ERROR
    return (y - t) * (y - t);
#elif KIND == BINARY_CROSS_ENTROPY
    return -(t * at_least(log(y), -100.0f) + (1.0f - t) * at_least(log1p(-y), -100.0f));
#else
    return at_least(y, 0.0f) - y * t + log1p(exp(-fabs(y)));
#endif
}

static inline vec gradient(vec y, vec t) {
#if KIND == MEAN_SQUARED_ERROR
    return 2.0f * (y - t);
#elif KIND == BINARY_CROSS_ENTROPY
    return (y - t) / at_least(y * (1.0f - y), 1e-12f);
#else
    return 1.0f / (1.0f + exp(-y)) - t;
#endif
}

#if FEATURES == 1
/* The standard deviation of y. Differences are taken from the first value, so that equal values
 * have exactly no spread. */
INLINE float deviation(__global const float *y, int n, __local float *room) {
    const int start = LANE_BASE(0, 1);
    const vec first = (vec)(y[0]);
    vec sum = (vec)(0.0f);
    for (int lane = start; lane < BATCH; lane += LANE_STRIDE)
        sum += vec_mask(vec_load(y + lane) - first, lane, n);
    const float mean = group_sum(vec_sum(sum), room) / n;
    vec squares = (vec)(0.0f);
    for (int lane = start; lane < BATCH; lane += LANE_STRIDE) {
        const vec d = vec_mask(vec_load(y + lane) - first - mean, lane, n);
        squares += d * d;
    }
    return sqrt(group_sum(vec_sum(squares), room) / n);
}
#endif

/* losses and spreads may be NULL, and are not used where there are several parts. */
__kernel GROUP_ATTRIBUTE void loss_parts(__global const float *restrict y,
                                         __global const float *restrict target,
                                         float target_constant, __global float *restrict dy,
                                         __global float *restrict parts, int n, float scale,
                                         float kept, __global float *restrict losses, int slot,
                                         float loss_scale, int accumulate,
                                         __global float *restrict spreads, int spread_slot) {
    __local float room[GROUP_SIZE];
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    const int first_row = (int)get_group_id(1) * ROWS, end_row = min(first_row + ROWS, FEATURES);
    vec sum = (vec)(0.0f);
    for (int r = first_row; r < end_row; r++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            const size_t i = (size_t)r * BATCH + lane;
            const vec value = vec_load(y + i);
            const vec t = target ? vec_load(target + i) : (vec)(target_constant);
            sum += vec_mask(loss(value, t), lane, n);
            if (dy) {
                vec d = input_activation_backward(scale * gradient(value, t), value);
                d = vec_mask(d, lane, n);
                vec_store(kept != 0.0f ? kept * vec_load(dy + i) + d : d, dy + i);
            }
        }
    const float total = group_sum(vec_sum(sum), room);
#if PARTS > 1
    if (get_local_id(0) == 0) parts[get_group_id(1) * LANE_GROUPS + get_group_id(0)] = total;
#else
    if (losses && get_local_id(0) == 0)
        losses[slot] = (accumulate ? losses[slot] : 0.0f) + loss_scale * total;
#if FEATURES == 1
    if (!spreads) return;
    const float found = deviation(y, n, room);
    /* Written so that a NaN is kept, too. */
    if (get_local_id(0) == 0 && !(found <= spreads[spread_slot])) spreads[spread_slot] = found;
#endif
#endif
}

/* The same, of errors that were summed in parts, [count][BATCH] (us_errors). One work-group. */
__kernel GROUP_ATTRIBUTE void loss_errors_sum(__global const float *restrict errors, int count,
                                              __global float *restrict losses, int slot, int n,
                                              float scale, int accumulate) {
    __local float room[GROUP_SIZE];
    vec sum = (vec)(0.0f);
    for (int part = 0; part < count; part++)
        for (int lane = LANE_BASE(0, 0); lane < OCCUPIED; lane += LANE_STRIDE)
            sum += vec_mask(vec_load(errors + (size_t)part * BATCH + lane), lane, n);
    const float total = group_sum(vec_sum(sum), room);
    if (get_local_id(0) == 0) losses[slot] = (accumulate ? losses[slot] : 0.0f) + scale * total;
}

/* One work-group. Not launched where the optimizer does it. */
__kernel GROUP_ATTRIBUTE void loss_sum(LOSS_TOTAL_ARGUMENTS) {
    __local float room[GROUP_SIZE];
    LOSS_TOTAL(room);
}
