/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's weights by Winograd's minimal filtering (winograd_transforms.cl),
 * for square kernels of at most TAPS taps of each phase of the stride along a side. Sides are as in
 * weight_gradient.cl; the kernel's size and the weights' strides are arguments.
 *
 * A phase's TAPS x TAPS weights are a correlation of the large side, every STRIDE-th pixel of it,
 * with the small side as the filter. Cut into tiles of OUTPUTS x OUTPUTS small pixels, and
 * transformed, it is a matrix product for each of the PRODUCTS positions, summed over tiles and
 * images; the output transform comes once, at the end:
 *
 *                              IMAGES                  ITEM_SMALL small channels
 *     PHASES x ITEM_LARGE    +---------+             +------------+
 *     rows: (phase, large    |  large  |  x  IMAGES  |   small    |   added to sums[row][small]
 *     channel)               +---------+             +------------+
 *
 * Vectors are of small channels there, so the small side's, which are of images, are transposed. A
 * work-item (one per work-group) has a split of the blocks of work, a block being a tile of pixels
 * for ITEM_VECTORS vectors of the batch. Its sums stay in a cache; TILE_LARGE rows by TILE_SMALL
 * vectors of them at a time are in registers for the length of a block.
 *
 * Options
 *     LARGE_*, SMALL_*, STRIDE, PADDING   the problem
 *     BATCH, OCCUPIED           lanes of the batch in memory, and those that images may lie in
 *     TAPS, OUTPUTS             as in winograd.cl (2, 4)
 *     TILE_LARGE, TILE_SMALL    rows, and vectors of small channels, that registers sum (4, 3)
 *     ITEM_LARGE, ITEM_SMALL    channels of an item (16, 48)
 *     ITEM_VECTORS              vectors of the batch of a block (2)
 *     SPLITS                    parts that the blocks are summed in (1 to 16)
 *     BIAS                      the bias's gradient, a sum of one side, is taken on the way: 1 of
 *                               the small one, 2 of the large one; 0: it is not wanted
 *
 * Twin of engine/ops/convolution/weight_gradient_winograd.c. */
#include "window.cl"
#include "winograd_transforms.cl"

#define PHASES (STRIDE * STRIDE)
#define BATCH_VECTORS (OCCUPIED / LANE_STRIDE)
#define CHUNKS CEIL_DIV(BATCH_VECTORS, ITEM_VECTORS)
#define TILES_Y CEIL_DIV(SMALL_HEIGHT, OUTPUTS)
#define TILES_X CEIL_DIV(SMALL_WIDTH, OUTPUTS)
#define BLOCKS (TILES_Y * TILES_X * CHUNKS)
#define IMAGES (ITEM_VECTORS * VECTOR_WIDTH) /* of a block */
#define LARGE_ROWS (PHASES * ITEM_LARGE)
#define SMALL_VECTORS CEIL_DIV(ITEM_SMALL, VECTOR_WIDTH)
#define BIAS_CHANNELS (BIAS == 1 ? ITEM_SMALL : ITEM_LARGE)

/* The distance from a product to the next in either block, in floats. */
#define LARGE_STEP ODD_LINES((LARGE_ROWS * IMAGES))
#define SMALL_STEP ODD_LINES((IMAGES * SMALL_VECTORS * VECTOR_WIDTH))

/* Columns become rows, in place. */
#if VECTOR_WIDTH == 1
#define transpose(v) (void)0
#else
#if VECTOR_WIDTH == 4
#define LOW(a, b) (vec)(a.s0, b.s0, a.s1, b.s1)
#define HIGH(a, b) (vec)(a.s2, b.s2, a.s3, b.s3)
#define LOW_PAIRS(a, b) (vec)(a.s01, b.s01)
#define HIGH_PAIRS(a, b) (vec)(a.s23, b.s23)
#elif VECTOR_WIDTH == 8
#define LOW(a, b) (vec)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5)
#define HIGH(a, b) (vec)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7)
#define LOW_PAIRS(a, b) (vec)(a.s01, b.s01, a.s45, b.s45)
#define HIGH_PAIRS(a, b) (vec)(a.s23, b.s23, a.s67, b.s67)
#else
#define LOW(a, b)                                                                                  \
    (vec)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5, a.s8, b.s8, a.s9, b.s9, a.sc, b.sc,      \
          a.sd, b.sd)
