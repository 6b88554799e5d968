/* SPDX-License-Identifier: MIT */
/* The contrastive loss of a batch of vectors, and the score of images beside those learned from;
 * engine/ops/contrastive.h has the formulas.
 *
 *     contrastive_lengths      r[a] = 1 / |z_a|
 *     contrastive_products     m[b][a] = z_a z_b r[a] r[b] / temperature
 *     contrastive_entropies    sums[a] = log(sum over b of exp(m[b][a])), losses[a]
 *     contrastive_sum          their mean
 *     contrastive_weights      g[b][a] = what m[b][a] and m[a][b] weigh in n times the loss, in m's
 *                              place; pull[a] = sum over b of g[b][a] m[b][a]
 *     contrastive_gradient     dz_a = r[a] (sum over b of g[b][a] u_b / temperature - pull[a] u_a)
 *                              / n
 *     contrastive_nearest      the largest product of a vector with the directions of its part
 *     contrastive_join         scores of the parts become an image's
 *
 * z and dz are [DIMENSIONS][BATCH], m is [BATCH][BATCH], of which rows b < n are used. An item has
 * a vector of lanes a, and ROWS rows where there are many:
 *
 *              lanes a
 *     b = 0    | v | v | v |        m is symmetric: a column holds all that lane a needs, so that
 *     b = 1    | v | v | v |        sums over b need no exchange between lanes
 *
 * Options
 *     DIMENSIONS, BATCH   of the vectors in memory (128, 512)
 *     ROWS                rows of an item (8)
 *     PARTS, LANES_OF_PART   of scores: shifts of an image, and lanes of the images (4, 128)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced z, see common.cl
 *
 * Twin of engine/ops/contrastive.c. */

typedef WIDE(int) lanes;

__kernel GROUP_ATTRIBUTE void contrastive_lengths(__global const float *restrict z,
                                                  __global float *restrict lengths) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec sum = (vec)(0.0f);
    for (int d = 0; d < DIMENSIONS; d++) {
        const vec v = vec_load(z + (size_t)d * BATCH + lane);
        sum += v * v;
    }
    const vec length = sqrt(sum), least = (vec)(1e-8f);
    vec_store(1.0f / vec_choose(length, least, length < least), lengths + lane);
}

__kernel GROUP_ATTRIBUTE void contrastive_products(__global const float *restrict z,
                                                   __global const float *restrict lengths,
                                                   __global float *restrict m, int n,
                                                   float sharpness) {
    const int lane = LANE_BASE(get_group_id(0), 1), first = (int)get_group_id(1) * ROWS;
    vec sums[ROWS];
    UNROLL_FOR (int i = 0; i < ROWS; i++) sums[i] = (vec)(0.0f);
    for (int d = 0; d < DIMENSIONS; d++) {
        __global const float *row = z + (size_t)d * BATCH;
        const vec v = vec_load(row + lane);
        UNROLL_FOR (int i = 0; i < ROWS; i++) sums[i] += v * row[min(first + i, n - 1)];
    }
    const vec own = vec_load(lengths + lane) * sharpness;
    UNROLL_FOR (int i = 0; i < ROWS; i++)
        if (first + i < n)
            vec_store(sums[i] * own * lengths[first + i], m + (size_t)(first + i) * BATCH + lane);
}

/* The lane of the other view of each lane's thing. */
#define PARTNERS(a, n) vec_choose((a) - (n) / 2, (a) + (n) / 2, (a) < (lanes)((n) / 2))

/* A NaN stays one, so that divergence is seen. */
static inline vec larger(vec a, vec b) {
    return vec_choose(b, a, b <= a);
}

__kernel GROUP_ATTRIBUTE void contrastive_entropies(__global const float *restrict m,
                                                    __global float *restrict sums,
                                                    __global float *restrict losses, int n) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    const lanes a = vec_lanes(lane);
    const lanes partner = PARTNERS(a, n);
    vec top = (vec)(-INFINITY), own = (vec)(0.0f), sum = (vec)(0.0f);
    for (int b = 0; b < n; b++) {
        const vec v = vec_load(m + (size_t)b * BATCH + lane);
        top = larger(top, vec_choose(v, (vec)(-INFINITY), a == (lanes)(b)));
        own = vec_choose(own, v, partner == (lanes)(b));
    }
    for (int b = 0; b < n; b++) {
        const vec v = exp(vec_load(m + (size_t)b * BATCH + lane) - top);
        sum += vec_choose(v, (vec)(0.0f), a == (lanes)(b));
    }
    const vec entropy = log(sum) + top;
    vec_store(vec_mask(entropy, lane, n), sums + lane);
    vec_store(vec_mask(entropy - own, lane, n), losses + lane);
}

