/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's weights (formula and order of indices in weight_gradient.cl) for
 * few channels on GPUs, straight from memory, 128 bits at a time:
 *
 *     w[l][ky][kx][s] = sum over sy, sx, n of large[l][ly][lx][n] small[s][sy][sx][n]
 *
 * An item has a quad of images (quad.cl) and the sums of a tile of weights of one kernel row, each
 * over its own images:
 *
 *                  TILE_LARGE channels x TILE_TAPS taps of row ky
 *                 +-----+-----+-----+
 *     TILE_SMALL  | sum | sum | sum |      a quad of either side serves a whole row or column
 *     channels    +-----+-----+-----+
 *                 | sum | sum | sum |
 *                 +-----+-----+-----+
 *
 * A work-group has QUADS x GROUP_TILES x SLICES items: quads side by side, tiles that read the same
 * quads, of which those in a warp are read once, and slices of the terms. Terms are cells of a
 * pixel and QUADS quads, pixel by pixel and then the next quads; each slice of each split has a run
 * of them. At the end the sums of a tile are added over quads and slices, in that order.
 *
 * Options
 *     LARGE_*, SMALL_*, KERNEL_*, STRIDE_*, PADDING_*   the problem, and where weights lie
 *     BATCH, OCCUPIED          lanes of the batch in memory, and those that images may lie in
 *     TILE_SMALL, TILE_LARGE   channels of an item (6, 2)
 *     TILE_TAPS                taps of a kernel row of an item (4)
 *     QUADS, GROUP_TILES, SLICES   of a work-group (8, 12, 4)
 *     SPLITS                   parts of the sums (1 to 256): sum_splits.cl
 *     SHARED_SUMS              of each item in local memory at a time (8)
 *     WEIGHTS                  floats of the gradient
 *     BIAS_SPLITS              above 0: rows of work-groups after those of the splits, which take
 * the bias's gradient (bias_sum.cl); with BIAS_CHANNELS, BIAS_PIXELS BIAS_OF_LARGE            1: dy
 * is the large side
 *
 * Launched with work-groups (tiles, splits). Twin of
 * engine/ops/convolution/weight_gradient_quads.c. */
#include "quad.cl"

#define SLICE_ITEMS (QUADS * GROUP_TILES)
#define GROUP_ITEMS (SLICE_ITEMS * SLICES)
#if BIAS_SPLITS
#define BIAS_ITEMS GROUP_ITEMS
#include "bias_sum.cl"
#endif

#define SUMS (TILE_SMALL * TILE_LARGE * TILE_TAPS)
#define SMALL_TILES CEIL_DIV(SMALL_CHANNELS, TILE_SMALL)
#define LARGE_TILES CEIL_DIV(LARGE_CHANNELS, TILE_LARGE)
#define TAP_TILES CEIL_DIV(KERNEL_W, TILE_TAPS)
#define TILES (SMALL_TILES * TAP_TILES * KERNEL_H * LARGE_TILES)
#define PIXELS (SMALL_HEIGHT * SMALL_WIDTH)
#define CELLS (PIXELS * (OCCUPIED / (4 * QUADS)))
#define PARTS (SPLITS * SLICES)
#define SMALL_PLANE ((size_t)PIXELS * BATCH)
#define LARGE_PLANE ((size_t)LARGE_HEIGHT * LARGE_WIDTH * BATCH)

#define FOR_SMALL UNROLL_FOR (int i = 0; i < TILE_SMALL; i++)
#define FOR_LARGE UNROLL_FOR (int j = 0; j < TILE_LARGE; j++)
#define FOR_TAPS UNROLL_FOR (int k = 0; k < TILE_TAPS; k++)

/* A tile's number along each dimension, and what comes first in it. */
typedef struct piece {
    int small_tile, large_tile, tap_tile, s0, l0, kx0, ky;
} piece;