#define HIGH(a, b)                                                                                 \
    (vec)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7, a.sa, b.sa, a.sb, b.sb, a.se, b.se,      \
          a.sf, b.sf)
#define LOW_PAIRS(a, b) (vec)(a.s01, b.s01, a.s45, b.s45, a.s89, b.s89, a.scd, b.scd)
#define HIGH_PAIRS(a, b) (vec)(a.s23, b.s23, a.s67, b.s67, a.sab, b.sab, a.sef, b.sef)
#endif

/* Within each 4 lanes of 4 vectors. */
INLINE void transpose_quads(vec *v) {
    const vec ab = LOW(v[0], v[1]), ba = HIGH(v[0], v[1]), cd = LOW(v[2], v[3]),
              dc = HIGH(v[2], v[3]);
    v[0] = LOW_PAIRS(ab, cd);
    v[1] = HIGH_PAIRS(ab, cd);
    v[2] = LOW_PAIRS(ba, dc);
    v[3] = HIGH_PAIRS(ba, dc);
}

INLINE void transpose(vec *v) {
    UNROLL_FOR (int i = 0; i < VECTOR_WIDTH / 4; i++) transpose_quads(v + 4 * i);
#if VECTOR_WIDTH == 8
    UNROLL_FOR (int i = 0; i < 4; i++) {
        const vec a = v[i], b = v[i + 4];
        v[i] = (vec)(a.lo, b.lo);
        v[i + 4] = (vec)(a.hi, b.hi);
    }
#elif VECTOR_WIDTH == 16
    UNROLL_FOR (int i = 0; i < 4; i++) {
        const vec a = v[i], b = v[i + 4], c = v[i + 8], d = v[i + 12];
        v[i] = (vec)(a.lo.lo, b.lo.lo, c.lo.lo, d.lo.lo);
        v[i + 4] = (vec)(a.lo.hi, b.lo.hi, c.lo.hi, d.lo.hi);
        v[i + 8] = (vec)(a.hi.lo, b.hi.lo, c.hi.lo, d.hi.lo);
        v[i + 12] = (vec)(a.hi.hi, b.hi.hi, c.hi.hi, d.hi.hi);
    }
#endif
}
#endif

/* Which pixels of a window are added up depends on its phase. Only then is the loop over phases
 * unrolled, as that takes long to compile. */
#if BIAS == 2
#define FOR_PHASES UNROLL_FOR (int phase = 0; phase < PHASES; phase++)
#define LEAST_PHASE(phase) (phase)
#define MOST_PHASE(phase) (phase)
#else
#define FOR_PHASES for (int phase = 0; phase < PHASES; phase++)
#define LEAST_PHASE(phase) 0
#define MOST_PHASE(phase) (STRIDE - 1)
#endif

/* The first pixel of one side of a tile's window of a phase. */
/* clang-format off */
#define PIXEL_FIRST(tile, phase) ((tile) * OUTPUTS * STRIDE + (phase) - PADDING)
/* clang-format on */

/* Transforms a window of one phase (y, x) of a plane. Returns the sum of the OUTPUTS x OUTPUTS
 * pixels that belong to no other window: the first ones, except in a phase that begins beyond the
 * border. */
INLINE vec put_window(__global const float *plane, int tile_y, int tile_x, int y, int x,
                      ROOM float *to) {
    vec d[PRODUCTS], total = (vec)(0.0f);
    load_window(plane, LARGE_HEIGHT, LARGE_WIDTH, PIXEL_FIRST(tile_y, y),
                PIXEL_FIRST(0, LEAST_PHASE(y)), PIXEL_FIRST(TILES_Y - 1, MOST_PHASE(y)),
                PIXEL_FIRST(tile_x, x), PIXEL_FIRST(0, LEAST_PHASE(x)),
                PIXEL_FIRST(TILES_X - 1, MOST_PHASE(x)), POINTS, STRIDE, d);
    if (BIAS == 2)
        UNROLL_FOR (int i = 0; i < OUTPUTS * OUTPUTS; i++)
            total += d[(i / OUTPUTS + (y < PADDING)) * POINTS + i % OUTPUTS + (x < PADDING)];
    transform_input_2d(d);
    UNROLL_FOR (int i = 0; i < PRODUCTS; i++) vec_store(d[i], to + i * LARGE_STEP);
    return total;
}

