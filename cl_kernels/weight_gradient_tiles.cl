/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's weights (formula and order of indices in weight_gradient.cl) as a
 * matrix product, for GPUs:
 *
 *     w[row][s] = sum over terms of large[row][term] small[s][term]
 *
 * Rows are pairs of a large channel and a tap, so that any channels and taps fill tiles. Where
 * tiles divide the channels, each is of one tap, and leaves out the pixels where that is beyond the
 * border. Terms are pairs of a pixel of the small side and an image, images
 * innermost: both factors have them side by side. A work-group computes GROUP_ROWS x GROUP_COLUMNS
 * weights of a split of the terms. SLAB images of a pixel at a time it copies both factors to
 * local memory, of which there are two: while one is multiplied, the next is on its way.
 *
 *             SLAB images                          an item's sums: TILE_ROWS x TILE_COLUMNS,
 *            +-----------+                         rows ROW_ITEMS apart, columns COLUMN_ITEMS;
 *     row    | o o o o   |   o: a quad, one read   PITCH puts neighbours into other banks
 *     row    |           |
 *            +-----------+   SLICES of items have quads of their own, and are added at the end:
 *              0 1 0 1       more items where there are few weights
 *
 * Options
 *     LARGE_*, SMALL_*, KERNEL_*, STRIDE_*, PADDING_*   the problem, and where weights lie
 *     BATCH, OCCUPIED    lanes of the batch in memory, and those that images may lie in (128, 128)
 *     GROUP_ROWS, GROUP_COLUMNS   of a work-group (128, 128)
 *     SLAB               images copied at a time (16)
 *     TILE_ROWS, TILE_COLUMNS     of an item (8, 8)
 *     SLICES             of items (1 to 4)
 *     SPLITS             parts that the slabs are summed in (1 to 256): sum_splits.cl
 *     WEIGHTS            floats of the gradient
 *     BIAS_SPLITS        above 0: rows of work-groups after those of the splits, which take the
 *                        bias's gradient (bias_sum.cl); with BIAS_CHANNELS, BIAS_PIXELS and
 *                        BIAS_OF_LARGE (1: dy is the large side)
 *
 * Launched with GROUP_ITEMS items a work-group: tiles x splits. Twin of
 * engine/ops/convolution/weight_gradient_tiles.c. */
#define ROW_ITEMS (GROUP_ROWS / TILE_ROWS)
#define COLUMN_ITEMS (GROUP_COLUMNS / TILE_COLUMNS)
#define SLICE_ITEMS (ROW_ITEMS * COLUMN_ITEMS)
#define GROUP_ITEMS (SLICE_ITEMS * SLICES)
#if BIAS_SPLITS
#define BIAS_ITEMS GROUP_ITEMS
#include "bias_sum.cl"
#endif
#define KERNEL_TAPS (KERNEL_H * KERNEL_W)
#define MATRIX_ROWS (LARGE_CHANNELS * KERNEL_TAPS)
#define ROW_GROUPS CEIL_DIV(MATRIX_ROWS, GROUP_ROWS)
#define PIXELS (SMALL_HEIGHT * SMALL_WIDTH)
#define PIXEL_SLABS (OCCUPIED / SLAB)
#define PITCH (SLAB + 4)
#define LARGE_ROOM (GROUP_ROWS * PITCH)
#define SMALL_ROOM (GROUP_COLUMNS * PITCH)

/* Quads of a row of a slab, rows that all items copy at a time, and how many an item copies. */
#define QUADS (SLAB / 4)
#define COPY_ROWS (GROUP_ITEMS / QUADS)
#define LARGE_COPIES CEIL_DIV(GROUP_ROWS, COPY_ROWS)
#define SMALL_COPIES CEIL_DIV(GROUP_COLUMNS, COPY_ROWS)
#define FOR_LARGE_COPIES UNROLL_FOR (int i = 0; i < LARGE_COPIES; i++)
#define FOR_SMALL_COPIES UNROLL_FOR (int i = 0; i < SMALL_COPIES; i++)

