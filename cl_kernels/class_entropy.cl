/* SPDX-License-Identifier: MIT */
/* The cross entropy of class scores with one class per image, and its gradient:
 *
 *     entropies[n] = log(sum over c of exp(y[c][n])) - y[labels[n]][n]
 *     dy[c][n]     = scale (exp(y[c][n]) / sum - (c == labels[n])), before y's activation
 *
 * y and dy are [CLASSES][BATCH]. An item has one vector of the batch and goes through its classes
 * three times: for the largest score, for the sum, and for the gradient.
 *
 *              lanes
 *     class 0  | v | v | v |       one item per column
 *     class 1  | v | v | v |
 *
 * Options
 *     CLASSES    scores of an image (72)
 *     BATCH      lanes of the batch in memory
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced y, see common.cl
 *
 * Twin of engine/ops/class_entropy.c. */

typedef WIDE(int) classes;

/* A NaN stays one, as in loss.cl, so that divergence is seen. */
static inline vec larger(vec a, vec b) {
    return vec_choose(b, a, b <= a);
}

/* entropies[j] becomes image j's entropy, or is increased by it (accumulate). dy may be NULL. */
__kernel GROUP_ATTRIBUTE void class_entropy(__global const float *restrict y,
                                            __global const int *restrict labels,
                                            __global float *restrict dy,
                                            __global float *restrict entropies, int n, float scale,
                                            int accumulate) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    classes label;
#if VECTOR_WIDTH == 1
    label = labels[lane];
#elif VECTOR_WIDTH == 4
    label = vload4(0, labels + lane);
#elif VECTOR_WIDTH == 8
    label = vload8(0, labels + lane);
#else
    label = vload16(0, labels + lane);
#endif
    vec top = vec_load(y + lane);
    for (int c = 1; c < CLASSES; c++) top = larger(top, vec_load(y + (size_t)c * BATCH + lane));
    vec sum = (vec)(0.0f), own = (vec)(0.0f);
    for (int c = 0; c < CLASSES; c++) {
        const vec v = vec_load(y + (size_t)c * BATCH + lane) - top;
        sum += exp(v);
        own = vec_choose(own, v, label == (classes)(c));
    }
    const vec entropy = vec_mask(log(sum) - own, lane, n);
    vec_store(accumulate ? vec_load(entropies + lane) + entropy : entropy, entropies + lane);
    if (!dy) return;
    for (int c = 0; c < CLASSES; c++) {
        const size_t i = (size_t)c * BATCH + lane;
        const vec value = vec_load(y + i);
        const vec target = vec_choose((vec)(0.0f), (vec)(1.0f), label == (classes)(c));
        vec d = scale * (exp(value - top) / sum - target);
        vec_store(vec_mask(input_activation_backward(d, value), lane, n), dy + i);
    }
}

/* One work-group: losses[slot] = scale times the sum over the batch. */
__kernel GROUP_ATTRIBUTE void class_entropy_sum(__global const float *restrict entropies,
                                                __global float *restrict losses, int slot,
                                                float scale) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int i = get_local_id(0); i < BATCH; i += GROUP_SIZE) sum += entropies[i];
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) losses[slot] = scale * sum;
}
