/* SPDX-License-Identifier: MIT */
/* One step of Adam, AdamW or SGD for all parameters of a network, which are one flat array, as are
 * gradients and moments; and the norm of all gradients, to clip them by.
 *
 *     optimizer_norm_parts     the sum of squares of a work-group's gradients
 *     optimizer_norm_finish    one work-group: coefficient = min(1, limit / norm)
 *     optimizer_update         moments and parameters
 *
 * On GPUs, gradients that kernels left in parts are added up while they are read:
 * split_gradients.cl.
 *
 * The first work-group of optimizer_update also adds up a loss that was left in parts.
 *
 * Work is cut as in activation.cl. COUNT need not be a multiple of anything: the last item ends
 * with single floats.
 *
 * Options
 *     KIND       us_optimizer_kind
 *     COUNT      parameters (47595)
 *     VECTORS    of an item
 *     PARTS      work-groups, each with VECTORS * LANE_STRIDE parameters
 *
 * Twin of engine/ops/optimizer.c. */

#include "loss_total.cl"
#include "split_gradients.cl"

#define ADAM 0
#define ADAMW 1
#define SGD 2
#define ITEM_BASE LANE_BASE(get_group_id(0), VECTORS)

/* The gradients of floats or vectors at i, which has the number first + i in the table. */
#define GRADIENTS                                                                                  \
    __global const float *restrict gradients, __global const float *restrict parts,                \
        __global const long *restrict table, int rows, int first
#if LANES
#define GRADIENT(LOAD, i) gradient_at(gradients, parts, table, rows, first, i)
#else
#define GRADIENT(LOAD, i) LOAD(gradients + (i))
#endif

/* Updates floats or vectors (T) at i. step is the learning rate over 1 - beta1^t and root is 1 /
 * sqrt(1 - beta2^t); the host computes both in double. */
#if KIND == SGD
#define UPDATE(T, LOAD, STORE)                                                                     \
    {                                                                                              \
        T p = LOAD(parameters + i);                                                                \
        const T g = clipping * GRADIENT(LOAD, i) + decay * p;                                      \
        const T m = beta1 * LOAD(moment1 + i) + g;                                                 \
        STORE(m, moment1 + i);                                                                     \
        STORE(p - step * (rest1 * g + beta2 * m), parameters + i);                                 \
    }
#else
#define UPDATE(T, LOAD, STORE)                                                                     \
    {                                                                                              \
        T p = LOAD(parameters + i), g = clipping * GRADIENT(LOAD, i);                              \
        if (KIND == ADAM) g += decay * p;                                                          \
        if (KIND == ADAMW) p -= decay * p;                                                         \
        const T m = beta1 * LOAD(moment1 + i) + rest1 * g;                                         \
        const T v = beta2 * LOAD(moment2 + i) + rest2 * g * g;                                     \
        STORE(m, moment1 + i);                                                                     \
        STORE(v, moment2 + i);                                                                     \
        STORE(p - step * m / (sqrt(v) * root + epsilon), parameters + i);                          \
    }
#endif
#define LOAD_ONE(p) (*(p))
#define STORE_ONE(v, p) (*(p) = (v))

/* coefficient: the factor of the gradients; NULL means 1. rest1 and rest2 are 1 - beta1 and 1 -
 * beta2. SGD uses beta1 as its momentum; rest1 is 0 and beta2 is 1, with Nesterov's momentum 1 and that
 * momentum. decay: for ADAMW already times the learning rate. */
__kernel GROUP_ATTRIBUTE void optimizer_update(__global float *restrict parameters, GRADIENTS,
                                               __global float *restrict moment1,
                                               __global float *restrict moment2,
                                               __global const float *restrict coefficient,
                                               float step, float root, float beta1, float rest1,
                                               float beta2, float rest2, float epsilon, float decay,
                                               LOSS_TOTAL_ARGUMENTS) {
    __local float room[GROUP_SIZE];
    if (loss_count > 0 && get_group_id(0) == 0) LOSS_TOTAL(room);
    const float clipping = coefficient ? coefficient[0] : 1.0f;
    for (int j = 0; j < VECTORS; j++) {
        const int start = ITEM_BASE + j * LANE_STRIDE;
        if (start + VECTOR_WIDTH <= COUNT) {
            const int i = start;
            UPDATE(vec, vec_load, vec_store)
        } else {
            for (int i = start; i < COUNT; i++) UPDATE(float, LOAD_ONE, STORE_ONE)
        }
    }
}

/* Sums of squares, one per work-group. */
__kernel GROUP_ATTRIBUTE void optimizer_norm_parts(GRADIENTS, __global float *restrict sums) {
    __local float room[GROUP_SIZE];
    vec sum = (vec)(0.0f);
    float rest = 0.0f;
    for (int j = 0; j < VECTORS; j++) {
        const int start = ITEM_BASE + j * LANE_STRIDE;
        if (start + VECTOR_WIDTH <= COUNT) {
            const vec g = GRADIENT(vec_load, start);
            sum += g * g;
        } else {
            for (int i = start; i < COUNT; i++) {
                const float g = GRADIENT(LOAD_ONE, i);
                rest += g * g;
            }
        }
    }
    const float total = group_sum(vec_sum(sum) + rest, room);
    if (get_local_id(0) == 0) sums[get_group_id(0)] = total;
}

/* One work-group: the factor min(1, limit / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_. A
 * NaN stays one. */
__kernel GROUP_ATTRIBUTE void optimizer_norm_finish(__global const float *restrict sums,
                                                    __global float *restrict coefficient,
                                                    float limit) {
    __local float room[GROUP_SIZE];
    float sum = 0.0f;
    for (int i = get_local_id(0); i < PARTS; i += GROUP_SIZE) sum += sums[i];
    const float factor = limit / (sqrt(group_sum(sum, room)) + 1e-6f);
    if (get_local_id(0) == 0) coefficient[0] = factor > 1.0f ? 1.0f : factor;
}
