/* SPDX-License-Identifier: MIT */
/* A convolution down or up (engine/ops/convolution/problem.h; formula and order of indices in
 * convolution.cl) as a matrix product, for GPUs and many channels:
 *
 *     y[row][column] = a(bias[row] + sum over terms of w[term][row] x[term][column])
 *
 * Rows are output channels. Columns are GROUP_PIXELS pixels of an output row, those of one phase,
 * of IMAGES images each. Terms are pairs of a tap and an input channel, channels innermost; taps
 * beyond the border are left out. A work-group computes GROUP_ROWS x GROUP_COLUMNS outputs. SLAB
 * terms at a time it copies weights and inputs to local memory, of which there are two: while one
 * is multiplied, the next is on its way, and one barrier a slab is enough.
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
 * Weight (c, tap, row) is at c * TERM_STRIDE + tap * TAP_STRIDE + row * ROW_STRIDE. Either rows or
 * terms lie side by side, in quads that are aligned; where they do not, convolution_tiles_pack
 * copies the weights first. All memory is read and written in quads of floats, 128 bits.
 *
 * Options
 *     UP, IN_CHANNELS .. OUT_WIDTH, KERNEL_H .. PADDING_X   the problem
 *     BATCH, OCCUPIED    lanes of the batch in memory, and those that images may lie in (128, 128)
 *     BIAS               1: a bias is added
 *     ACTIVATION, INPUT_ACTIVATION   see common.cl
 *     TERM_STRIDE, TAP_STRIDE, ROW_STRIDE   where weights lie, in floats
 *     IN_STRIDE, WEIGHT_TAP_STRIDE, OUT_STRIDE   of convolution_tiles_pack: where they come from
 *     GROUP_ROWS, GROUP_COLUMNS   of a work-group (128, 128)
 *     GROUP_PIXELS       of its columns (1)
 *     SLAB               terms copied at a time (8)
 *     TILE_ROWS, TILE_COLUMNS     of an item (8, 8)
 *     FEW_REGISTERS      1: a slab is multiplied in a loop
 *     SPLITS             parts of the sum over terms (1 to 128). With several y gets [SPLITS]
 *                        partial sums, and convolution_tiles_finish adds them in order
 *
 * Launched with GROUP_ITEMS items a work-group: tiles x splits. */
#include "taps.cl"

#define ROW_ITEMS (GROUP_ROWS / TILE_ROWS)
#define COLUMN_ITEMS (GROUP_COLUMNS / TILE_COLUMNS)
#define GROUP_ITEMS (ROW_ITEMS * COLUMN_ITEMS)
#define IMAGES (GROUP_COLUMNS / GROUP_PIXELS)
#define ROW_GROUPS CEIL_DIV(OUT_CHANNELS, GROUP_ROWS)
#define CHUNKS (OCCUPIED / IMAGES)
#define RUNS CEIL_DIV(CEIL_DIV(OUT_WIDTH, PHASES_X), GROUP_PIXELS)
#define CHANNEL_SLABS CEIL_DIV(IN_CHANNELS, SLAB)
#define PLANE ((size_t)IN_HEIGHT * IN_WIDTH * BATCH)
#define OUTPUTS ((size_t)OUT_CHANNELS * OUT_HEIGHT * OUT_WIDTH)
#if UP
#define PIXEL_STEP 1 /* of the input, from a pixel of the run to the next */
#else
#define PIXEL_STEP STRIDE_X
#endif

/* Local memory: a slab's terms are rows of it. Terms that lie side by side come in quads, of which
 * each float goes to a row of its own; four more floats a row put those in banks of their own. */
#define ROWS_SIDE_BY_SIDE (ROW_STRIDE == 1)
#define WEIGHTS_PITCH (GROUP_ROWS + (ROWS_SIDE_BY_SIDE ? 0 : 4))
#define WEIGHT_ROOM (SLAB * WEIGHTS_PITCH)
#define INPUT_ROOM (SLAB * GROUP_COLUMNS)

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

#define QUAD(address) (*(__global const float4 *)(address))
#define LOCAL_QUAD(address) (*(__local float4 *)(address))