#define FOR_ROWS UNROLL_FOR (int i = 0; i < TILE_ROWS; i++)
#define FOR_COLUMNS UNROLL_FOR (int j = 0; j < TILE_COLUMNS; j++)
#define FOR_QUADS_OF_SLICE                                                                         \
    _Pragma("unroll 1") /* else compilers load all of a slab first, and spill */                   \
        for (int k = 0; k < SLAB; k += 4 * SLICES)

#define QUAD(address) (*(__global const float4 *)(address))
#define LOCAL_QUAD(address) (*(__local float4 *)(address))

/* The large channel and the tap of a row: in the order of the weights in memory, or, for tiles of
 * one tap, channels innermost. */
#define ONE_TAP (LARGE_CHANNELS % GROUP_ROWS == 0)
#if ONE_TAP || LARGE_STRIDE == 1
#define CHANNEL_OF(row) ((row) % LARGE_CHANNELS)
#define TAP_OF(row) ((row) / LARGE_CHANNELS)
#else
#define CHANNEL_OF(row) ((row) / KERNEL_TAPS)
#define TAP_OF(row) ((row) % KERNEL_TAPS)
#endif

/* The small pixels that a tile needs. */
typedef struct region {
    int y, x, width, height;
} region;

INLINE region region_of(int first_row) {
    region r = {0, 0, SMALL_WIDTH, SMALL_HEIGHT};
#if ONE_TAP
    const int tap = TAP_OF(first_row);
    const int from_y = PADDING_Y - tap / KERNEL_W, from_x = PADDING_X - tap % KERNEL_W;
    r.y = max(0, CEIL_DIV(from_y, STRIDE_Y));
    r.x = max(0, CEIL_DIV(from_x, STRIDE_X));
    /* The first pixels that meet the large side's end. */
    r.height = max(0, min(SMALL_HEIGHT, CEIL_DIV(LARGE_HEIGHT + from_y, STRIDE_Y)) - r.y);
    r.width = max(0, min(SMALL_WIDTH, CEIL_DIV(LARGE_WIDTH + from_x, STRIDE_X)) - r.x);
#endif
    return r;
}

/* The rows of the large side that an item copies: where each lies for small pixel 0, and the pixel
 * of it that its tap meets there. */
typedef struct copied {
    int at[LARGE_COPIES], y[LARGE_COPIES], x[LARGE_COPIES];
} copied;

#define OUTSIDE (-(1 << 24)) /* at any pixel */

/* Where a slab is: the pixel, and the first of its images. */
typedef struct place {
    int y, x, image;
} place;

INLINE place place_of(region r, int slab) {
    const int pixel = slab / PIXEL_SLABS, width = max(1, r.width);
    const place at = {r.y + pixel / width, r.x + pixel % width, slab % PIXEL_SLABS * SLAB};
    return at;
}

INLINE place next_place(region r, place at) {
    at.image += SLAB;
    if (at.image == OCCUPIED) {
        at.image = 0;
        if (++at.x == r.x + r.width) {
            at.x = r.x;
            at.y++;
        }
    }
    return at;
}

INLINE void find_rows(int first_row, int item, copied *rows) {
    FOR_LARGE_COPIES {
        const int of_tile = item / QUADS + i * COPY_ROWS, row = first_row + of_tile;
        const int tap = TAP_OF(row);
        rows->y[i] = tap / KERNEL_W - PADDING_Y;
        rows->x[i] = tap % KERNEL_W - PADDING_X;
        rows->at[i] =
            ((CHANNEL_OF(row) * LARGE_HEIGHT + rows->y[i]) * LARGE_WIDTH + rows->x[i]) * BATCH +
            item % QUADS * 4;
        if (of_tile >= GROUP_ROWS || row >= MATRIX_ROWS) rows->y[i] = OUTSIDE;
    }
}

