/* Transforms a convolution's weights for winograd.cl, which says what its phases are. Shapes are
 * arguments, so that all layers share one kernel. */
#include "winograd_points.cl"

/* Element `row` (constant) of G w for `count` (constant) weights that lie `stride` apart: their polynomial
 * at a point. */
INLINE float evaluate(const float *w, const int stride, const int count, const int row) {
    float value = w[(count - 1) * stride];
    if (row == POINTS - 1) return value;
    UNROLL for (int i = count - 2; i >= 0; i--)
        value = fma(value, point_values[row], w[i * stride]);
    return value * point_scales[row];
}

/* Puts weights in packed[set of products][product][tile][term][channel of the tile], a set being a
 * phase (up) or the only one. A work-group per input channel and tile, whose items take channels. */
__kernel GROUP_ATTRIBUTE void winograd_pack(const __global float *restrict weights,
                                            __global float *restrict packed, int up, int kernel_size,
                                            int stride, int out_channels, int tile_channels,
                                            int in_stride, int tap_stride, int out_stride) {
    const int c = get_group_id(0), tile = get_group_id(1), tiles = get_num_groups(1);
    const int first = min(tile * tile_channels, out_channels - tile_channels);
    const int phases = stride * stride, terms = get_num_groups(0) * (up ? 1 : phases);
    const size_t step = (size_t)tiles * terms * tile_channels; /* of a product */
    for (int phase = 0; phase < phases; phase++)
        for (int k = get_local_id(0); k < tile_channels; k += GROUP_SIZE) {
            const __global float *from =
                weights + (size_t)c * in_stride + (size_t)(first + k) * out_stride;
            float w[TAPS * TAPS], columns[POINTS * TAPS];
            UNROLL for (int i = 0; i < TAPS * TAPS; i++) {
                const int jy = up ? TAPS - 1 - i / TAPS : i / TAPS;
                const int jx = up ? TAPS - 1 - i % TAPS : i % TAPS;
                const int ky = phase / stride + jy * stride, kx = phase % stride + jx * stride;
                w[i] = ky < kernel_size && kx < kernel_size
                           ? from[(ky * kernel_size + kx) * (size_t)tap_stride]
                           : 0.0f;
            }
            UNROLL for (int i = 0; i < POINTS; i++)
                UNROLL for (int x = 0; x < TAPS; x++)
                    columns[i * TAPS + x] = evaluate(w + x, TAPS, TAPS, i);
            const int set = up ? phase : 0, term = up ? c : c * phases + phase;
            __global float *to = packed + set * PRODUCTS * step +
                                 ((size_t)tile * terms + term) * tile_channels + k;
            UNROLL for (int i = 0; i < PRODUCTS; i++)
                to[i * step] = evaluate(columns + i / POINTS * TAPS, 1, TAPS, i % POINTS);
        }
}
