/* SPDX-License-Identifier: MIT */
/* A convolution down or up (engine/ops/convolution/problem.h) by its definition, for few channels
 * on GPUs: so few that an item makes all outputs, or many of them, that an input serves, and no
 * tile of inputs is worth copying.
 *
 * Down, output pixel (gy, gx) collects
 *
 *     y[o][gy][gx][n] = sum over c, jy, jx of w[c][jy][jx][o]
 *                       x[c][gy * STRIDE_Y - PADDING_Y + jy][gx * STRIDE_X - PADDING_X + jx][n]
 *
 * Up, the output pixels that read the same input pixels are a cell: one of each phase (py, px), at
 * (gy * STRIDE_Y + py - PADDING_Y, gx * STRIDE_X + px - PADDING_X). Together they are one pixel of
 * a convolution without stride that has an output channel for each phase and channel,
 *
 *     y[py][px][o][gy][gx][n] = sum over c, jy, jx of
 *                       w[c][py + jy * STRIDE_Y][px + jx * STRIDE_X][o] x[c][gy - jy][gx - jx][n]
 *
 *     stride 2, kernel 4, padding 1      output   0  1  2  3  4  5
 *                                        cell     0  1  1  2  2  3     cell 1 reads input 1 and 0
 *                                        phase    1  0  1  0  1  0
 *
 * so that both are one loop; CELLS_* count what gy and gx do, and a pixel of the output is a cell
 * of one phase. Where the stride does not divide the kernel some phases lack the last tap.
 *
 * x and y are [channel][height][width][BATCH]; weight (c, tap, o) is at c * IN_STRIDE + tap *
 * TAP_STRIDE + o * OUT_STRIDE. An item sums TILE = TILE_PHASES * TILE_CHANNELS outputs of one cell
 * and quad (quad.cl):
 *
 *                   4 images
 *                  +--------+     each input quad, 128 bits, serves all outputs; weights are read
 *     TILE outputs |  sum   |     128 bits at a time, by all items of a cell alike
 *                  +--------+
 *
 * A work-group has QUADS x PIXELS x GROUP_TILES x SLICES items: quads of the batch, cells side by
 * side and tiles of outputs, which share inputs in a cache, and slices of the input channels, for
 * launches that would leave the device idle otherwise. The sums of the slices are added in order in
 * local memory.
 *
 * Options
 *     UP, IN_CHANNELS .. OUT_WIDTH, KERNEL_H .. PADDING_X, *_STRIDE   the problem
 *     BATCH, OCCUPIED    lanes of the batch in memory, and those that images may lie in
 *     BIAS               1: a bias is added
 *     ACTIVATION, INPUT_ACTIVATION   see common.cl
 *     CELLS_Y, CELLS_X, FIRST_CELL_Y, FIRST_CELL_X   how many there are along each axis, and the
 *                        first one's number (down: the pixels of the output, and 0)
 *     TILE_CHANNELS      output channels of an item (12)
 *     TILE_PHASES        phases of an item, row by row (4); more than 1: with all channels
 *     QUADS, PIXELS, GROUP_TILES, SLICES   of a work-group (32, 2, 1, 4)
 *     SLICE_CHANNELS     input channels of a slice at a time (3)
 *     STAGED             1: their weights are first copied to local memory, in the order of their
 *                        use; 0: they are read where they lie, 128 bits at a time, for which
 *                        OUT_STRIDE is 1, 4 divides TILE_CHANNELS, TAP_STRIDE and IN_STRIDE, and
 *                        SLICES * SLICE_CHANNELS divides IN_CHANNELS
 *     FEW_REGISTERS      1: weights are copied one by one
 *     CHANNEL_SUMS       see channel_sums.cl
 *
 * Launched with a work-group for each GROUP_TILES tiles, QUADS quads and PIXELS cells. Twin of
 * engine/ops/convolution/quads.c. */
#include "quad.cl"
#include "channel_sums.cl"