/* An item's share of a slab, to registers. What is beyond the problem is 0. */
INLINE void load_large(__global const float *large, const copied *rows, place at, float4 *to) {
    const int step = (at.y * STRIDE_Y * LARGE_WIDTH + at.x * STRIDE_X) * BATCH + at.image;
    FOR_LARGE_COPIES {
        const uint y = at.y * STRIDE_Y + rows->y[i], x = at.x * STRIDE_X + rows->x[i];
        to[i] = (float4)(0.0f);
        if (ONE_TAP ? GROUP_ROWS % COPY_ROWS == 0 || rows->y[i] > OUTSIDE
                    : y < LARGE_HEIGHT && x < LARGE_WIDTH)
            to[i] = QUAD(large + (rows->at[i] + step));
    }
}

INLINE void load_small(__global const float *small, int first_column, place at, int item,
                       float4 *to) {
    const int column = item / QUADS;
    __global const float *from =
        small + ((first_column + column) * PIXELS + at.y * SMALL_WIDTH + at.x) * BATCH + at.image +
        item % QUADS * 4;
    FOR_SMALL_COPIES {
        const int on = i * COPY_ROWS;
        to[i] = (float4)(0.0f);
        if ((GROUP_COLUMNS % COPY_ROWS == 0 || column + on < GROUP_COLUMNS) &&
            (SMALL_CHANNELS % GROUP_COLUMNS == 0 || first_column + column + on < SMALL_CHANNELS))
            to[i] = QUAD(from + on * PIXELS * BATCH);
    }
}

/* The share to local memory. */
INLINE void store_large(__local float *rows, int item, const float4 *from) {
    FOR_LARGE_COPIES {
        const int row = item / QUADS + i * COPY_ROWS;
        if (GROUP_ROWS % COPY_ROWS == 0 || row < GROUP_ROWS)
            LOCAL_QUAD(rows + row * PITCH + item % QUADS * 4) = from[i];
    }
}

INLINE void store_small(__local float *columns, int item, const float4 *from) {
    FOR_SMALL_COPIES {
        const int column = item / QUADS + i * COPY_ROWS;
        if (GROUP_COLUMNS % COPY_ROWS == 0 || column < GROUP_COLUMNS)
            LOCAL_QUAD(columns + column * PITCH + item % QUADS * 4) = from[i];
    }
}

/* Adds the products of a slab. rows and columns: of the item's first ones. */
INLINE void multiply(__local const float *rows, __local const float *columns,
                     float sum[TILE_ROWS][TILE_COLUMNS]) {
    FOR_QUADS_OF_SLICE {
        float4 b[TILE_COLUMNS];
        FOR_COLUMNS b[j] = *(__local const float4 *)(columns + j * COLUMN_ITEMS * PITCH + k);
        FOR_ROWS {
            const float4 a = *(__local const float4 *)(rows + i * ROW_ITEMS * PITCH + k);
            FOR_COLUMNS {
                sum[i][j] = fma(a.x, b[j].x, sum[i][j]);
                sum[i][j] = fma(a.y, b[j].y, sum[i][j]);
                sum[i][j] = fma(a.z, b[j].z, sum[i][j]);
                sum[i][j] = fma(a.w, b[j].w, sum[i][j]);
            }
        }
    }
}

