/* SPDX-License-Identifier: MIT */
/* Where branches of a network meet, outputs are added, and gradients on the way back:
 *
 *     residual_forward         y = activation(a + b)
 *     residual_gradient_sum    sum = base + gradient times the derivative of x's activation
 *
 * Any tensors of floats; work is cut as in activation.cl.
 *
 * Options
 *     COUNT      floats of a tensor, those of padded lanes included (1572864)
 *     VECTORS    vectors of an item (512 on CPUs, 4 on GPUs)
 *     ACTIVATION, SLOPE, INPUT_ACTIVATION, INPUT_SLOPE   see common.cl
 *
 * Twin of engine/ops/residual.c. */

#define ITEM_BASE LANE_BASE(get_group_id(0), VECTORS)

/* y = activation(a + b) */
__kernel GROUP_ATTRIBUTE void residual_forward(__global const float *restrict a,
                                               __global const float *restrict b,
                                               __global float *restrict y) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT) vec_store(activate(vec_load(a + i) + vec_load(b + i)), y + i);
    }
}

/* sum = base + gradient times the derivative of the activation that produced x. sum may be base,
 * which may be NULL for zero. */
__kernel GROUP_ATTRIBUTE void residual_gradient_sum(__global const float *base,
                                                    __global const float *restrict x,
                                                    __global const float *restrict gradient,
                                                    __global float *sum) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i >= COUNT) continue;
        const vec more = input_activation_backward(vec_load(gradient + i), vec_load(x + i));
        vec_store(base ? vec_load(base + i) + more : more, sum + i);
    }
}