INLINE piece piece_of(int tile) {
    piece p;
    p.small_tile = tile % SMALL_TILES;
    tile /= SMALL_TILES;
    p.tap_tile = tile % TAP_TILES;
    tile /= TAP_TILES;
    p.ky = tile % KERNEL_H;
    p.large_tile = tile / KERNEL_H;
    p.s0 = FIRST_OF_TILE(p.small_tile, TILE_SMALL, SMALL_CHANNELS);
    p.l0 = FIRST_OF_TILE(p.large_tile, TILE_LARGE, LARGE_CHANNELS);
    p.kx0 = FIRST_OF_TILE(p.tap_tile, TILE_TAPS, KERNEL_W);
    return p;
}

/* Adds the terms of a pixel and quad. small and large: of the tile's first channels and tap, at
 * column lx; inside: all taps meet the large side. */
INLINE void add_pixel(__global const float *small, __global const float *large, int lx,
                      const bool inside, float sum[TILE_SMALL][TILE_LARGE][TILE_TAPS]) {
    float4 v[TILE_LARGE][TILE_TAPS];
    FOR_LARGE FOR_TAPS {
        v[j][k] = (float4)(0.0f);
        if (inside || (lx + k >= 0 && lx + k < LARGE_WIDTH))
            v[j][k] = quad_load(large + j * LARGE_PLANE + k * BATCH);
    }
    /* All on their way before the first is waited for. */
    float4 d[TILE_SMALL];
    FOR_SMALL d[i] = quad_load(small + i * SMALL_PLANE);
    FOR_SMALL {
        FOR_LARGE FOR_TAPS sum[i][j][k] = fma(d[i].x, v[j][k].x, sum[i][j][k]);
        FOR_LARGE FOR_TAPS sum[i][j][k] = fma(d[i].y, v[j][k].y, sum[i][j][k]);
        FOR_LARGE FOR_TAPS sum[i][j][k] = fma(d[i].z, v[j][k].z, sum[i][j][k]);
        FOR_LARGE FOR_TAPS sum[i][j][k] = fma(d[i].w, v[j][k].w, sum[i][j][k]);
    }
}

/* Adds the terms of columns `begin` to `end` of a row. small and large: of small column 0. */
INLINE void add_row(__global const float *small, __global const float *large, int kx0, int begin,
                    int end, float sum[TILE_SMALL][TILE_LARGE][TILE_TAPS]) {
    /* Columns whose taps are all inside, and then those at both borders. */
    const int before = max(0, CEIL_DIV(PADDING_X - kx0, STRIDE_X));
    const int last = LARGE_WIDTH - TILE_TAPS + PADDING_X - kx0;
    const int inside = clamp(before, begin, end);
    const int outside = clamp(last < 0 ? 0 : last / STRIDE_X + 1, inside, end);
    _Pragma("unroll 1") for (int sx = inside; sx < outside; sx++)
        add_pixel(small + sx * BATCH, large + sx * (STRIDE_X * BATCH), 0, true, sum);
    const int left = inside - begin;
    _Pragma("unroll 1") for (int b = 0; b < left + end - outside; b++) {
        const int sx = b < left ? begin + b : outside + b - left;
        add_pixel(small + sx * BATCH, large + sx * (STRIDE_X * BATCH),
                  sx * STRIDE_X - PADDING_X + kx0, false, sum);
    }
}

/* The sums of a tile over a part of the cells, of one quad. */
INLINE void add_cells(__global const float *small, __global const float *large, const piece p,
                      int part, int quad, float sum[TILE_SMALL][TILE_LARGE][TILE_TAPS]) {
    const int last = (int)((long)CELLS * (part + 1) / PARTS);
    for (int cell = (int)((long)CELLS * part / PARTS); cell < last;) {
        const int n = (cell / PIXELS * QUADS + quad) * 4, pixel = cell % PIXELS;
        const int sy = pixel / SMALL_WIDTH, begin = pixel % SMALL_WIDTH;
        const int end = min(SMALL_WIDTH, begin + last - cell);
        const int ly = sy * STRIDE_Y - PADDING_Y + p.ky;
        cell += end - begin;
        if (ly < 0 || ly >= LARGE_HEIGHT) continue;
        add_row(small + p.s0 * SMALL_PLANE + (size_t)sy * (SMALL_WIDTH * BATCH) + n,
                large + p.l0 * LARGE_PLANE + (size_t)ly * (LARGE_WIDTH * BATCH) + n +
                    (p.kx0 - PADDING_X) * (long)BATCH,
                p.kx0, begin, end, sum);
    }
}