/* Adds the slices' sums to those of the first, in order; room: a float for each of them. */
INLINE void add_slices(int slice, int item, __local float *room,
                       float sum[TILE_ROWS][TILE_COLUMNS]) {
    for (int from = 1; from < SLICES; from++) {
        if (slice == from)
            FOR_ROWS FOR_COLUMNS room[(i * TILE_COLUMNS + j) * SLICE_ITEMS + item] = sum[i][j];
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice == 0)
            FOR_ROWS FOR_COLUMNS sum[i][j] += room[(i * TILE_COLUMNS + j) * SLICE_ITEMS + item];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

/* partial is [SPLITS][weights in their own order]; with one split it is the gradient itself, and
 * `accumulate` adds to it. row, column: of the item's first sum. */
INLINE void write_sums(float sum[TILE_ROWS][TILE_COLUMNS], int row, int column,
                       __global float *partial, int accumulate) {
    FOR_ROWS FOR_COLUMNS {
        const int r = row + i * ROW_ITEMS, s = column + j * COLUMN_ITEMS;
        if (r >= MATRIX_ROWS || s >= SMALL_CHANNELS) continue;
        __global float *to = partial + (size_t)CHANNEL_OF(r) * LARGE_STRIDE +
                             (size_t)TAP_OF(r) * TAP_STRIDE + (size_t)s * SMALL_STRIDE;
        *to = accumulate ? *to + sum[i][j] : sum[i][j];
    }
}

/* Neighbouring items, 8 along the columns and 4 along the rows, read few quads of local memory. */
#if COLUMN_ITEMS % 8 == 0 && ROW_ITEMS % 4 == 0
#define BLOCKS_X (COLUMN_ITEMS / 8)
#define ITEM_ROW(item) ((item) / 32 / BLOCKS_X * 4 + (item) % 32 / 8)
#define ITEM_COLUMN(item) ((item) / 32 % BLOCKS_X * 8 + (item) % 8)
#else
#define ITEM_ROW(item) ((item) / COLUMN_ITEMS)
#define ITEM_COLUMN(item) ((item) % COLUMN_ITEMS)
#endif

#define SLAB_ROOM (2 * (LARGE_ROOM + SMALL_ROOM))
#define SUM_ROOM (SLICES > 1 ? SLICE_ITEMS * TILE_ROWS * TILE_COLUMNS : GROUP_ITEMS)

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void weight_gradient_tiles(
    __global const float *restrict large, __global const float *restrict small,
    __global float *restrict partial, int accumulate
#if BIAS_SPLITS
    ,
    BIAS_ARGUMENTS
#endif
) {
    __local float room[SLAB_ROOM > SUM_ROOM ? SLAB_ROOM : SUM_ROOM] __attribute__((aligned(16)));
    __local float *large_slabs = room, *small_slabs = room + 2 * LARGE_ROOM;
    const int item = get_local_id(0), tile = get_group_id(0), split = get_group_id(1);
    const int first_row = tile % ROW_GROUPS * GROUP_ROWS;
    const int first_column = tile / ROW_GROUPS * GROUP_COLUMNS;
    const int slice = item / SLICE_ITEMS, of_slice = item % SLICE_ITEMS;
    const int item_row = ITEM_ROW(of_slice), item_column = ITEM_COLUMN(of_slice);
    copied rows;
    find_rows(first_row, item, &rows);

    float sum[TILE_ROWS][TILE_COLUMNS];
    FOR_ROWS FOR_COLUMNS sum[i][j] = 0.0f;
    float4 some_large[LARGE_COPIES], some_small[SMALL_COPIES];
    const region pixels = region_of(first_row);
    const long all = (long)pixels.height * pixels.width * PIXEL_SLABS;
    const int first = (int)(all * split / SPLITS);
    /* Groups of the bias have none: a barrier after a return is more than PoCL 3.1 can do. */
    const int slabs = split < SPLITS ? (int)(all * (split + 1) / SPLITS) - first : 0;
    place next = place_of(pixels, first);
    if (slabs > 0) {
        load_large(large, &rows, next, some_large);
        load_small(small, first_column, next, item, some_small);
        store_large(large_slabs, item, some_large);
        store_small(small_slabs, item, some_small);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int slab = 0; slab < slabs; slab++) {
        const int now = slab & 1;
        const bool more = slab + 1 < slabs;
        if (more) {
            next = next_place(pixels, next);
            load_large(large, &rows, next, some_large);
            load_small(small, first_column, next, item, some_small);
        }
        multiply(large_slabs + now * LARGE_ROOM + item_row * PITCH + slice * 4,
                 small_slabs + now * SMALL_ROOM + item_column * PITCH + slice * 4, sum);
        if (more) {
            store_large(large_slabs + (now ^ 1) * LARGE_ROOM, item, some_large);
            store_small(small_slabs + (now ^ 1) * SMALL_ROOM, item, some_small);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    add_slices(slice, of_slice, room, sum);
#if BIAS_SPLITS
    if (split >= SPLITS) {
        BIAS_GROUP((split - SPLITS) * (int)get_num_groups(0) + tile, room);
        return;
    }
#endif
    if (slice == 0)
        write_sums(sum, first_row + item_row, first_column + item_column,
                   partial + (size_t)split * WEIGHTS, accumulate);
}