/* Fills to[product][phase][channel][image] from the large side, and adds its pixels to sums. */
PART void load_large(__global const float *large, int tile_y, int tile_x, int vectors,
                     ROOM float *to, ROOM vec *sums) {
    for (int c = 0; c < ITEM_LARGE; c++)
        for (int v = 0; v < vectors; v++) {
            __global const float *plane =
                large + (size_t)c * LARGE_HEIGHT * LARGE_WIDTH * BATCH + v * LANE_STRIDE;
            ROOM float *put = to + c * IMAGES + v * VECTOR_WIDTH;
            FOR_PHASES {
                const vec total = put_window(plane, tile_y, tile_x, phase / STRIDE, phase % STRIDE,
                                             put + phase * ITEM_LARGE * IMAGES);
                if (BIAS == 2) sums[c] += total;
            }
        }
}

/* Reads a pixel of the small side, of the VECTOR_WIDTH channels from `first` on that exist, an
 * image per vector, with zeros beyond the border; sums[channel] grow by it. */
INLINE void load_pixel(__global const float *small, int y, int x, int first, vec *t,
                       ROOM vec *sums) {
    __global const float *pixel =
        small + (((size_t)first * SMALL_HEIGHT + y) * SMALL_WIDTH + x) * BATCH;
    const bool there = (SMALL_HEIGHT % OUTPUTS == 0 || y < SMALL_HEIGHT) &&
                       (SMALL_WIDTH % OUTPUTS == 0 || x < SMALL_WIDTH);
    UNROLL_FOR (int c = 0; c < VECTOR_WIDTH; c++) {
        t[c] = (vec)(0.0f);
        if (there && (ITEM_SMALL % VECTOR_WIDTH == 0 || first + c < ITEM_SMALL)) {
            t[c] = vec_load(pixel + (size_t)c * SMALL_HEIGHT * SMALL_WIDTH * BATCH);
            if (BIAS == 1) sums[first + c] += t[c];
        }
    }
    transpose(t);
}

/* Fills to[product][image][vector of channels] from the small side; sums[channel] grow by its
 * pixels. */
PART void load_small(__global const float *small, int tile_y, int tile_x, int vectors, ROOM vec *to,
                     ROOM vec *sums) {
    for (int s = 0; s < SMALL_VECTORS; s++)
        for (int v = 0; v < vectors; v++) {
            vec pixels[OUTPUTS * OUTPUTS * VECTOR_WIDTH];
            for (int i = 0; i < OUTPUTS * OUTPUTS; i++)
                load_pixel(small + v * LANE_STRIDE, tile_y * OUTPUTS + i / OUTPUTS,
                           tile_x * OUTPUTS + i % OUTPUTS, s * VECTOR_WIDTH,
                           pixels + i * VECTOR_WIDTH, sums);
            for (int n = 0; n < VECTOR_WIDTH; n++) {
                ROOM vec *put = to + (v * VECTOR_WIDTH + n) * SMALL_VECTORS + s;
                vec d[PRODUCTS];
                UNROLL_FOR (int i = 0; i < OUTPUTS * OUTPUTS; i++)
                    d[i / OUTPUTS * POINTS + i % OUTPUTS] = pixels[i * VECTOR_WIDTH + n];
                transform_filter_2d(d, OUTPUTS);
                UNROLL_FOR (int i = 0; i < PRODUCTS; i++) put[i * SMALL_STEP / VECTOR_WIDTH] = d[i];
            }
        }
}

/* A block of work, with pointers to the first channel of either side. */
typedef struct block {
    int first, vectors; /* of the batch */
    int tile_y, tile_x;
} block;

INLINE block find_block(int number) {
    const int first = number % CHUNKS * ITEM_VECTORS, tile = number / CHUNKS;
    return (block){first, min(ITEM_VECTORS, BATCH_VECTORS - first), tile / TILES_X, tile % TILES_X};
}

/* Prefetches a share of what a block reads, from its first pixels on. */
INLINE void prefetch_block(__global const float *large, __global const float *small, int part,
                           const int parts) {
    prefetch_window(large, ITEM_LARGE, LARGE_HEIGHT, LARGE_WIDTH, POINTS * STRIDE, POINTS * STRIDE,
                    1, IMAGES, part, parts, false);
    prefetch_window(small, ITEM_SMALL, SMALL_HEIGHT, SMALL_WIDTH, OUTPUTS, OUTPUTS, 1, IMAGES, part,
                    parts, false);
}

