/* SPDX-License-Identifier: MIT */
/* A convolution down or up as a matrix product (convolution_product.cl says of what and which, with
 * the options) by tiles in local memory. SLAB terms at a time a work-group copies weights and
 * inputs to local memory, of which there are two: while one is multiplied, the next is on its way,
 * and one barrier a slab is enough.
 *
 *              GROUP_COLUMNS                     an item's sums: TILE_ROWS x TILE_COLUMNS, here
 *         SLAB +-----------------+               8 x 8, in quads that lie half a group's tile
 *              |     inputs      |               apart, so that neighbouring items read
 *       SLAB   +-----------------+               neighbouring quads of local memory
 *      +----+  +-----------------+                  +----+----+----+----+
 *      | w  |  |                 | GROUP_ROWS       | q  |    | q  |    |
 *      |    |  |     outputs     |                  +----+----+----+----+
 *      +----+  +-----------------+                  | q  |    | q  |    |
 *
 * Options besides
 *     TILE_ROWS, TILE_COLUMNS     of an item (8, 8)
 *     FEW_REGISTERS      1: a slab is multiplied in a loop
 *
 * Launched with GROUP_ITEMS items a work-group. Twin of engine/ops/convolution/tiles.c. */
#include "convolution_product.cl"

#define ROW_ITEMS (GROUP_ROWS / TILE_ROWS)
#define COLUMN_ITEMS (GROUP_COLUMNS / TILE_COLUMNS)
#define GROUP_ITEMS (ROW_ITEMS * COLUMN_ITEMS)

/* Local memory: a slab's terms are rows of it. Terms that lie side by side come in quads, of which
 * each float goes to a row of its own; four more floats a row put those in banks of their own. */
#define WEIGHTS_PITCH (GROUP_ROWS + (ROWS_SIDE_BY_SIDE ? 0 : 4))
#define WEIGHT_ROOM (SLAB * WEIGHTS_PITCH)
#define INPUT_ROOM (SLAB * GROUP_COLUMNS)
#define SLAB_FLOATS (2 * (WEIGHT_ROOM + INPUT_ROOM))
#define LOCAL_FLOATS                                                                               \
    (SLAB_FLOATS > SUM_FLOATS(COLUMN_ITEMS) ? SLAB_FLOATS : SUM_FLOATS(COLUMN_ITEMS))

/* Quads of a slab, and how many an item copies: quads of a row first, then so many rows on. */
#define INPUT_QUADS (GROUP_COLUMNS / 4)
#define INPUT_ROWS (GROUP_ITEMS / INPUT_QUADS)
#define INPUT_COPIES CEIL_DIV(SLAB, INPUT_ROWS)
#if ROWS_SIDE_BY_SIDE
#define WEIGHT_QUADS (GROUP_ROWS / 4)
#define WEIGHT_LINES SLAB
#else
#define WEIGHT_QUADS (SLAB / 4)
#define WEIGHT_LINES GROUP_ROWS
#endif
#define WEIGHT_ROWS (GROUP_ITEMS / WEIGHT_QUADS)
#define WEIGHT_COPIES CEIL_DIV(WEIGHT_LINES, WEIGHT_ROWS)

#define LOCAL_QUAD(address) (*(__local float4 *)(address))

/* An item's share of a slab, to registers. What is beyond the problem is 0. */
INLINE void load_inputs(__global const float *x, piece p, place at, int item, float4 *to) {
    const int column = item % INPUT_QUADS * 4, term = item / INPUT_QUADS;
    bool inside;
    __global const float *from = inputs_at(x, p, at, column, &inside) + (size_t)term * PLANE;
    UNROLL_FOR (int i = 0; i < INPUT_COPIES; i++) {
        to[i] = (float4)(0.0f);
        if (inside && (SLAB % INPUT_ROWS == 0 || term + i * INPUT_ROWS < SLAB) &&
            (IN_CHANNELS % SLAB == 0 || at.channel + term + i * INPUT_ROWS < IN_CHANNELS))
            to[i] = QUAD(from + (size_t)i * INPUT_ROWS * PLANE);
    }
}