/* The last tile of a dimension is moved back to fit and does not write what the tile before it
 * writes. partial is [SPLITS][weights in their own order]; with one split it is the gradient
 * itself, and `accumulate` adds to it. */
INLINE void write_weight(const piece p, int a, float total, __global float *partial,
                         int accumulate) {
    const int s = p.s0 + a / (TILE_LARGE * TILE_TAPS);
    const int l = p.l0 + a / TILE_TAPS % TILE_LARGE;
    const int kx = p.kx0 + a % TILE_TAPS;
    if (s < p.small_tile * TILE_SMALL || l < p.large_tile * TILE_LARGE ||
        kx < p.tap_tile * TILE_TAPS)
        return;
    __global float *to = partial + (size_t)l * LARGE_STRIDE + (size_t)s * SMALL_STRIDE +
                         (size_t)(p.ky * KERNEL_W + kx) * TAP_STRIDE;
    *to = accumulate ? *to + total : total;
}

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void weight_gradient_quads(
    __global const float *restrict large, __global const float *restrict small,
    __global float *restrict partial, int accumulate
#if BIAS_SPLITS
    ,
    BIAS_ARGUMENTS
#endif
) {
    __local float room[SHARED_SUMS * GROUP_ITEMS];
#if BIAS_SPLITS
    if (get_group_id(1) >= SPLITS) {
        BIAS_GROUP((int)(get_group_id(1) - SPLITS) * (int)get_num_groups(0) + (int)get_group_id(0),
                   room);
        return;
    }
#endif
    const int item = get_local_id(0), split = get_group_id(1);
    const int first_tile = get_group_id(0) * GROUP_TILES, tile = item / QUADS % GROUP_TILES;
    float sum[TILE_SMALL][TILE_LARGE][TILE_TAPS];
    FOR_SMALL FOR_LARGE FOR_TAPS sum[i][j][k] = 0.0f;
    if (first_tile + tile < TILES)
        add_cells(small, large, piece_of(first_tile + tile), split * SLICES + item / SLICE_ITEMS,
                  item % QUADS, sum);

    partial += (size_t)split * WEIGHTS;
    const int tiles = min(GROUP_TILES, TILES - first_tile);
    UNROLL_FOR (int a = 0; a < SUMS; a += SHARED_SUMS) {
        UNROLL_FOR (int b = 0; b < SHARED_SUMS; b++)
            if (a + b < SUMS)
                room[b * GROUP_ITEMS + item] =
                    sum[(a + b) / (TILE_LARGE * TILE_TAPS)][(a + b) / TILE_TAPS % TILE_LARGE]
                       [(a + b) % TILE_TAPS];
        barrier(CLK_LOCAL_MEM_FENCE);
        const int shared = min(SHARED_SUMS, SUMS - a);
        for (int i = item; i < shared * tiles; i += GROUP_ITEMS) {
            const int b = i / tiles, of = i % tiles;
            __local const float *from = room + b * GROUP_ITEMS + of * QUADS;
            float total = 0.0f;
            for (int slice = 0; slice < SLICES; slice++)
                UNROLL_FOR (int quad = 0; quad < QUADS; quad++)
                    total += from[slice * SLICE_ITEMS + quad];
            write_weight(piece_of(first_tile + of), a + b, total, partial, accumulate);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