#define FOR_LARGE UNROLL_FOR (int j = 0; j < TILE_LARGE; j++)
#define FOR_SMALL UNROLL_FOR (int i = 0; i < TILE_SMALL; i++)

/* Adds a block's products to sums[product][tile of rows][tile of vectors][row][vector]. What a
 * product reads stays in the first cache, and the sums are read and written in the order in which
 * they lie. Meanwhile the next block of large_side and small_side is prefetched. */
PART void multiply(ROOM const float *large, ROOM const vec *small, int images, ROOM vec *sums,
                   __global const float *large_side, __global const float *small_side,
                   const block *next) {
    __global const float *large_next = window_inside(
        large_side + next->first * LANE_STRIDE, LARGE_HEIGHT, LARGE_WIDTH,
        next->tile_y * OUTPUTS * STRIDE - PADDING, next->tile_x * OUTPUTS * STRIDE - PADDING,
        POINTS * STRIDE, POINTS * STRIDE, 1);
    __global const float *small_next =
        window_inside(small_side + next->first * LANE_STRIDE, SMALL_HEIGHT, SMALL_WIDTH,
                      next->tile_y * OUTPUTS, next->tile_x * OUTPUTS, OUTPUTS, OUTPUTS, 1);
    for (int product = 0; product < PRODUCTS; product++)
        for (int row = 0; row < LARGE_ROWS; row += TILE_LARGE) {
            ROOM const float *a = large + product * LARGE_STEP + row * IMAGES;
            prefetch_block(large_next, small_next, (product * LARGE_ROWS + row) / TILE_LARGE,
                           PRODUCTS * (LARGE_ROWS / TILE_LARGE));
            for (int s = 0; s < SMALL_VECTORS; s += TILE_SMALL) {
                ROOM const vec *b = small + product * (SMALL_STEP / VECTOR_WIDTH) + s;
                vec sum[TILE_LARGE][TILE_SMALL];
                FOR_LARGE FOR_SMALL sum[j][i] = sums[j * TILE_SMALL + i];
                UNROLL_TWICE_FOR (int n = 0; n < images; n++) {
                    vec d[TILE_SMALL];
                    FOR_SMALL d[i] = b[n * SMALL_VECTORS + i];
                    FOR_LARGE {
                        const vec x = (vec)(a[j * IMAGES + n]);
                        FOR_SMALL sum[j][i] = fma(x, d[i], sum[j][i]);
                    }
                }
                FOR_LARGE FOR_SMALL sums[j * TILE_SMALL + i] = sum[j][i];
                sums += TILE_LARGE * TILE_SMALL;
            }
        }
}

/* The place of a row and vector among the sums of a product. */
#define SUM_TILE(row, s) ((row) / TILE_LARGE * (SMALL_VECTORS / TILE_SMALL) + (s) / TILE_SMALL)
#define SUM_AT(row, s)                                                                             \
    ((SUM_TILE(row, s) * TILE_LARGE + (row) % TILE_LARGE) * TILE_SMALL + (s) % TILE_SMALL)

/* Writes the weights between large channel l and the small ones of vector s, from lane `first` of
 * it to `last`. */
PART void write_weights(ROOM const vec *sums, int l, int s, __global float *to, int kernel_size,
                        int tap_stride, int small_stride, int first, int last, int accumulate) {
    for (int phase = 0; phase < PHASES; phase++) {
        ROOM const vec *from = sums + SUM_AT(phase * ITEM_LARGE + l, s);
        vec m[PRODUCTS];
        UNROLL_FOR (int i = 0; i < PRODUCTS; i++)
            m[i] = from[i * LARGE_ROWS * SMALL_VECTORS] *
                   (point_scales[i / POINTS] * point_scales[i % POINTS]);
        transform_output_2d(m, TAPS);
        UNROLL_FOR (int i = 0; i < TAPS * TAPS; i++) {
            const int ky = phase / STRIDE + i / TAPS * STRIDE;
            const int kx = phase % STRIDE + i % TAPS * STRIDE;
            if (ky >= kernel_size || kx >= kernel_size) continue;
            __global float *at = to + (size_t)(ky * kernel_size + kx) * tap_stride;
            float lanes[VECTOR_WIDTH];
            vec_store(m[i / TAPS * POINTS + i % TAPS], lanes);
            for (int lane = first; lane < last; lane++) {
                __global float *weight = at + (size_t)lane * small_stride;
                *weight = accumulate ? *weight + lanes[lane] : lanes[lane];
            }
        }
    }
}