INLINE void load_weights(__global const float *weights, piece p, place at, int item, float4 *to) {
    const int quad = item % WEIGHT_QUADS * 4, line = item / WEIGHT_QUADS;
    const int row = ROWS_SIDE_BY_SIDE ? quad : line;
    const int channel = at.channel + (ROWS_SIDE_BY_SIDE ? line : quad);
    __global const float *from = weights_at(weights, p, at) +
                                 (size_t)(channel - at.channel) * TERM_STRIDE +
                                 (size_t)row * ROW_STRIDE;
    UNROLL_FOR (int i = 0; i < WEIGHT_COPIES; i++) {
        const int on = i * WEIGHT_ROWS;
        const int next_row = p.row + row + (ROWS_SIDE_BY_SIDE ? 0 : on);
        const int next_channel = channel + (ROWS_SIDE_BY_SIDE ? on : 0);
        to[i] = (float4)(0.0f);
        if ((WEIGHT_LINES % WEIGHT_ROWS == 0 || line + on < WEIGHT_LINES) &&
            (OUT_CHANNELS % GROUP_ROWS == 0 || next_row < OUT_CHANNELS) &&
            (IN_CHANNELS % SLAB == 0 || next_channel < IN_CHANNELS))
            to[i] = QUAD(from + (size_t)on * (ROWS_SIDE_BY_SIDE ? TERM_STRIDE : ROW_STRIDE));
    }
}

/* The share to local memory. */
INLINE void store_inputs(__local float *inputs, int item, const float4 *from) {
    const int column = item % INPUT_QUADS * 4, term = item / INPUT_QUADS;
    UNROLL_FOR (int i = 0; i < INPUT_COPIES; i++)
        if (SLAB % INPUT_ROWS == 0 || term + i * INPUT_ROWS < SLAB)
            LOCAL_QUAD(inputs + (term + i * INPUT_ROWS) * GROUP_COLUMNS + column) = from[i];
}

INLINE void store_weights(__local float *weights, int item, const float4 *from) {
    const int quad = item % WEIGHT_QUADS * 4, line = item / WEIGHT_QUADS;
    UNROLL_FOR (int i = 0; i < WEIGHT_COPIES; i++) {
        const int at = line + i * WEIGHT_ROWS;
        if (WEIGHT_LINES % WEIGHT_ROWS != 0 && at >= WEIGHT_LINES) continue;
#if ROWS_SIDE_BY_SIDE
        LOCAL_QUAD(weights + at * WEIGHTS_PITCH + quad) = from[i];
#else
        __local float *to = weights + quad * WEIGHTS_PITCH + at;
        to[0] = from[i].x;
        to[WEIGHTS_PITCH] = from[i].y;
        to[2 * WEIGHTS_PITCH] = from[i].z;
        to[3 * WEIGHTS_PITCH] = from[i].w;
#endif
    }
}

#define FOR_ROWS UNROLL_FOR (int i = 0; i < TILE_ROWS; i++)
#define FOR_ROW_QUADS UNROLL_FOR (int i = 0; i < TILE_ROWS; i += 4)
#define FOR_COLUMN_QUADS UNROLL_FOR (int j = 0; j < TILE_COLUMNS / 4; j++)

/* Compilers that read all of a slab first would need registers for it. */
#if FEW_REGISTERS
#define FOR_TERMS _Pragma("unroll 1") for (int k = 0; k < SLAB; k++)
#else
#define FOR_TERMS UNROLL_FOR (int k = 0; k < SLAB; k++)
#endif

/* Adds the products of a slab. weights and inputs: of the item's first quads. */
INLINE void multiply(__local const float *weights, __local const float *inputs,
                     float4 sum[TILE_ROWS][TILE_COLUMNS / 4]) {
    FOR_TERMS {
        float4 v[TILE_COLUMNS / 4];
        FOR_COLUMN_QUADS v[j] =
            *(__local const float4 *)(inputs + k * GROUP_COLUMNS + j * 4 * COLUMN_ITEMS);
        FOR_ROW_QUADS {
            const float4 w = *(__local const float4 *)(weights + k * WEIGHTS_PITCH + i * ROW_ITEMS);
            FOR_COLUMN_QUADS {
                sum[i][j] = fma((float4)(w.x), v[j], sum[i][j]);
                sum[i + 1][j] = fma((float4)(w.y), v[j], sum[i + 1][j]);
                sum[i + 2][j] = fma((float4)(w.z), v[j], sum[i + 2][j]);
                sum[i + 3][j] = fma((float4)(w.w), v[j], sum[i + 3][j]);
            }
        }
    }
}

