/* SPDX-License-Identifier: MIT */
/* A convolution down or up as a matrix product (convolution_product.cl says of what and which, with
 * the options) on matrix units (matrix_unit.cl). SLAB terms at a time a work-group copies weights
 * and inputs to local memory, in the order in which the units take them. There are two of each:
 * while one is multiplied, the next is on its way, and one barrier a slab is enough.
 *
 * Launched with GROUP_ITEMS items a work-group. Twin of engine/ops/convolution/matrix_units.c. */
#include "convolution_product.cl"
#include "matrix_unit.cl"

#define COLUMN_WARPS (GROUP_COLUMNS / WARP_COLUMNS)
#define GROUP_ITEMS (GROUP_ROWS / WARP_ROWS * COLUMN_WARPS * WARP)
#define SLAB_WORDS (SLAB / WORD_TERMS)
#define WEIGHT_ROOM (SLAB_WORDS * GROUP_ROWS)
#define INPUT_ROOM (SLAB_WORDS * GROUP_COLUMNS)
#define SLAB_ROOM (2 * (WEIGHT_ROOM + INPUT_ROOM))
#define ROW_ENTRIES (COLUMN_WARPS * (LINES_OF_UNIT / 4)) /* of channel sums */
#define LOCAL_WORDS (SLAB_ROOM > SUM_FLOATS(ROW_ENTRIES) ? SLAB_ROOM : SUM_FLOATS(ROW_ENTRIES))

/* Copies of two words of four lines that lie side by side, of which neighbouring items make those
 * of neighbouring words; and of four terms, side by side, of two lines. An item makes every
 * GROUP_ITEMS-th. */
#define COPY_TERMS (2 * WORD_TERMS)
#define COPIES_OF_LINES(lines) ((lines) / 4 * (SLAB / COPY_TERMS))
#define COPY_LINE(copy, lines) ((copy) / 4 % ((lines) / 4) * 4)
#define COPY_WORD(copy, lines) (((copy) % 4 + (copy) / (lines)*4) * 2)
#if ROWS_SIDE_BY_SIDE
#define WEIGHT_COPIES COPIES_OF_LINES(GROUP_ROWS)
#define COPY_QUADS COPY_TERMS
#else
#define WEIGHT_COPIES (GROUP_ROWS / 2 * (SLAB / 4))
#define COPY_QUADS 2
#endif
#define INPUT_COPIES COPIES_OF_LINES(GROUP_COLUMNS)
#define INPUT_SHARE CEIL_DIV(INPUT_COPIES, GROUP_ITEMS)
#define WEIGHT_SHARE CEIL_DIV(WEIGHT_COPIES, GROUP_ITEMS)
#define IS_COPY(copy, copies) ((copies) % GROUP_ITEMS == 0 || (copy) < (copies))

/* An item's share of a slab, to registers. What is beyond the problem is 0. */
INLINE void load_inputs(__global const float *x, piece p, place at, int item,
                        float4 to[INPUT_SHARE][COPY_TERMS]) {
    FOR_UNIT (int i = 0; i < INPUT_SHARE; i++) {
        const int copy = item + i * GROUP_ITEMS;
        const int term = COPY_WORD(copy, GROUP_COLUMNS) * WORD_TERMS;
        bool inside;
        __global const float *from =
            inputs_at(x, p, at, COPY_LINE(copy, GROUP_COLUMNS), &inside) + (size_t)term * PLANE;
        inside = inside && IS_COPY(copy, INPUT_COPIES);
        FOR_UNIT (int k = 0; k < COPY_TERMS; k++) {
            to[i][k] = (float4)(0.0f);
            if (inside && (IN_CHANNELS % SLAB == 0 || at.channel + term + k < IN_CHANNELS))
                to[i][k] = QUAD(from + k * PLANE);
        }
    }
}