/* With several splits `to` is [SPLITS][weights in their own order, biases]. With one it has the
 * weights alone, biases that are wanted go to `bias`, and `accumulate` adds to either. */
__kernel GROUP_ATTRIBUTE void winograd_gradient(__global const float *restrict large,
                                                __global const float *restrict small,
                                                __global float *restrict to,
                                                __global float *restrict bias, int accumulate,
                                                int kernel_size, int large_stride, int tap_stride,
                                                int small_stride) {
    ROOM float large_block[PRODUCTS * LARGE_STEP];
    ROOM vec small_block[PRODUCTS * SMALL_STEP / VECTOR_WIDTH];
    ROOM vec sums[PRODUCTS * LARGE_ROWS * SMALL_VECTORS], bias_sums[BIAS_CHANNELS];
    size_t group = get_group_id(0);
    const int small_tile = group % CEIL_DIV(SMALL_CHANNELS, ITEM_SMALL);
    group /= CEIL_DIV(SMALL_CHANNELS, ITEM_SMALL);
    const int large_tile = group % CEIL_DIV(LARGE_CHANNELS, ITEM_LARGE);
    const int split = group / CEIL_DIV(LARGE_CHANNELS, ITEM_LARGE);
    const int s0 = FIRST_OF_TILE(small_tile, ITEM_SMALL, SMALL_CHANNELS);
    const int l0 = FIRST_OF_TILE(large_tile, ITEM_LARGE, LARGE_CHANNELS);
    large += (size_t)l0 * LARGE_HEIGHT * LARGE_WIDTH * BATCH;
    small += (size_t)s0 * SMALL_HEIGHT * SMALL_WIDTH * BATCH;

    for (int i = 0; i < PRODUCTS * LARGE_ROWS * SMALL_VECTORS; i++) sums[i] = (vec)(0.0f);
    for (int i = 0; i < BIAS_CHANNELS; i++) bias_sums[i] = (vec)(0.0f);
    const int end = (int)((long)(split + 1) * BLOCKS / SPLITS);
    for (int number = (int)((long)split * BLOCKS / SPLITS); number < end; number++) {
        const block now = find_block(number), next = find_block(min(number + 1, end - 1));
        const size_t lane = (size_t)now.first * LANE_STRIDE;
        load_large(large + lane, now.tile_y, now.tile_x, now.vectors, large_block, bias_sums);
        load_small(small + lane, now.tile_y, now.tile_x, now.vectors, small_block, bias_sums);
        multiply(large_block, small_block, now.vectors * VECTOR_WIDTH, sums, large, small, &next);
    }

    const size_t weights = (size_t)LARGE_CHANNELS * SMALL_CHANNELS * kernel_size * kernel_size;
    if (SPLITS > 1) {
        to += split * (weights + (BIAS == 2 ? LARGE_CHANNELS : BIAS == 1 ? SMALL_CHANNELS : 0));
        bias = to + weights;
    }
    /* If items overlap, the latter does not write what the former writes. */
    const int l1 = large_tile * ITEM_LARGE - l0, s1 = small_tile * ITEM_SMALL - s0;
    for (int l = l1; l < ITEM_LARGE; l++)
        for (int s = 0; s < SMALL_VECTORS; s++)
            write_weights(sums, l, s,
                          to + (size_t)(l0 + l) * large_stride +
                              (size_t)(s0 + s * VECTOR_WIDTH) * small_stride,
                          kernel_size, tap_stride, small_stride, max(0, s1 - s * VECTOR_WIDTH),
                          min(VECTOR_WIDTH, ITEM_SMALL - s * VECTOR_WIDTH), accumulate);
    if (BIAS == 1 ? large_tile > 0 : small_tile > 0) return;
    for (int i = BIAS == 1 ? s1 : l1; BIAS && i < BIAS_CHANNELS; i++) {
        __global float *at = bias + (BIAS == 1 ? s0 : l0) + i;
        *at = (accumulate ? *at : 0.0f) + vec_sum(bias_sums[i]);
    }
}