#define TILE_ITEMS (QUADS * PIXELS)
#define SLICE_ITEMS (TILE_ITEMS * GROUP_TILES)
#define GROUP_ITEMS (SLICE_ITEMS * SLICES)
#define TILE (TILE_PHASES * TILE_CHANNELS)
#define TILE_QUADS CEIL_DIV(TILE, 4)
#if UP
#define PHASES_Y STRIDE_Y
#define PHASES_X STRIDE_X
#else
#define PHASES_Y 1
#define PHASES_X 1
#endif
#define PHASES (PHASES_Y * PHASES_X)
/* Tiles of a phase, and of all. */
#define CHANNEL_TILES CEIL_DIV(OUT_CHANNELS, TILE_CHANNELS)
#define TILES (CHANNEL_TILES * CEIL_DIV(PHASES, TILE_PHASES))
#define TAPS_Y CEIL_DIV(KERNEL_H, PHASES_Y)
#define TAPS_X CEIL_DIV(KERNEL_W, PHASES_X)
#define CHUNKS (OCCUPIED / (4 * QUADS))
#define PLANE ((size_t)IN_HEIGHT * IN_WIDTH * BATCH)
/* Input channels of a work-group at a time, and how often. */
#define BLOCK_CHANNELS (SLICES * SLICE_CHANNELS)
#define BLOCKS CEIL_DIV(IN_CHANNELS, BLOCK_CHANNELS)
#define WHOLE_BLOCKS (IN_CHANNELS % BLOCK_CHANNELS == 0)

#define FOR_TILE UNROLL_FOR (int i = 0; i < TILE; i++)
#define FOR_TILE_QUADS UNROLL_FOR (int i = 0; i < TILE_QUADS; i++)

/* Where output i of a tile is: its channel, and its pixel, of cell (gy, gx). */
#define OUTPUT_PHASE(i) (first_phase + (i) / TILE_CHANNELS)
#define OUTPUT_CHANNEL(i) (first_channel + (i) % TILE_CHANNELS)
#if UP
#define OUTPUT_Y(i) (gy * STRIDE_Y + OUTPUT_PHASE(i) / PHASES_X - PADDING_Y)
#define OUTPUT_X(i) (gx * STRIDE_X + OUTPUT_PHASE(i) % PHASES_X - PADDING_X)
#else
#define OUTPUT_Y(i) gy
#define OUTPUT_X(i) gx
#endif

/* Local memory: the weights of a block, [tile][channel][jy][jx][TILE_QUADS]; then the sums of
 * slices. A quad more for each channel, so that channels lie in different banks. */
#define CHANNEL_QUADS (TAPS_Y * TAPS_X * TILE_QUADS + 1)
#define STAGED_QUADS (STAGED ? GROUP_TILES * BLOCK_CHANNELS * CHANNEL_QUADS : 1)
/* Outputs of each slice that are exchanged at a time, a multiple of SLICES. */
#define SHARED (SLICES == 1 ? 0 : SLICES)
#define SHARED_QUADS (SHARED * GROUP_ITEMS)
#define WORK_QUADS (STAGED_QUADS > SHARED_QUADS ? STAGED_QUADS : SHARED_QUADS)

/* Channel sums, of some outputs of a tile at a time: of each output of each tile, there is a run of
 * TILE_ITEMS pairs in local memory, one of each of the items that have it. SUM_LEADERS items add up
 * some of the pairs of a run each, and one item what these found. A part is of the cells of a
 * work-group, of one phase. Twin of sums_of in quads.c. */
#define SUMMED (SLICES > 1 ? SLICES : 4)
#define SUM_RUNS (SUMMED * GROUP_TILES)
#define SUM_LEADERS (TILE_ITEMS >= 128 ? 16 : TILE_ITEMS >= 32 ? 8 : TILE_ITEMS >= 8 ? 4 : 1)
#define SUM_QUADS (CHANNEL_SUMS ? CEIL_DIV(SUM_RUNS * TILE_ITEMS, 2) : 0)
#define LOCAL_QUADS (WORK_QUADS > SUM_QUADS ? WORK_QUADS : SUM_QUADS)
#define CELL_GROUPS CEIL_DIV(CELLS_Y *CELLS_X, PIXELS)

