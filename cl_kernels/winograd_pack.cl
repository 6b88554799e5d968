/* SPDX-License-Identifier: MIT */
/* Transforms a convolution's weights for winograd.cl, which says what its phases are:
 *
 *     TAPS x TAPS weights of a phase  ->  POINTS x POINTS values, four output channels at a time
 *
 * Shapes are arguments, so that all layers share one kernel. Options: TAPS, OUTPUTS, as in
 * winograd.cl. */
#include "winograd_points.cl"

/* Four channels: tiles have few, and would not fill longer vectors. */
#define QUAD 4

/* Element `row` (constant) of G w for `count` (constant) weights that lie `stride` apart: their
 * polynomial at a point. */
INLINE float4 evaluate(const float4 *w, const int stride, const int count, const int row) {
    float4 value = w[(count - 1) * stride];
    if (row == POINTS - 1) return value;
    UNROLL_FOR (int i = count - 2; i >= 0; i--)
        value = fma(value, (float4)(point_values[row]), w[i * stride]);
    return value * point_scales[row];
}

/* The first `channels` of four floats, `stride` apart. */
INLINE float4 load_channels(__global const float *from, int channels, int stride) {
    if (channels == QUAD && stride == 1) return vload4(0, from);
    float4 v = (float4)(0.0f);
    if (channels > 0) v.s0 = from[0];
    if (channels > 1) v.s1 = from[stride];
    if (channels > 2) v.s2 = from[2 * stride];
    if (channels > 3) v.s3 = from[3 * stride];
    return v;
}

/* Stores the first `channels`; memory of the others is not touched. */
INLINE void store_channels(float4 v, int channels, __global float *to) {
    if (channels == QUAD) {
        vstore4(v, 0, to);
        return;
    }
    to[0] = v.s0;
    if (channels > 1) to[1] = v.s1;
    if (channels > 2) to[2] = v.s2;
}

/* Writes packed[set of products][block of terms][product][tile][term of the block][channel of the
 * tile]; a set is a phase (up) or the only one. A work-group per input channel and tile. If the
 * last channels of a tile are fewer than four, they are done with those before them. */
__kernel GROUP_ATTRIBUTE void winograd_pack(__global const float *restrict weights,
                                            __global float *restrict packed, int up,
                                            int kernel_size, int stride, int out_channels,
                                            int tile_channels, int in_stride, int tap_stride,
                                            int out_stride, int block_terms) {
    const int c = get_group_id(0), tile = get_group_id(1), tiles = get_num_groups(1);
    const int first = min(tile * tile_channels, out_channels - tile_channels);
    const int phases = stride * stride, terms = get_num_groups(0) * (up ? 1 : phases);
    const size_t step = (size_t)tiles * block_terms * tile_channels; /* of a product */
    const int channels = min(QUAD, tile_channels);
    for (int phase = 0; phase < phases; phase++)
        for (int at = 0; at < tile_channels; at += QUAD) {
            const int k = min(at, tile_channels - channels);
            __global const float *from =
                weights + (size_t)c * in_stride + (size_t)(first + k) * out_stride;
            float4 w[TAPS * TAPS], columns[POINTS * TAPS];
            UNROLL_FOR (int i = 0; i < TAPS * TAPS; i++) {
                const int jy = up ? TAPS - 1 - i / TAPS : i / TAPS;
                const int jx = up ? TAPS - 1 - i % TAPS : i % TAPS;
                const int ky = phase / stride + jy * stride, kx = phase % stride + jx * stride;
                const bool exists = ky < kernel_size && kx < kernel_size;
                w[i] = load_channels(from + (ky * kernel_size + kx) * (size_t)tap_stride,
                                     exists ? channels : 0, out_stride);
            }
            UNROLL_FOR (int i = 0; i < POINTS; i++)
                UNROLL_FOR (int x = 0; x < TAPS; x++)
                    columns[i * TAPS + x] = evaluate(w + x, TAPS, TAPS, i);
            const int set = up ? phase : 0, term = up ? c : c * phases + phase;
            const int block = set * (terms / block_terms) + term / block_terms;
            __global float *to = packed + block * PRODUCTS * step +
                                 ((size_t)tile * block_terms + term % block_terms) * tile_channels +
                                 k;
            UNROLL_FOR (int i = 0; i < PRODUCTS; i++)
                store_channels(evaluate(columns + i / POINTS * TAPS, 1, TAPS, i % POINTS), channels,
                               to + i * step);
        }
}