/* What a work-group computes, from these first ones on. */
typedef struct piece {
    int row, image, oy, ox;
    tap_range rows, columns; /* of taps */
    int taps_x;              /* taps of a row that meet the input, at some pixel of the run */
    int slabs;
} piece;

/* Where a slab is: a tap, and the first of its channels. */
typedef struct place {
    int jy, jx, channel;
} place;

INLINE piece piece_of(int group) {
    piece p;
    p.row = group % ROW_GROUPS * GROUP_ROWS;
    group /= ROW_GROUPS;
    p.image = group % CHUNKS * IMAGES;
    group /= CHUNKS;
    const int run = group % (RUNS * PHASES_X);
    p.oy = group / (RUNS * PHASES_X);
    p.ox = run / PHASES_X * GROUP_PIXELS * PHASES_X + run % PHASES_X;
    p.rows = ROW_TAPS(p.oy);
    p.columns = COLUMN_TAPS(p.ox);
    /* Other pixels of the run meet the input at other taps. */
    const int last_input = p.columns.input + (GROUP_PIXELS - 1) * PIXEL_STEP;
#if UP
    p.columns.last = min(p.columns.taps, last_input + 1);
#else
    p.columns.first = max(0, -last_input);
#endif
    p.taps_x = max(0, p.columns.last - p.columns.first);
    p.slabs = max(0, p.rows.last - p.rows.first) * p.taps_x * CHANNEL_SLABS;
    if (p.ox >= OUT_WIDTH) p.slabs = 0; /* a phase with a pixel less */
    return p;
}

INLINE place place_of(piece p, int slab) {
    const int tap = slab / CHANNEL_SLABS, taps_x = max(1, p.taps_x);
    const place at = {p.rows.first + tap / taps_x, p.columns.first + tap % taps_x,
                      slab % CHANNEL_SLABS * SLAB};
    return at;
}

INLINE place next_place(piece p, place at) {
    at.channel += SLAB;
    if (at.channel >= IN_CHANNELS) {
        at.channel = 0;
        if (++at.jx == p.columns.last) {
            at.jx = p.columns.first;
            at.jy++;
        }
    }
    return at;
}

/* An item's share of a slab, to registers. What is beyond the problem is 0. */
INLINE void load_inputs(__global const float *x, piece p, place at, int item, float4 *to) {
    const int column = item % INPUT_QUADS * 4, term = item / INPUT_QUADS;
    const int iy = p.rows.input + at.jy * TAP_DIRECTION;
    const int ix = p.columns.input + at.jx * TAP_DIRECTION + column / IMAGES * PIXEL_STEP;
    const bool inside = GROUP_PIXELS == 1 || (ix >= 0 && ix < IN_WIDTH);
    __global const float *from = x + ((long)iy * IN_WIDTH + ix) * BATCH + p.image +
                                 column % IMAGES + (size_t)(at.channel + term) * PLANE;
    UNROLL_FOR (int i = 0; i < INPUT_COPIES; i++) {
        to[i] = (float4)(0.0f);
        if (inside && (SLAB % INPUT_ROWS == 0 || term + i * INPUT_ROWS < SLAB) &&
            (IN_CHANNELS % SLAB == 0 || at.channel + term + i * INPUT_ROWS < IN_CHANNELS))
            to[i] = QUAD(from + (size_t)i * INPUT_ROWS * PLANE);
    }
}

