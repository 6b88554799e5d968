/* Transforms a convolution's weights for winograd.cl, which says what its phases are. Shapes are
 * arguments, so that all layers share one kernel. */
#include "winograd_points.cl"

/* Element `row` (constant) of G w for `count` (constant) weights that lie `stride` apart: their polynomial
 * at a point. */
INLINE vec evaluate(const vec *w, const int stride, const int count, const int row) {
    vec value = w[(count - 1) * stride];
    if (row == POINTS - 1) return value;
    UNROLL for (int i = count - 2; i >= 0; i--)
        value = fma(value, (vec)(point_values[row]), w[i * stride]);
    return value * point_scales[row];
}

/* A few floats, `stride` apart, as the first lanes of a vector. */
INLINE vec load_lanes(const __global float *from, int lanes, int stride) {
    float values[VECTOR_WIDTH];
    UNROLL for (int l = 0; l < VECTOR_WIDTH; l++) values[l] = l < lanes ? from[l * stride] : 0.0f;
    return vec_load(values);
}

/* The others' place is not to be touched. */
INLINE void store_lanes(vec v, int lanes, __global float *to) {
    float values[VECTOR_WIDTH];
    vec_store(v, values);
    UNROLL for (int l = 0; l < VECTOR_WIDTH; l += 2) {
        if (l + 2 <= lanes)
            vstore2(vload2(0, values + l), 0, to + l);
        else if (l < lanes)
            to[l] = values[l];
    }
}

/* Puts weights in packed[set of products][product][tile][term][channel of the tile], a set being a
 * phase (up) or the only one. A work-group per input channel and tile, whose items take vectors of
 * channels: those of a product lie far from the next one's, which a cache would not hold for long. */
__kernel GROUP_ATTRIBUTE void winograd_pack(const __global float *restrict weights,
                                            __global float *restrict packed, int up, int kernel_size,
                                            int stride, int out_channels, int tile_channels,
                                            int in_stride, int tap_stride, int out_stride) {
    const int c = get_group_id(0), tile = get_group_id(1), tiles = get_num_groups(1);
    const int first = min(tile * tile_channels, out_channels - tile_channels);
    const int phases = stride * stride, terms = get_num_groups(0) * (up ? 1 : phases);
    const size_t step = (size_t)tiles * terms * tile_channels; /* of a product */
    for (int phase = 0; phase < phases; phase++)
        for (int k = LANE_BASE(0, 0); k < tile_channels; k += LANE_STRIDE) {
            const int lanes = min(VECTOR_WIDTH, tile_channels - k);
            const __global float *from =
                weights + (size_t)c * in_stride + (size_t)(first + k) * out_stride;
            vec w[TAPS * TAPS], columns[POINTS * TAPS];
            UNROLL for (int i = 0; i < TAPS * TAPS; i++) {
                const int jy = up ? TAPS - 1 - i / TAPS : i / TAPS;
                const int jx = up ? TAPS - 1 - i % TAPS : i % TAPS;
                const int ky = phase / stride + jy * stride, kx = phase % stride + jx * stride;
                const bool exists = ky < kernel_size && kx < kernel_size;
                w[i] = load_lanes(from + (ky * kernel_size + kx) * (size_t)tap_stride,
                                  exists ? lanes : 0, out_stride);
            }
            UNROLL for (int i = 0; i < POINTS; i++)
                UNROLL for (int x = 0; x < TAPS; x++)
                    columns[i * TAPS + x] = evaluate(w + x, TAPS, TAPS, i);
            const int set = up ? phase : 0, term = up ? c : c * phases + phase;
            __global float *to = packed + set * PRODUCTS * step +
                                 ((size_t)tile * terms + term) * tile_channels + k;
            UNROLL for (int i = 0; i < PRODUCTS; i++)
                store_lanes(evaluate(columns + i / POINTS * TAPS, 1, TAPS, i % POINTS), lanes,
                            to + i * step);
        }
}