/* What comes first in a tile. */
#define FIRST_CHANNEL(tile) ((tile) % CHANNEL_TILES * TILE_CHANNELS)
#define FIRST_PHASE(tile) ((tile) / CHANNEL_TILES * TILE_PHASES)

/* Which part of the work an item has. */
typedef struct place {
    int first_tile, of_group;       /* the tile, counted from the work-group's first one */
    int first_channel, first_phase; /* of the tile */
    int first_cell, chunk;          /* of the work-group */
    int gy, gx, n;                  /* the cell and first image */
    int slice;
    bool there; /* the tile and the cell exist; else results are not written */
} place;

INLINE place place_of(size_t group, const int item) {
    place p;
    p.first_tile = group % CEIL_DIV(TILES, GROUP_TILES) * GROUP_TILES;
    group /= CEIL_DIV(TILES, GROUP_TILES);
    p.of_group = item / TILE_ITEMS % GROUP_TILES;
    const int tile = min(p.first_tile + p.of_group, TILES - 1);
    p.first_channel = FIRST_CHANNEL(tile);
    p.first_phase = FIRST_PHASE(tile);
    p.chunk = group % CHUNKS;
    group /= CHUNKS;
    p.n = (p.chunk * QUADS + item % QUADS) * 4;
    p.first_cell = (int)group * PIXELS;
    const int cell = p.first_cell + item / QUADS % PIXELS;
    p.slice = item / SLICE_ITEMS;
    p.there = cell < CELLS_Y * CELLS_X && p.first_tile + p.of_group < TILES;
    p.gy = FIRST_CELL_Y + cell / CELLS_X;
    p.gx = FIRST_CELL_X + cell % CELLS_X;
    return p;
}

/* The taps of a cell that meet the input along an axis, and the position that tap 0 meets. */
typedef struct tap_range {
    int first, last, input;
} tap_range;

INLINE tap_range taps_of(int cell, const int in_size, const int taps, const int stride,
                         const int padding) {
    tap_range r;
#if UP
    r.input = cell;
    r.first = max(0, cell - in_size + 1);
    r.last = min(taps, cell + 1);
#else
    r.input = cell * stride - padding;
    r.first = max(0, -r.input);
    r.last = min(taps, in_size - r.input);
#endif
    return r;
}
#if UP
#define INPUT_AT(range, j) ((range).input - (j))
#else
#define INPUT_AT(range, j) ((range).input + (j))
#endif
/* Taps of a phase. With several phases, those that one of them lacks have weights of 0. */
#define PHASE_TAPS(phase, phases, size)                                                            \
    (TILE_PHASES == 1 ? CEIL_DIV((size) - (phase), phases) : CEIL_DIV(size, phases))

#if STAGED
/* Without branches several loads are under way at a time, which takes registers. */
#if FEW_REGISTERS
#define STAGED_AT_A_TIME _Pragma("unroll 1")
#else
#define STAGED_AT_A_TIME _Pragma("unroll 4")
#endif
#define FOR_STAGED                                                                                 \
    STAGED_AT_A_TIME for (int i = get_local_id(0); i < BLOCK_CHANNELS * taps * width;              \
                          i += GROUP_ITEMS)

