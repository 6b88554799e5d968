/* SPDX-License-Identifier: MIT */
/* The Gaussian error linear unit, on any tensor of floats:
 *
 *     gelu_forward     y = x P(x),  P(x) = (1 + erf(x / sqrt 2)) / 2
 *     gelu_backward    dx = dy (P(x) + x p(x)), times the derivative of the activation that
 *                      produced x;  p(x) = exp(-x^2 / 2) / sqrt(2 pi)
 *
 * Values are cut as in activation.cl:
 *
 *     group 0                       group 1
 *     | item 0 | item 1 | item 0 | item 1 | item 0 | ...     GROUP_SIZE 2, VECTORS 2
 *
 * Options
 *     COUNT      floats of the tensor, those of padded lanes included (1572864)
 *     VECTORS    vectors of an item (512 on CPUs, 4 on GPUs)
 *     INPUT_ACTIVATION, INPUT_SLOPE   see common.cl
 *
 * Twin of engine/ops/activation.c. */

#define ITEM_BASE LANE_BASE(get_group_id(0), VECTORS)

/* The share of a standard normal distribution below x. */
INLINE vec below(const vec x) {
    return 0.5f + 0.5f * erf(x * 0.70710678118654752f);
}

__kernel GROUP_ATTRIBUTE void gelu_forward(__global const float *restrict x,
                                           __global float *restrict y) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i >= COUNT) continue;
        const vec value = vec_load(x + i);
        vec_store(value * below(value), y + i);
    }
}

__kernel GROUP_ATTRIBUTE void gelu_backward(__global const float *restrict x,
                                            __global const float *restrict dy,
                                            __global float *restrict dx) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i >= COUNT) continue;
        const vec value = vec_load(x + i);
        const vec density = 0.39894228040143268f * exp(-0.5f * value * value);
        const vec d = vec_load(dy + i) * (below(value) + value * density);
        vec_store(input_activation_backward(d, value), dx + i);
    }
}