/* One work-group: results[slot] = scale times the sum of the losses. */
__kernel GROUP_ATTRIBUTE void contrastive_sum(__global const float *restrict losses,
                                              __global float *restrict results, int slot,
                                              float scale) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int i = get_local_id(0); i < BATCH; i += GROUP_SIZE) sum += losses[i];
    sum = group_sum(sum, room);
    if (get_local_id(0) == 0) results[slot] = scale * sum;
}

__kernel GROUP_ATTRIBUTE void contrastive_weights(__global float *restrict m,
                                                  __global const float *restrict sums,
                                                  __global float *restrict pull, int n) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    const lanes a = vec_lanes(lane);
    const lanes partner = PARTNERS(a, n);
    const vec sum = vec_load(sums + lane);
    vec pulled = (vec)(0.0f);
    for (int b = 0; b < n; b++) {
        __global float *at = m + (size_t)b * BATCH + lane;
        const vec v = vec_load(at);
        vec g = exp(v - sum) + exp(v - sums[b]);
        g = vec_choose(g, g - 2.0f, partner == (lanes)(b));
        g = vec_choose(g, (vec)(0.0f), a == (lanes)(b));
        pulled += g * v;
        vec_store(g, at);
    }
    vec_store(pulled, pull + lane);
}

__kernel GROUP_ATTRIBUTE void contrastive_gradient(__global const float *restrict z,
                                                   __global const float *restrict lengths,
                                                   __global const float *restrict g,
                                                   __global const float *restrict pull,
                                                   __global float *restrict dz, int n, float scale,
                                                   float sharpness) {
    const int lane = LANE_BASE(get_group_id(0), 1), first = (int)get_group_id(1) * ROWS;
    vec sums[ROWS];
    UNROLL_FOR (int i = 0; i < ROWS; i++) sums[i] = (vec)(0.0f);
    for (int b = 0; b < n; b++) {
        const vec weight = vec_load(g + (size_t)b * BATCH + lane) * lengths[b];
        UNROLL_FOR (int i = 0; i < ROWS; i++)
            sums[i] += weight * z[(size_t)min(first + i, DIMENSIONS - 1) * BATCH + b];
    }
    const vec own = vec_load(lengths + lane), pulled = vec_load(pull + lane) * own;
    UNROLL_FOR (int i = 0; i < ROWS; i++) {
        const size_t at = (size_t)(first + i) * BATCH + lane;
        if (first + i < DIMENSIONS) {
            const vec value = vec_load(z + at);
            const vec d = scale * own * (sharpness * sums[i] - pulled * value);
            vec_store(vec_mask(input_activation_backward(d, value), lane, n), dz + at);
        }
    }
}

#ifdef PARTS
/* directions: [PARTS][DIMENSIONS][points]; similarities: [PARTS][LANES_OF_PART]. */
__kernel GROUP_ATTRIBUTE void contrastive_nearest(__global const float *restrict z,
                                                  __global const float *restrict directions,
                                                  __global float *restrict similarities,
                                                  int points) {
    const int lane = LANE_BASE(get_group_id(0), 1), part = (int)get_group_id(1);
    z += part * LANES_OF_PART + lane;
    directions += (size_t)part * DIMENSIONS * points;
    vec top = (vec)(-INFINITY);
    for (int first = 0; first < points; first += ROWS) {
        vec sums[ROWS];
        UNROLL_FOR (int i = 0; i < ROWS; i++) sums[i] = (vec)(0.0f);
        for (int d = 0; d < DIMENSIONS; d++) {
            const vec v = vec_load(z + (size_t)d * BATCH);
            __global const float *row = directions + (size_t)d * points + first;
            UNROLL_FOR (int i = 0; i < ROWS; i++) sums[i] += v * row[i];
        }
        UNROLL_FOR (int i = 0; i < ROWS; i++) top = larger(top, sums[i]);
    }
    vec_store(top, similarities + part * LANES_OF_PART + lane);
}

__kernel GROUP_ATTRIBUTE void contrastive_join(__global const float *restrict similarities,
                                               __global const float *restrict logits,
                                               __global const float *restrict weights,
                                               __global float *restrict similarity,
                                               __global float *restrict shift) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec near = (vec)(0.0f), told = (vec)(0.0f);
    for (int p = 0; p < PARTS; p++) {
        near += weights[p] * vec_load(similarities + p * LANES_OF_PART + lane);
        told +=
            weights[PARTS + p] * vec_load(logits + (size_t)p * BATCH + p * LANES_OF_PART + lane);
    }
    vec_store(near, similarity + lane);
    vec_store(told, shift + lane);
}
#endif