INLINE void load_weights(__global const float *weights, piece p, place at, int item,
                         float4 to[WEIGHT_SHARE][COPY_QUADS]) {
    FOR_UNIT (int i = 0; i < WEIGHT_SHARE; i++) {
        const int copy = item + i * GROUP_ITEMS;
#if ROWS_SIDE_BY_SIDE
        const int row = COPY_LINE(copy, GROUP_ROWS);
        const int term = COPY_WORD(copy, GROUP_ROWS) * WORD_TERMS;
#else
        const int row = copy / (SLAB / 4) * 2, term = copy % (SLAB / 4) * 4;
#endif
        __global const float *from =
            weights_at(weights, p, at) + (size_t)term * TERM_STRIDE + (size_t)row * ROW_STRIDE;
        FOR_UNIT (int k = 0; k < COPY_QUADS; k++) {
            const int next_row = p.row + row + (ROWS_SIDE_BY_SIDE ? 0 : k);
            const int channel = at.channel + term + (ROWS_SIDE_BY_SIDE ? k : 0);
            to[i][k] = (float4)(0.0f);
            if (IS_COPY(copy, WEIGHT_COPIES) &&
                (OUT_CHANNELS % GROUP_ROWS == 0 || next_row < OUT_CHANNELS) &&
                (IN_CHANNELS % SLAB == 0 || channel < IN_CHANNELS))
                to[i][k] = QUAD(from + k * (size_t)(ROWS_SIDE_BY_SIDE ? TERM_STRIDE : ROW_STRIDE));
        }
    }
}

/* The share to local memory. */
INLINE void store_inputs(__local uint *inputs, int item, float4 from[INPUT_SHARE][COPY_TERMS]) {
    FOR_UNIT (int i = 0; i < INPUT_SHARE; i++) {
        const int copy = item + i * GROUP_ITEMS;
        if (IS_COPY(copy, INPUT_COPIES))
            put_lines(inputs + WORDS_AT(false, GROUP_COLUMNS, COPY_LINE(copy, GROUP_COLUMNS),
                                        COPY_WORD(copy, GROUP_COLUMNS)),
                      false, from[i]);
    }
}

INLINE void store_weights(__local uint *weights, int item, float4 from[WEIGHT_SHARE][COPY_QUADS]) {
    FOR_UNIT (int i = 0; i < WEIGHT_SHARE; i++) {
        const int copy = item + i * GROUP_ITEMS;
        if (!IS_COPY(copy, WEIGHT_COPIES)) continue;
#if ROWS_SIDE_BY_SIDE
        put_lines(weights + WORDS_AT(true, GROUP_ROWS, COPY_LINE(copy, GROUP_ROWS),
                                     COPY_WORD(copy, GROUP_ROWS)),
                  true, from[i]);
#else
        put_terms(weights + WORDS_AT(true, GROUP_ROWS, copy / (SLAB / 4) * 2,
                                     copy % (SLAB / 4) * 4 / WORD_TERMS),
                  true, from[i][0], from[i][1]);
#endif
    }
}

/* Adds the products of a slab. warp_row, warp_column: of the group's tile. */
INLINE void multiply(__local const uint *weights, __local const uint *inputs, int warp_row,
                     int warp_column, int lane, unit_sums *sums) {
    FOR_UNIT (int word = 0; word < SLAB_WORDS; word += WORDS_OF_UNIT)
        multiply_step(weights + FRAGMENT_AT(GROUP_ROWS, warp_row, word),
                      inputs + FRAGMENT_AT(GROUP_COLUMNS, warp_column, word), lane, sums);
}

#define FOR_LINES                                                                                  \
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)                                                   \
        FOR_UNIT (int quad = 0; quad < QUADS_OF_UNIT; quad++)
#define FOR_COLUMN_FRAGMENTS FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++)
/* Of the group's tile, the row and the column of an item's quad. */
#define TILE_ROW (warp_row + i * LINES_OF_UNIT + QUAD_ROW(lane, quad))
#define TILE_COLUMN (warp_column + j * LINES_OF_UNIT + QUAD_COLUMN(lane, quad))

INLINE void write_sums(const unit_sums *sums, piece p, int warp_row, int warp_column, int lane,
                       __global const float *bias, __global const float *input, __global float *y) {
    FOR_LINES FOR_COLUMN_FRAGMENTS write_quad(SUM_QUAD(sums->of[i][j], quad), p, TILE_ROW,
                                              TILE_COLUMN, bias, input, y);
}