/* Copies the weights of a tile, of the input channels from `first` on. */
INLINE void stage(__global const float *weights, const int tile, const int first,
                  __local float *to) {
    const int taps = TAPS_Y * TAPS_X, width = 4 * TILE_QUADS;
    FOR_STAGED {
        /* Neighbouring items read neighbouring weights. */
#if IN_STRIDE < OUT_STRIDE
        const int c = i % BLOCK_CHANNELS, j = i / BLOCK_CHANNELS % taps;
        const int out = i / BLOCK_CHANNELS / taps;
#else
        const int out = i % width, j = i / width % taps, c = i / width / taps;
#endif
        const int phase = FIRST_PHASE(tile) + out / TILE_CHANNELS;
        const int o = FIRST_CHANNEL(tile) + out % TILE_CHANNELS;
        const int ky = phase / PHASES_X + j / TAPS_X * PHASES_Y;
        const int kx = phase % PHASES_X + j % TAPS_X * PHASES_X;
        const bool there = first + c < IN_CHANNELS && out < TILE && o < OUT_CHANNELS &&
                           phase < PHASES && ky < KERNEL_H && kx < KERNEL_W;
        const size_t at = (size_t)(first + c) * IN_STRIDE +
                          (size_t)(ky * KERNEL_W + kx) * TAP_STRIDE + (size_t)o * OUT_STRIDE;
        const float w = weights[there ? at : 0];
        to[4 * CHANNEL_QUADS * c + width * j + out] = there ? w : 0.0f;
    }
}
#endif