INLINE void load_weights(__global const float *weights, piece p, place at, int item, float4 *to) {
    const int tap =
        (p.rows.phase + at.jy * PHASES_Y) * KERNEL_W + p.columns.phase + at.jx * PHASES_X;
    const int quad = item % WEIGHT_QUADS * 4, line = item / WEIGHT_QUADS;
    const int row = p.row + (ROWS_SIDE_BY_SIDE ? quad : line);
    const int channel = at.channel + (ROWS_SIDE_BY_SIDE ? line : quad);
    __global const float *from = weights + (size_t)tap * TAP_STRIDE +
                                 (size_t)channel * TERM_STRIDE + (size_t)row * ROW_STRIDE;
    UNROLL_FOR (int i = 0; i < WEIGHT_COPIES; i++) {
        const int on = i * WEIGHT_ROWS;
        const int next_row = row + (ROWS_SIDE_BY_SIDE ? 0 : on);
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

/* What becomes of a sum. On CPUs, where tests alone run this file, a value is a vector of its own.
 */
#if VECTOR_WIDTH == 1
#define ONE_LANE(v) (v)
#else
#define ONE_LANE(v) ((v).s0)
#endif
INLINE float4 finish(float4 v, int row, size_t at, __global const float *bias,
                     __global const float *input) {
#if BIAS
    v += bias[row];
#endif
#if INPUT_ACTIVATION
    const float4 x = QUAD(input + at);
#define FINISH(lane) ONE_LANE(input_activation_backward((vec)(v.lane), (vec)(x.lane)))
#else
#define FINISH(lane) ONE_LANE(activate((vec)(v.lane)))
#endif
    return (float4)(FINISH(x), FINISH(y), FINISH(z), FINISH(w));
}

/* item_row, item_column: of the item's first quads, in the group's tile. */
INLINE void write_sums(float4 sum[TILE_ROWS][TILE_COLUMNS / 4], piece p, int item_row,
                       int item_column, __global const float *bias, __global const float *input,
                       __global float *y) {
    FOR_ROWS {
        const int row = p.row + item_row + i / 4 * 4 * ROW_ITEMS + i % 4;
        if (OUT_CHANNELS % GROUP_ROWS != 0 && row >= OUT_CHANNELS) continue;
        FOR_COLUMN_QUADS {
            const int column = item_column + j * 4 * COLUMN_ITEMS;
            const int ox = p.ox + column / IMAGES * PHASES_X;
            if (ox >= OUT_WIDTH) continue;
            const size_t at = (((size_t)row * OUT_HEIGHT + p.oy) * OUT_WIDTH + ox) * BATCH +
                              p.image + column % IMAGES;
            *(__global float4 *)(y + at) =
                SPLITS > 1 ? sum[i][j] : finish(sum[i][j], row, at, bias, input);
        }
    }
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
    __global float *restrict y) {
    __local float weight_slabs[2 * WEIGHT_ROOM] __attribute__((aligned(16)));
    __local float input_slabs[2 * INPUT_ROOM] __attribute__((aligned(16)));
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
}

/* Adds the splits. Launched with an item per quad of lanes that images may lie in. */
__kernel void convolution_tiles_finish(__global const float *restrict partial,
                                       __global const float *restrict bias,
                                       __global const float *restrict input,
                                       __global float *restrict y) {
    const size_t quad = get_global_id(0), pixel = quad / (OCCUPIED / 4);
    if (pixel >= OUTPUTS) return;
    const size_t at = pixel * BATCH + quad % (OCCUPIED / 4) * 4;
    float4 sum = (float4)(0.0f);
    _Pragma("unroll 8") for (int split = 0; split < SPLITS; split++) sum +=
        QUAD(partial + (size_t)split * OUTPUTS * BATCH + at);
    *(__global float4 *)(y + at) =
        finish(sum, (int)(pixel / (OUT_HEIGHT * OUT_WIDTH)), at, bias, input);
}

/* Puts rows side by side, [channel][tap][TAP_STRIDE], with zeros behind the last. Launched with an
 * item per weight and zero. */
__kernel void convolution_tiles_pack(__global const float *restrict weights,
                                     __global float *restrict packed) {
    const size_t i = get_global_id(0);
    if (i >= (size_t)IN_CHANNELS * TERM_STRIDE) return;
    const int row = i % TAP_STRIDE, tap = i / TAP_STRIDE % KERNEL_TAPS;
    const size_t channel = i / TERM_STRIDE;
    packed[i] = row < OUT_CHANNELS ? weights[channel * IN_STRIDE + (size_t)tap * WEIGHT_TAP_STRIDE +
                                             (size_t)row * OUT_STRIDE]
                                   : 0.0f;
}
