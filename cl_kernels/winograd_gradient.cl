/* The gradient of a convolution's weights by Winograd's minimal filtering, for kernels of at most TAPS
 * taps of each phase of the stride. Twin of engine/ops/winograd_gradient.c; sides and options as in
 * weight_gradient.cl, but that the kernel's size and the weights' strides are arguments.
 *
 * A phase's TAPS x TAPS weights are a correlation of the large side, every STRIDE-th pixel of it, with
 * the small side as the filter. Cut into tiles of OUTPUTS x OUTPUTS small pixels, and transformed, it is
 * a product for each of the PRODUCTS positions, summed over tiles and images; the output transform and
 * the sum over a vector's lanes come once, at the end.
 *
 * A work-item (one per work-group) has ITEM_LARGE x ITEM_SMALL channels, and a split of the blocks of
 * work, a block being a tile of pixels for ITEM_VECTORS vectors of the batch. Its sums lie in local
 * memory; TILE_LARGE x TILE_SMALL of them at a time are in registers for the length of a block. */
#include "winograd_transforms.cl"

#define PHASES (STRIDE * STRIDE)
#define FIRST(tile, tile_size, size) min((tile) * (tile_size), (size) - (tile_size))
#define COUNT(tile_size, size) (((size) + (tile_size) - 1) / (tile_size))
#define VECTORS (BATCH / LANE_STRIDE)
#define CHUNKS COUNT(ITEM_VECTORS, VECTORS)
#define ROWS COUNT(OUTPUTS, SMALL_HEIGHT)
#define COLUMNS COUNT(OUTPUTS, SMALL_WIDTH)
#define BLOCKS (ROWS * COLUMNS * CHUNKS)

/* to[product][phase][channel][vector] of the large side. */
PART void load_large(const __global float *large, int tile_y, int tile_x, int vectors,
                       ROOM vec *to) {
    const int top = tile_y * OUTPUTS * STRIDE - PADDING, left = tile_x * OUTPUTS * STRIDE - PADDING;
    const bool inside = ROWS > 2 && COLUMNS > 2 && top >= 0 && left >= 0 && top + POINTS * STRIDE <= LARGE_HEIGHT &&
                        left + POINTS * STRIDE <= LARGE_WIDTH;
    for (int l = 0; l < ITEM_LARGE; l++)
        for (int v = 0; v < vectors; v++) {
            const __global float *plane =
                large + (size_t)l * LARGE_HEIGHT * LARGE_WIDTH * BATCH + v * LANE_STRIDE;
            for (int phase = 0; phase < PHASES; phase++) {
                vec d[PRODUCTS];
                load_window(plane, top + phase / STRIDE, left + phase % STRIDE, STRIDE, LARGE_HEIGHT,
                            LARGE_WIDTH, inside, d);
                transform_input_2d(d);
                UNROLL for (int i = 0; i < PRODUCTS; i++)
                    to[((i * PHASES + phase) * ITEM_LARGE + l) * ITEM_VECTORS + v] = d[i];
            }
        }
}

/* to[product][channel][vector] of the small side. */
PART void load_small(const __global float *small, int tile_y, int tile_x, int vectors,
                       ROOM vec *to) {
    for (int s = 0; s < ITEM_SMALL; s++)
        for (int v = 0; v < vectors; v++) {
            const __global float *plane =
                small + (size_t)s * SMALL_HEIGHT * SMALL_WIDTH * BATCH + v * LANE_STRIDE;
            vec d[PRODUCTS];
            UNROLL for (int i = 0; i < OUTPUTS * OUTPUTS; i++) {
                const int y = tile_y * OUTPUTS + i / OUTPUTS, x = tile_x * OUTPUTS + i % OUTPUTS;
                const int at = i / OUTPUTS * POINTS + i % OUTPUTS;
                if ((SMALL_HEIGHT % OUTPUTS == 0 || y < SMALL_HEIGHT) &&
                    (SMALL_WIDTH % OUTPUTS == 0 || x < SMALL_WIDTH))
                    d[at] = vec_load(plane + ((size_t)y * SMALL_WIDTH + x) * BATCH);
                else
                    d[at] = (vec)(0.0f);
            }
            transform_filter_2d(d, OUTPUTS);
            UNROLL for (int i = 0; i < PRODUCTS; i++)
                to[(i * ITEM_SMALL + s) * ITEM_VECTORS + v] = d[i];
        }
}

#define FOR_LARGE UNROLL for (int j = 0; j < TILE_LARGE; j++)
#define FOR_SMALL UNROLL for (int i = 0; i < TILE_SMALL; i++)

/* sums[product][phase][large][small] grow by a block's products. What a product reads and writes stays
 * in a first cache, so the sums should be few beside the vectors that are added to them. */
