/* SPDX-License-Identifier: MIT */
/* Activation layers that no layer before them can compute, on any tensor of floats:
 *
 *     activation_forward     y = a(x)
 *     activation_backward    dx = dy times the derivative of the activation that produced x
 *
 * Index order does not matter. A work-group has a run of values, of which its items take vectors
 * alternately:
 *
 *     group 0                       group 1
 *     | item 0 | item 1 | item 0 | item 1 | item 0 | ...     GROUP_SIZE 2, VECTORS 2
 *
 * Options
 *     COUNT      floats of the tensor, those of padded lanes included (1572864)
 *     VECTORS    vectors of an item (512 on CPUs, 4 on GPUs)
 *     ACTIVATION, SLOPE, INPUT_ACTIVATION, INPUT_SLOPE   see common.cl
 *
 * Twin of engine/ops/activation.c. */

#define ITEM_BASE LANE_BASE(get_group_id(0), VECTORS)

__kernel GROUP_ATTRIBUTE void activation_forward(__global const float *restrict x,
                                                 __global float *restrict y) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT) vec_store(activate(vec_load(x + i)), y + i);
    }
}

__kernel GROUP_ATTRIBUTE void activation_backward(__global const float *restrict x,
                                                  __global const float *restrict dy,
                                                  __global float *restrict dx) {
    const int first = ITEM_BASE;
    for (int j = 0; j < VECTORS; j++) {
        const int i = first + j * LANE_STRIDE;
        if (i < COUNT)
            vec_store(input_activation_backward(vec_load(dy + i), vec_load(x + i)), dx + i);
    }
}
