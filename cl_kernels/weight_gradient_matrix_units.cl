/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's weights as a matrix product (weight_gradient_product.cl says of
 * what, with the options) on matrix units (matrix_unit.cl). SLAB images of a pixel at a time a
 * work-group copies both factors to local memory, in the order in which the units take them. There
 * are two of each: while one is multiplied, the next is on its way.
 *
 * Launched with GROUP_ITEMS items a work-group. Twin of
 * engine/ops/convolution/weight_gradient_matrix_units.c. */
#include "matrix_unit.cl"

#define COLUMN_WARPS (GROUP_COLUMNS / WARP_COLUMNS)
#define GROUP_ITEMS (GROUP_ROWS / WARP_ROWS * COLUMN_WARPS * WARP)
#define SLAB_WORDS (SLAB / WORD_TERMS)
#define LARGE_ROOM (SLAB_WORDS * GROUP_ROWS)
#define SMALL_ROOM (SLAB_WORDS * GROUP_COLUMNS)

/* Pairs of rows, which share cells. */
#define COPIED_AT_ONCE (GROUP_ITEMS / QUADS * 2)
#define LARGE_COPIES (CEIL_DIV(GROUP_ROWS, COPIED_AT_ONCE) * 2)
#define SMALL_COPIES (CEIL_DIV(GROUP_COLUMNS, COPIED_AT_ONCE) * 2)
#define FIRST_COPY(item) ((item) / QUADS * 2)
#define NEXT_COPY(i) ((i) / 2 * COPIED_AT_ONCE + (i) % 2)

#include "weight_gradient_product.cl"

/* The share of a slab to local memory. */
INLINE void store(__local uint *to, int lines, bool left, int item, const float4 *from) {
    FOR_UNIT (int i = 0; i < CEIL_DIV(lines, COPIED_AT_ONCE); i++) {
        const int line = FIRST_COPY(item) + i * COPIED_AT_ONCE;
        if (lines % COPIED_AT_ONCE == 0 || line < lines)
            put_terms(to + WORDS_AT(left, lines, line, item % QUADS * 4 / WORD_TERMS), left,
                      from[2 * i], from[2 * i + 1]);
    }
}

/* Adds the products of a slab. warp_row, warp_column: of the group's tile. */
INLINE void multiply(__local const uint *large, __local const uint *small, int warp_row,
                     int warp_column, int lane, unit_sums *sums) {
    FOR_UNIT (int word = 0; word < SLAB_WORDS; word += WORDS_OF_UNIT)
        multiply_step(large + FRAGMENT_AT(GROUP_ROWS, warp_row, word),
                      small + FRAGMENT_AT(GROUP_COLUMNS, warp_column, word), lane, sums);
}

/* row, column: of the warp's first sums. */
INLINE void write_sums(const unit_sums *sums, int row, int column, int lane,
                       __global float *partial, int accumulate) {
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)
        FOR_UNIT (int quad = 0; quad < QUADS_OF_UNIT; quad++)
            FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++) {
                const float4 four = SUM_QUAD(sums->of[i][j], quad);
                const int of_row = row + i * LINES_OF_UNIT + QUAD_ROW(lane, quad);
                const int first = column + j * LINES_OF_UNIT + QUAD_COLUMN(lane, quad);
                write_sum(four.x, of_row, first, partial, accumulate);
                write_sum(four.y, of_row, first + 1, partial, accumulate);
                write_sum(four.z, of_row, first + 2, partial, accumulate);
                write_sum(four.w, of_row, first + 3, partial, accumulate);
            }
}

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) UNIT_ATTRIBUTE void
weight_gradient_matrix_units(__global const float *restrict large,
                             __global const float *restrict small, __global float *restrict partial,
                             __global float *restrict bias, int accumulate AND_BIAS_ARGUMENTS) {
    __local uint large_slabs[2 * LARGE_ROOM] __attribute__((aligned(16)));
    __local uint small_slabs[2 * SMALL_ROOM] __attribute__((aligned(16)));
    const int item = get_local_id(0), tile = get_group_id(0), split = get_group_id(1);
    const int lane = item % WARP, warp = item / WARP;
    const int warp_row = warp / COLUMN_WARPS * WARP_ROWS;
    const int warp_column = warp % COLUMN_WARPS * WARP_COLUMNS;
    const int first_row = tile % ROW_GROUPS * GROUP_ROWS;
    const int first_column = tile / ROW_GROUPS * GROUP_COLUMNS;
    copied rows;
    find_rows(first_row, item, &rows);

    unit_sums sums;
    clear_sums(&sums);
    float4 some_large[LARGE_COPIES], some_small[SMALL_COPIES];
    column_sums columns;
    FOR_SMALL_COPIES columns.of[i] = 0.0f;
    const share s = share_of(first_row, split);
    place next = place_of(s.pixels, s.first);
    if (s.slabs > 0) {
        load_large(large, &rows, next, some_large);
        load_small(small, first_column, next, item, some_small);
        store(large_slabs, GROUP_ROWS, true, item, some_large);
        store(small_slabs, GROUP_COLUMNS, false, item, some_small);
        add_columns(some_small, &columns);
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
        multiply(large_slabs + now * LARGE_ROOM, small_slabs + now * SMALL_ROOM, warp_row,
                 warp_column, lane, &sums);
        if (more) {
            store(large_slabs + (now ^ 1) * LARGE_ROOM, GROUP_ROWS, true, item, some_large);
            store(small_slabs + (now ^ 1) * SMALL_ROOM, GROUP_COLUMNS, false, item, some_small);
            add_columns(some_small, &columns);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    TAKE_BIAS(split, tile, (__local float *)large_slabs);
    partial += (size_t)split * SPLIT_FLOATS;
    write_sums(&sums, first_row + warp_row, first_column + warp_column, lane, partial, accumulate);
    write_columns(&columns, item, TAKEN_COLUMNS(first_row, first_column),
                  (__local float *)small_slabs, BIAS_OF(partial, bias) + first_column, accumulate);
}