/* Where output i of the item's cell is; false: there is none. */
INLINE bool find_output(const place p, const int i, size_t *at) {
    const int first_channel = p.first_channel, first_phase = p.first_phase;
    const int gy = p.gy, gx = p.gx, oy = OUTPUT_Y(i), ox = OUTPUT_X(i), o = OUTPUT_CHANNEL(i);
    *at = (((size_t)o * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * BATCH + p.n;
    return p.there && o < OUT_CHANNELS && OUTPUT_PHASE(i) < PHASES && oy >= 0 && oy < OUT_HEIGHT &&
           ox >= 0 && ox < OUT_WIDTH;
}

/* Writes what becomes of v, the sum of output i over all slices, of the item's cell and quad, and
 * gives it back. */
INLINE float4 finish(float4 v, const place p, const int i, __global const float *bias,
                     __global const float *input, __global float *y) {
    const int first_channel = p.first_channel;
    size_t at;
#if BIAS /* also beyond the border: channel sums may take their origin from there */
    if (OUT_CHANNELS % TILE_CHANNELS == 0 || OUTPUT_CHANNEL(i) < OUT_CHANNELS)
        v += bias[OUTPUT_CHANNEL(i)];
#endif
    if (!find_output(p, i, &at)) return v;
#if INPUT_ACTIVATION
    v = quad_input_activation_backward(v, quad_load(input + at));
#else
    v = quad_activate(v);
#endif
    quad_store(v, y + at);
    return v;
}

#if CHANNEL_SUMS
/* Local memory for channel sums: pairs of all runs, those of leaders, and an origin of each run. */
typedef struct sums_room {
    __local float2 *pairs, *leaders;
    __local float *origins;
} sums_room;

/* The channel of output i of a tile; -1: there is none. */
INLINE int channel_of(const int tile, const int i) {
    const int channel = FIRST_CHANNEL(tile) + i % TILE_CHANNELS;
    const bool there = tile < TILES && i < TILE && channel < OUT_CHANNELS &&
                       FIRST_PHASE(tile) + i / TILE_CHANNELS < PHASES;
    return there ? channel : -1;
}

/* How many values of a phase the work-group has: cells with such an output, and images. */
INLINE float count_values(const place p, const int first_phase, const int n) {
    int cells = 0;
    for (int k = 0; k < PIXELS; k++) {
        const int cell = p.first_cell + k;
        const int gy = FIRST_CELL_Y + cell / CELLS_X, gx = FIRST_CELL_X + cell % CELLS_X;
        const int oy = OUTPUT_Y(0), ox = OUTPUT_X(0);
        cells +=
            cell < CELLS_Y * CELLS_X && oy >= 0 && oy < OUT_HEIGHT && ox >= 0 && ox < OUT_WIDTH;
    }
    return (float)(cells * clamp(n - p.chunk * QUADS * 4, 0, QUADS * 4));
}

/* Adds up the pairs of all runs, of the outputs from `first` on, and writes the parts. Every item
 * of the work-group calls it, once it has put its pairs there. */
INLINE void add_runs(const channel_sums *wanted, const place p, const int first, const int item,
                     sums_room room) {
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = item; i < SUM_RUNS * SUM_LEADERS; i += GROUP_ITEMS) {
        __local const float2 *run = room.pairs + i / SUM_LEADERS * TILE_ITEMS;
        float2 sum = (float2)(0.0f);
        for (int k = i % SUM_LEADERS; k < TILE_ITEMS; k += SUM_LEADERS) sum += run[k];
        room.leaders[i] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int run = item; run < SUM_RUNS; run += GROUP_ITEMS) {
        const int tile = p.first_tile + run % GROUP_TILES, i = first + run / GROUP_TILES;
        const int channel = channel_of(tile, i), phase = FIRST_PHASE(tile) + i / TILE_CHANNELS;
        if (channel < 0) continue;
        float2 sum = (float2)(0.0f);
        for (int k = 0; k < SUM_LEADERS; k++) sum += room.leaders[run * SUM_LEADERS + k];
        const int part = (phase * CELL_GROUPS + p.first_cell / PIXELS) * CHUNKS + p.chunk;
        const float count = wanted->normalized ? 0.0f : count_values(p, phase, wanted->n);
        put_channel_sums(wanted, sum, channel, part, room.origins[run], count);
    }
}

/* What is taken from is subtracted, for `run`: the mean of its channel, or an output of the first
 * item that has it. Every item calls it, for each of its runs; a barrier follows. */
INLINE void put_origin(const channel_sums *wanted, float4 v, const place p, const int i,
                       const int run, const int item, sums_room room) {
    if (item % TILE_ITEMS != 0) return;
    const int channel = channel_of(p.first_tile + p.of_group, i);
    room.origins[run] = !wanted->normalized ? v.x
                        : channel < 0       ? 0.0f
                                            : wanted->statistics[channel];
}

INLINE float2 pair_of(const channel_sums *wanted, float4 v, const place p, const int i,
                      const float origin) {
    size_t at;
    return find_output(p, i, &at) ? quad_sums(wanted, v, origin, at, p.n) : (float2)(0.0f);
}
#endif

__kernel __attribute__((reqd_work_group_size(GROUP_ITEMS, 1, 1))) void convolution_quads(
    __global const float *restrict x, __global const float *restrict weights,
    __global const float *restrict bias, __global const float *restrict input,
    __global float *restrict y, CHANNEL_SUMS_ARGUMENTS) {
    __local float4 room[LOCAL_QUADS];
#if CHANNEL_SUMS
    __local float2 leaders[SUM_RUNS * SUM_LEADERS];
    __local float origins[SUM_RUNS];
    const sums_room shared = {(__local float2 *)room, leaders, origins};
    const channel_sums wanted = CHANNEL_SUMS_WANTED;
#endif
    const int item = get_local_id(0);
    const place p = place_of(get_group_id(0), item);
    const int phase_y = p.first_phase / PHASES_X, phase_x = p.first_phase % PHASES_X;
    const tap_range rows =
        taps_of(p.gy, IN_HEIGHT, PHASE_TAPS(phase_y, PHASES_Y, KERNEL_H), STRIDE_Y, PADDING_Y);
    const tap_range columns =
        taps_of(p.gx, IN_WIDTH, PHASE_TAPS(phase_x, PHASES_X, KERNEL_W), STRIDE_X, PADDING_X);
    float4 sum[4 * TILE_QUADS];
    UNROLL_FOR (int i = 0; i < 4 * TILE_QUADS; i++) sum[i] = (float4)(0.0f);

    for (int block = 0; block < BLOCKS; block++) {
        const int first = block * BLOCK_CHANNELS + p.slice * SLICE_CHANNELS;
#if STAGED
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int t = 0; t < GROUP_TILES; t++)
            stage(weights, p.first_tile + t, block * BLOCK_CHANNELS,
                  (__local float *)(room + t * BLOCK_CHANNELS * CHANNEL_QUADS));
        barrier(CLK_LOCAL_MEM_FENCE);
#endif
        __global const float *plane = x + first * PLANE + p.n;
        for (int jy = rows.first; jy < rows.last; jy++)
            for (int jx = columns.first; jx < columns.last; jx++) {
                __global const float *pixel =
                    plane + (INPUT_AT(rows, jy) * IN_WIDTH + INPUT_AT(columns, jx)) * BATCH;
#if STAGED
                __local const float4 *w =
                    room +
                    (p.of_group * BLOCK_CHANNELS + p.slice * SLICE_CHANNELS) * CHANNEL_QUADS +
                    (jy * TAPS_X + jx) * TILE_QUADS;
#else
                const int tap = (phase_y + jy * PHASES_Y) * KERNEL_W + phase_x + jx * PHASES_X;
                __global const float *w = weights + (size_t)first * IN_STRIDE +
                                          (size_t)tap * TAP_STRIDE + p.first_channel;
#endif
                UNROLL_FOR (int c = 0; c < SLICE_CHANNELS; c++) {
                    /* Channels beyond the last have weights of 0. */
                    const int beyond = WHOLE_BLOCKS ? 0 : max(0, first + c - (IN_CHANNELS - 1));
                    const float4 v = quad_load(pixel + (c - beyond) * (long)PLANE);
                    FOR_TILE_QUADS {
#if STAGED
                        const float4 a = w[c * CHANNEL_QUADS + i];
#else
                        const float4 a = quad_load(w + c * IN_STRIDE + 4 * i);
#endif
                        sum[4 * i] = fma((float4)(a.x), v, sum[4 * i]);
                        sum[4 * i + 1] = fma((float4)(a.y), v, sum[4 * i + 1]);
                        sum[4 * i + 2] = fma((float4)(a.z), v, sum[4 * i + 2]);
                        sum[4 * i + 3] = fma((float4)(a.w), v, sum[4 * i + 3]);
                    }
                }
            }
    }
#if SLICES == 1
    FOR_TILE sum[i] = finish(sum[i], p, i, bias, input, y);
#if CHANNEL_SUMS
    UNROLL_FOR (int first = 0; first < TILE; first += SUMMED) {
        UNROLL_FOR (int k = 0; k < SUMMED; k++)
            if (first + k < TILE)
                put_origin(&wanted, sum[first + k], p, first + k, k * GROUP_TILES + p.of_group,
                           item, shared);
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL_FOR (int k = 0; k < SUMMED; k++)
            if (first + k < TILE)
                shared.pairs[k * GROUP_ITEMS + item] = pair_of(
                    &wanted, sum[first + k], p, first + k, origins[k * GROUP_TILES + p.of_group]);
        add_runs(&wanted, p, first, item, shared);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#endif
#else
    /* SLICES outputs at a time: each slice adds up one of them. */
    UNROLL_FOR (int i = 0; i < TILE; i += SLICES) {
        float4 total = (float4)(0.0f);
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL_FOR (int k = 0; k < SLICES; k++)
            if (i + k < TILE) room[k * GROUP_ITEMS + item] = sum[i + k];
        barrier(CLK_LOCAL_MEM_FENCE);
        if (i + p.slice < TILE) {
            __local const float4 *from = room + p.slice * GROUP_ITEMS + item % SLICE_ITEMS;
            total = from[0];
            UNROLL_FOR (int k = 1; k < SLICES; k++) total += from[k * SLICE_ITEMS];
            total = finish(total, p, i + p.slice, bias, input, y);
        }
#if CHANNEL_SUMS
        const int run = p.slice * GROUP_TILES + p.of_group;
        put_origin(&wanted, total, p, i + p.slice, run, item, shared);
        barrier(CLK_LOCAL_MEM_FENCE);
        shared.pairs[item] = pair_of(&wanted, total, p, i + p.slice, origins[run]);
        add_runs(&wanted, p, i, item, shared);
#endif
    }
#endif
}
