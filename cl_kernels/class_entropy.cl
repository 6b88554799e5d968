/* SPDX-License-Identifier: MIT */
/* The cross entropy of class scores with one class per image, and its gradient. Scores are those of one head
 * or of several, each with classes of its own, one head after the other; with label l head h's class is
 * l / divisor[h] mod size[h]. Summed over heads
 *
 *     entropies[n] = log(sum over c of exp(y[c][n])) - y[class][n]
 *     dy[c][n]     = scale (exp(y[c][n]) / sum - (c == class)), before y's activation
 *
 * y and dy are [classes of all heads][BATCH]. An item has one vector of the batch and goes through a head's
 * classes three times: for the largest score, for the sum, and for the gradient.
 *
 *                      lanes
 *     head 0, class 0  | v | v | v |       one item per column
 *     head 0, class 1  | v | v | v |
 *     head 1, class 0  | v | v | v |
 *
 * Options
 *     HEADS             1 to 4
 *     HEAD_SIZES        the heads' numbers of classes, a byte each from the lowest on (0x030304u)
 *     HEAD_DIVISORS     alike (0x010309u)
 *     BATCH             lanes of the batch in memory
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced y, see common.cl
 *
 * Twin of engine/ops/class_entropy.c. */

#define SIZE(h) ((int)(HEAD_SIZES >> (8 * (h)) & 255u))
#define DIVISOR(h) ((int)(HEAD_DIVISORS >> (8 * (h)) & 255u))

typedef WIDE(int) classes;

/* A NaN stays one, as in loss.cl, so that divergence is seen. */
static inline vec larger(vec a, vec b) {
    return vec_choose(b, a, b <= a);
}

/* The largest score of a head. */
static inline vec largest(__global const float *y, int size) {
    vec top = vec_load(y);
    for (int c = 1; c < size; c++) top = larger(top, vec_load(y + (size_t)c * BATCH));
    return top;
}

/* A head's entropy, and its gradient where dy is not NULL. */
static inline vec entropy_of_head(__global const float *y, __global float *dy, int size,
                                  classes label, int lane, int n, float scale) {
    const vec top = largest(y, size);
    vec sum = (vec)(0.0f), own = (vec)(0.0f);
    for (int c = 0; c < size; c++) {
        const vec v = vec_load(y + (size_t)c * BATCH) - top;
        sum += exp(v);
        own = vec_choose(own, v, label == (classes)(c));
    }
    if (dy)
        for (int c = 0; c < size; c++) {
            const size_t i = (size_t)c * BATCH;
            const vec value = vec_load(y + i);
            const vec target = vec_choose((vec)(0.0f), (vec)(1.0f), label == (classes)(c));
            vec d = scale * (exp(value - top) / sum - target);
            vec_store(vec_mask(input_activation_backward(d, value), lane, n), dy + i);
        }
    return log(sum) - own;
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
    vec entropy = (vec)(0.0f);
    size_t first = (size_t)lane;
    for (int h = 0; h < HEADS; h++) {
        const classes own = label / (classes)(DIVISOR(h)) % (classes)(SIZE(h));
        entropy += entropy_of_head(y + first, dy ? dy + first : dy, SIZE(h), own, lane, n, scale);
        first += (size_t)SIZE(h) * BATCH;
    }
    entropy = vec_mask(entropy, lane, n);
    vec_store(accumulate ? vec_load(entropies + lane) + entropy : entropy, entropies + lane);
}

/* scores[j] becomes minus the sum over classes of weights[first + class] times the logarithm of a head's
 * softmax, or is increased by it (accumulate). dy, which may be NULL, becomes its gradient:
 *
 *     dy[c][n] = sum of the head's weights times exp(y[c][n]) / sum - weights[c], before y's activation */
__kernel GROUP_ATTRIBUTE void class_entropy_weighted(__global const float *restrict y,
                                                     __global const float *restrict weights,
                                                     __global float *restrict dy,
                                                     __global float *restrict scores, ulong first,
                                                     int n, int accumulate) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec score = (vec)(0.0f);
    for (int h = 0, begin = 0; h < HEADS; begin += SIZE(h), h++) {
        __global const float *head = y + (size_t)begin * BATCH + lane;
        const vec top = largest(head, SIZE(h));
        vec sum = (vec)(0.0f);
        for (int c = 0; c < SIZE(h); c++) sum += exp(vec_load(head + (size_t)c * BATCH) - top);
        const vec total = log(sum);
        for (int c = 0; c < SIZE(h); c++)
            score += weights[first + (ulong)(begin + c)] *
                     (total - (vec_load(head + (size_t)c * BATCH) - top));
        if (!dy) continue;
        float weight = 0.0f;
        for (int c = 0; c < SIZE(h); c++) weight += weights[first + (ulong)(begin + c)];
        for (int c = 0; c < SIZE(h); c++) {
            const size_t i = (size_t)(begin + c) * BATCH + lane;
            const vec value = vec_load(y + i);
            const vec d = weight * exp(value - top) / sum - weights[first + (ulong)(begin + c)];
            vec_store(vec_mask(input_activation_backward(d, value), lane, n), dy + i);
        }
    }
    score = vec_mask(score, lane, n);
    vec_store(accumulate ? vec_load(scores + lane) + score : score, scores + lane);
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
