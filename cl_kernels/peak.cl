/* SPDX-License-Identifier: MIT */
/* What a device can do at most, to compare kernels with: peak_arithmetic runs independent chains of
 * fused multiply-adds in registers, peak_copy copies memory. Argument `vectors`: those of an item.
 *
 * Twin of engine/ops/peak.c. */

#define CHAINS 10

__kernel GROUP_ATTRIBUTE void peak_arithmetic(const int rounds, const float a, const float b,
                                              __global float *restrict out) {
    vec chain[CHAINS];
    UNROLL_FOR (int i = 0; i < CHAINS; i++) chain[i] = (vec)(0.1f * i);
    for (int r = 0; r < rounds; r++)
        UNROLL_FOR (int i = 0; i < CHAINS; i++) chain[i] = fma(chain[i], (vec)(a), (vec)(b));
    float sum = 0;
    UNROLL_FOR (int i = 0; i < CHAINS; i++) sum += vec_sum(chain[i]);
    out[get_global_id(0)] = sum;
}

__kernel GROUP_ATTRIBUTE void peak_copy(__global const float *restrict from,
                                        __global float *restrict to, const int vectors) {
    const size_t first =
        (size_t)get_group_id(0) * vectors * LANE_STRIDE + get_local_id(0) * VECTOR_WIDTH;
    for (int j = 0; j < vectors; j++) {
        const size_t lane = first + (size_t)j * LANE_STRIDE;
        vec_store(vec_load(from + lane), to + lane);
    }
}