/* Of the group's tile, the row and the column of the item's sums. */
#define ROW_OF(i) (item_row + (i) / 4 * 4 * ROW_ITEMS + (i) % 4)
#define COLUMN_OF(j) (item_column + (j)*4 * COLUMN_ITEMS)

/* item_row, item_column: of the item's first quads, in the group's tile. */
INLINE void write_sums(float4 sum[TILE_ROWS][TILE_COLUMNS / 4], piece p, int item_row,
                       int item_column, __global const float *bias, __global const float *input,
                       __global float *y) {
    FOR_ROWS FOR_COLUMN_QUADS sum[i][j] =
        write_quad(sum[i][j], p, ROW_OF(i), COLUMN_OF(j), bias, input, y);
}

/* Of what was written. */
INLINE void take_channel_sums(float4 sum[TILE_ROWS][TILE_COLUMNS / 4], const channel_sums *wanted,
                              piece p, int item_row, int item_column, int item, sums_room room) {
    if (item_column == 0) FOR_ROWS put_origin(wanted, sum[i][0], p, ROW_OF(i), room);
    barrier(CLK_LOCAL_MEM_FENCE);
    FOR_ROWS {
        float2 entry = (float2)(0.0f);
        FOR_COLUMN_QUADS entry += sums_of(wanted, sum[i][j], p, ROW_OF(i), COLUMN_OF(j), room);
        room.entries[ROW_OF(i) * COLUMN_ITEMS + item_column / 4] = entry;
    }
    add_entries(wanted, p, get_group_id(0), item, GROUP_ITEMS, COLUMN_ITEMS, room);
}

/* Neighbouring items, 8 along the columns and 4 along the rows, read few quads of local memory. */
#if COLUMN_ITEMS % 8 == 0 && ROW_ITEMS % 4 == 0
#define BLOCKS_X (COLUMN_ITEMS / 8)
#define ITEM_ROW(item) (((item) / 32 / BLOCKS_X * 4 + (item) % 32 / 8) * 4)
#define ITEM_COLUMN(item) (((item) / 32 % BLOCKS_X * 8 + (item) % 8) * 4)
#else
#define ITEM_ROW(item) ((item) / COLUMN_ITEMS * 4)
#define ITEM_COLUMN(item) ((item) % COLUMN_ITEMS * 4)
#endif

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void convolution_tiles(
    __global const float *restrict x, __global const float *restrict weights,
    __global const float *restrict bias, __global const float *restrict input,
    __global float *restrict y, CHANNEL_SUMS_ARGUMENTS) {
    __local float room[LOCAL_FLOATS] __attribute__((aligned(16)));
    __local float *weight_slabs = room, *input_slabs = room + 2 * WEIGHT_ROOM;
    const int item = get_local_id(0), split = get_group_id(1);
    const int item_row = ITEM_ROW(item), item_column = ITEM_COLUMN(item);
    const piece p = piece_of(get_group_id(0));
    const int first = (int)((long)p.slabs * split / SPLITS);
    const int last = (int)((long)p.slabs * (split + 1) / SPLITS);

    float4 sum[TILE_ROWS][TILE_COLUMNS / 4];
    FOR_ROWS FOR_COLUMN_QUADS sum[i][j] = (float4)(0.0f);
    float4 some_weights[WEIGHT_COPIES], some_inputs[INPUT_COPIES];
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
        multiply(weight_slabs + now * WEIGHT_ROOM + item_row,
                 input_slabs + now * INPUT_ROOM + item_column, sum);
        if (more) {
            store_inputs(input_slabs + (now ^ 1) * INPUT_ROOM, item, some_inputs);
            store_weights(weight_slabs + (now ^ 1) * WEIGHT_ROOM, item, some_weights);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    write_sums(sum, p, item_row, item_column, bias, input, y + (size_t)split * OUTPUTS * BATCH);
#if CHANNEL_SUMS
    const channel_sums wanted = CHANNEL_SUMS_WANTED;
    const sums_room shared = SUMS_ROOM(room, COLUMN_ITEMS);
    take_channel_sums(sum, &wanted, p, item_row, item_column, item, shared);
#endif
}