PART void multiply(const ROOM vec *large, const ROOM vec *small, int vectors,
                     ROOM vec *sums) {
    for (int product = 0; product < PRODUCTS; product++)
        for (int row = 0; row < PHASES * ITEM_LARGE; row += TILE_LARGE) {
            const ROOM vec *a = large + (product * PHASES * ITEM_LARGE + row) * ITEM_VECTORS;
            for (int s = 0; s < ITEM_SMALL; s += TILE_SMALL) {
                const ROOM vec *b = small + (product * ITEM_SMALL + s) * ITEM_VECTORS;
                ROOM vec *to = sums + (product * PHASES * ITEM_LARGE + row) * ITEM_SMALL + s;
                vec sum[TILE_LARGE][TILE_SMALL];
                FOR_LARGE FOR_SMALL sum[j][i] = to[j * ITEM_SMALL + i];
                for (int v = 0; v < vectors; v++) {
                    vec x[TILE_LARGE];
                    FOR_LARGE x[j] = a[j * ITEM_VECTORS + v];
                    FOR_SMALL {
                        const vec d = b[i * ITEM_VECTORS + v];
                        FOR_LARGE sum[j][i] = fma(x[j], d, sum[j][i]);
                    }
                }
                FOR_LARGE FOR_SMALL to[j * ITEM_SMALL + i] = sum[j][i];
            }
        }
}

/* Writes the weights between large channel l and small channel s. */
PART void write_weights(const ROOM vec *sums, __global float *to, int kernel_size,
                          int tap_stride, int accumulate) {
    for (int phase = 0; phase < PHASES; phase++) {
        vec m[PRODUCTS];
        UNROLL for (int i = 0; i < PRODUCTS; i++)
            m[i] = sums[(i * PHASES + phase) * ITEM_LARGE * ITEM_SMALL] *
                   (point_scales[i / POINTS] * point_scales[i % POINTS]);
        transform_output_2d(m, TAPS);
        UNROLL for (int i = 0; i < TAPS * TAPS; i++) {
            const int ky = phase / STRIDE + i / TAPS * STRIDE;
            const int kx = phase % STRIDE + i % TAPS * STRIDE;
            if (ky >= kernel_size || kx >= kernel_size) continue;
            __global float *at = to + (size_t)(ky * kernel_size + kx) * tap_stride;
            const float total = vec_sum(m[i / TAPS * POINTS + i % TAPS]);
            *at = accumulate ? *at + total : total;
        }
    }
}

/* partial is [SPLITS][weights in their own order]; with one split it is the gradient itself, and
 * `accumulate` adds to it. */
__kernel GROUP_ATTRIBUTE void winograd_gradient(const __global float *restrict large,
                                                const __global float *restrict small,
                                                __global float *restrict partial, int accumulate,
                                                int kernel_size, int large_stride, int tap_stride,
                                                int small_stride) {
    ROOM vec large_block[PHASES * PRODUCTS * ITEM_LARGE * ITEM_VECTORS];
    ROOM vec small_block[PRODUCTS * ITEM_SMALL * ITEM_VECTORS];
    ROOM vec sums[PHASES * PRODUCTS * ITEM_LARGE * ITEM_SMALL];
    size_t group = get_group_id(0);
    const int small_tile = group % COUNT(ITEM_SMALL, SMALL_CHANNELS);
    group /= COUNT(ITEM_SMALL, SMALL_CHANNELS);
    const int large_tile = group % COUNT(ITEM_LARGE, LARGE_CHANNELS);
    const int split = group / COUNT(ITEM_LARGE, LARGE_CHANNELS);
    const int s0 = FIRST(small_tile, ITEM_SMALL, SMALL_CHANNELS);
    const int l0 = FIRST(large_tile, ITEM_LARGE, LARGE_CHANNELS);
    large += (size_t)l0 * LARGE_HEIGHT * LARGE_WIDTH * BATCH;
    small += (size_t)s0 * SMALL_HEIGHT * SMALL_WIDTH * BATCH;

    for (int i = 0; i < PHASES * PRODUCTS * ITEM_LARGE * ITEM_SMALL; i++) sums[i] = (vec)(0.0f);
    const int last = (int)((long)(split + 1) * BLOCKS / SPLITS);
    for (int block = (int)((long)split * BLOCKS / SPLITS); block < last; block++) {
        const int first = block % CHUNKS * ITEM_VECTORS, vectors = min(ITEM_VECTORS, VECTORS - first);
        const int tile_x = block / CHUNKS % COLUMNS, tile_y = block / CHUNKS / COLUMNS;
        load_large(large + first * LANE_STRIDE, tile_y, tile_x, vectors, large_block);
        load_small(small + first * LANE_STRIDE, tile_y, tile_x, vectors, small_block);
        multiply(large_block, small_block, vectors, sums);
    }
    partial += (size_t)split * LARGE_CHANNELS * SMALL_CHANNELS * kernel_size * kernel_size;
    for (int l = 0; l < ITEM_LARGE; l++)
        for (int s = 0; s < ITEM_SMALL; s++)
            if (l0 + l >= large_tile * ITEM_LARGE && s0 + s >= small_tile * ITEM_SMALL)
                write_weights(sums + l * ITEM_SMALL + s,
                              partial + (size_t)(l0 + l) * large_stride +
                                  (size_t)(s0 + s) * small_stride,
                              kernel_size, tap_stride, accumulate);
}