#if CHANNEL_SUMS
/* What was written, once more. */
INLINE float4 finished(float4 sum, piece p, int row, int column, __global const float *bias,
                       __global const float *input) {
    size_t at;
    return find_quad(p, row, column, &at) ? finish(sum, p.row + row, at, bias, input) : sum;
}

INLINE void take_channel_sums(const unit_sums *sums, const channel_sums *wanted, piece p,
                              int warp_row, int warp_column, int lane, int item,
                              __global const float *bias, __global const float *input,
                              sums_room room) {
    if (warp_column == 0) FOR_LINES {
            const int j = 0;
            if (QUAD_COLUMN(lane, quad) != 0) continue;
            put_origin(
                wanted,
                finished(SUM_QUAD(sums->of[i][j], quad), p, TILE_ROW, TILE_COLUMN, bias, input), p,
                TILE_ROW, room);
        }
    barrier(CLK_LOCAL_MEM_FENCE);
    FOR_LINES {
        float2 entry = (float2)(0.0f);
        FOR_COLUMN_FRAGMENTS entry += sums_of(
            wanted, finished(SUM_QUAD(sums->of[i][j], quad), p, TILE_ROW, TILE_COLUMN, bias, input),
            p, TILE_ROW, TILE_COLUMN, room);
        room.entries[TILE_ROW * ROW_ENTRIES + warp_column / WARP_COLUMNS * (LINES_OF_UNIT / 4) +
                     QUAD_COLUMN(lane, quad) / 4] = entry;
    }
    add_entries(wanted, p, get_group_id(0), item, GROUP_ITEMS, ROW_ENTRIES, room);
}
#endif

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) UNIT_ATTRIBUTE void
convolution_matrix_units(__global const float *restrict x, __global const float *restrict weights,
                         __global const float *restrict bias, __global const float *restrict input,
                         __global float *restrict y, CHANNEL_SUMS_ARGUMENTS) {
    __local uint room[LOCAL_WORDS] __attribute__((aligned(16)));
    __local uint *weight_slabs = room, *input_slabs = room + 2 * WEIGHT_ROOM;
    const int item = get_local_id(0), split = get_group_id(1);
    const int lane = item % WARP, warp = item / WARP;
    const int warp_row = warp / COLUMN_WARPS * WARP_ROWS;
    const int warp_column = warp % COLUMN_WARPS * WARP_COLUMNS;
    const piece p = piece_of(get_group_id(0));
    const int first = (int)((long)p.slabs * split / SPLITS);
    const int last = (int)((long)p.slabs * (split + 1) / SPLITS);

    unit_sums sums;
    clear_sums(&sums);
    float4 some_weights[WEIGHT_SHARE][COPY_QUADS], some_inputs[INPUT_SHARE][COPY_TERMS];
    place next = place_of(p, first);
    if (first < last) {
        load_inputs(x, p, next, item, some_inputs);
        load_weights(weights, p, next, item, some_weights);
        store_inputs(input_slabs, item, some_inputs);
        store_weights(weight_slabs, item, some_weights);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int slab = first; slab < last; slab++) {
        const int now = (slab - first) & 1;
        const bool more = slab + 1 < last;
        if (more) {
            next = next_place(p, next);
            load_inputs(x, p, next, item, some_inputs);
            load_weights(weights, p, next, item, some_weights);
        }
        multiply(weight_slabs + now * WEIGHT_ROOM, input_slabs + now * INPUT_ROOM, warp_row,
                 warp_column, lane, &sums);
        if (more) {
            store_inputs(input_slabs + (now ^ 1) * INPUT_ROOM, item, some_inputs);
            store_weights(weight_slabs + (now ^ 1) * WEIGHT_ROOM, item, some_weights);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    write_sums(&sums, p, warp_row, warp_column, lane, bias, input,
               y + (size_t)split * OUTPUTS * BATCH);
#if CHANNEL_SUMS
    const channel_sums wanted = CHANNEL_SUMS_WANTED;
    const sums_room shared = SUMS_ROOM(room, ROW_ENTRIES);
    take_channel_sums(&sums, &wanted, p, warp_row, warp_column, lane, item, bias, input, shared);
#endif
}
