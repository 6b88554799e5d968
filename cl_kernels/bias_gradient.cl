/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's bias, where the kernel for the weights does not take it along:
 * sums of splits of the pixels (bias_sum.cl), which go to `partial` from float `first` on. A
 * work-group per channel and split.
 *
 * Options: those of bias_sum.cl.
 *
 * Twin of engine/ops/convolution/weight_gradient.c. */
#include "bias_sum.cl"

__kernel GROUP_ATTRIBUTE void bias_gradient(__global const float *restrict dy,
                                            __global float *restrict partial, long first,
                                            int accumulate) {
    __local float room[GROUP_SIZE];
    bias_sum(dy, get_group_id(0), get_group_id(1), partial + first, accumulate, room);
}
