/* SPDX-License-Identifier: MIT */
/* Adds up what kernels of gradients computed in splits, always in the same order:
 *
 *     gradient[i] (+)= sum over split of partial[first + split * (count + bias_count) + i]
 *
 * where each split has `count` weights and then bias_count biases, which go to `bias`. One item per
 * element; no options.
 *
 * Twin of engine/ops/convolution/weight_gradient.c. */
__kernel void sum_splits(__global const float *restrict partial, long first, int splits, long count,
                         long bias_count, int accumulate, __global float *restrict gradient,
                         __global float *restrict bias) {
    const size_t i = get_global_id(0), all = (size_t)count + (size_t)bias_count;
    if (i >= all) return;
    __global float *to = i < (size_t)count ? gradient + i : bias + (i - (size_t)count);
    float total = accumulate ? *to : 0.0f;
    for (int split = 0; split < splits; split++) total += partial[first + (size_t)split * all + i];
    *to = total;
}
