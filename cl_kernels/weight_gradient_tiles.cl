/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's weights as a matrix product (weight_gradient_product.cl says of
 * what, with the options) by tiles in local memory. SLAB images of a pixel at a time a work-group
 * copies both factors to local memory, of which there are two: while one is multiplied, the next is
 * on its way.
 *
 *             SLAB images                          an item's sums: TILE_ROWS x TILE_COLUMNS,
 *            +-----------+                         rows ROW_ITEMS apart, columns COLUMN_ITEMS;
 *     row    | o o o o   |   o: a quad, one read   PITCH puts neighbours into other banks
 *     row    |           |
 *            +-----------+   SLICES of items have quads of their own, and are added at the end:
 *              0 1 0 1       more items where there are few weights
 *
 * Options besides
 *     TILE_ROWS, TILE_COLUMNS     of an item (8, 8)
 *     SLICES             of items (1 to 4)
 *
 * Launched with GROUP_ITEMS items a work-group. Twin of
 * engine/ops/convolution/weight_gradient_tiles.c. */
#define ROW_ITEMS (GROUP_ROWS / TILE_ROWS)
#define COLUMN_ITEMS (GROUP_COLUMNS / TILE_COLUMNS)
#define SLICE_ITEMS (ROW_ITEMS * COLUMN_ITEMS)
#define GROUP_ITEMS (SLICE_ITEMS * SLICES)
#define PITCH (SLAB + 4)
#define LARGE_ROOM (GROUP_ROWS * PITCH)
#define SMALL_ROOM (GROUP_COLUMNS * PITCH)

/* Rows that all items copy at a time, and how many an item copies. */
#define COPIED_AT_ONCE (GROUP_ITEMS / QUADS)
#define LARGE_COPIES CEIL_DIV(GROUP_ROWS, COPIED_AT_ONCE)
#define SMALL_COPIES CEIL_DIV(GROUP_COLUMNS, COPIED_AT_ONCE)
#define FIRST_COPY(item) ((item) / QUADS)
#define NEXT_COPY(i) ((i)*COPIED_AT_ONCE)

#include "weight_gradient_product.cl"

#define FOR_ROWS UNROLL_FOR (int i = 0; i < TILE_ROWS; i++)
#define FOR_COLUMNS UNROLL_FOR (int j = 0; j < TILE_COLUMNS; j++)
#define FOR_QUADS_OF_SLICE                                                                         \
    _Pragma("unroll 1") /* else compilers load all of a slab first, and spill */                   \
        for (int k = 0; k < SLAB; k += 4 * SLICES)

#define LOCAL_QUAD(address) (*(__local float4 *)(address))

/* The share of a slab to local memory. */
INLINE void store_large(__local float *rows, int item, const float4 *from) {
    FOR_LARGE_COPIES {
        const int row = FIRST_COPY(item) + NEXT_COPY(i);
        if (GROUP_ROWS % COPIED_AT_ONCE == 0 || row < GROUP_ROWS)
            LOCAL_QUAD(rows + row * PITCH + item % QUADS * 4) = from[i];
    }
}

INLINE void store_small(__local float *columns, int item, const float4 *from) {
    FOR_SMALL_COPIES {
        const int column = FIRST_COPY(item) + NEXT_COPY(i);
        if (GROUP_COLUMNS % COPIED_AT_ONCE == 0 || column < GROUP_COLUMNS)
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

/* row, column: of the item's first sum. */
INLINE void write_sums(float sum[TILE_ROWS][TILE_COLUMNS], int row, int column,
                       __global float *partial, int accumulate) {
    FOR_ROWS FOR_COLUMNS write_sum(sum[i][j], row + i * ROW_ITEMS, column + j * COLUMN_ITEMS,
                                   partial, accumulate);
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
#define SUM_ROOM (SLICES > 1 ? SLICE_ITEMS * TILE_ROWS * TILE_COLUMNS : 0)

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void weight_gradient_tiles(
    __global const float *restrict large, __global const float *restrict small,
    __global float *restrict partial, int accumulate) {
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
    const share s = share_of(first_row, split);
    place next = place_of(s.pixels, s.first);
    if (s.slabs > 0) {
        load_large(large, &rows, next, some_large);
        load_small(small, first_column, next, item, some_small);
        store_large(large_slabs, item, some_large);
        store_small(small_slabs, item, some_small);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int slab = 0; slab < s.slabs; slab++) {
        const int now = slab & 1;
        const bool more = slab + 1 < s.slabs;
        if (more) {
            next = next_place(s.pixels, next);
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
    if (slice == 0)
        write_sums(sum, first_row + item_row, first_column + item_column,
                   partial + (size_t)split * WEIGHTS, accumulate);
}
