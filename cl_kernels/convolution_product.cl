/* SPDX-License-Identifier: MIT */
/* Included by kernels that compute a convolution down or up (engine/ops/convolution/problem.h;
 * formula and order of indices in convolution.cl) as a matrix product, for GPUs and many channels:
 *
 *     y[row][column] = a(bias[row] + sum over terms of w[term][row] x[term][column])
 *
 * Rows are output channels. Columns are GROUP_PIXELS pixels of an output row, those of one phase,
 * of IMAGES images each. Terms are pairs of a tap and an input channel, channels innermost; taps
 * beyond the border are left out. A work-group computes GROUP_ROWS x GROUP_COLUMNS outputs, from
 * slabs of SLAB terms.
 *
 * Weight (c, tap, row) is at c * TERM_STRIDE + tap * TAP_STRIDE + row * ROW_STRIDE. Either rows or
 * terms lie side by side, in quads that are aligned; where they do not, convolution_product_pack
 * copies the weights first. All memory is read and written in quads of floats, 128 bits.
 *
 * Options
 *     UP, IN_CHANNELS .. OUT_WIDTH, KERNEL_H .. PADDING_X   the problem
 *     BATCH, OCCUPIED    lanes of the batch in memory, and those that images may lie in (128, 128)
 *     BIAS               1: a bias is added
 *     ACTIVATION, INPUT_ACTIVATION   see common.cl
 *     TERM_STRIDE, TAP_STRIDE, ROW_STRIDE   where weights lie, in floats
 *     IN_STRIDE, WEIGHT_TAP_STRIDE, OUT_STRIDE   of convolution_product_pack: where they come from
 *     GROUP_ROWS, GROUP_COLUMNS   of a work-group (128, 128)
 *     GROUP_PIXELS       of its columns (1)
 *     SLAB               terms copied at a time (8)
 *     SPLITS             parts of the sum over terms (1 to 128). With several y gets [SPLITS]
 *                        partial sums, and convolution_product_finish adds them in order
 *     CHANNEL_SUMS       see channel_sums.cl. With several splits it is 0, and
 *                        convolution_product_finish_sums takes them
 *
 * Launched with tiles x splits work-groups. Twin of engine/ops/convolution/tiled.c. */
#include "channel_sums.cl"
#include "taps.cl"

#define IMAGES (GROUP_COLUMNS / GROUP_PIXELS)
#define ROW_GROUPS CEIL_DIV(OUT_CHANNELS, GROUP_ROWS)
#define CHUNKS (OCCUPIED / IMAGES)
#define RUNS CEIL_DIV(CEIL_DIV(OUT_WIDTH, PHASES_X), GROUP_PIXELS)
#define CHANNEL_SLABS CEIL_DIV(IN_CHANNELS, SLAB)
#define PLANE ((size_t)IN_HEIGHT * IN_WIDTH * BATCH)
#define OUTPUTS ((size_t)OUT_CHANNELS * OUT_HEIGHT * OUT_WIDTH)
#define ROWS_SIDE_BY_SIDE (ROW_STRIDE == 1)
#if UP
#define PIXEL_STEP 1 /* of the input, from a pixel of the run to the next */
#else
#define PIXEL_STEP STRIDE_X
#endif

#define QUAD(address) (*(__global const float4 *)(address))

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

/* Where a slab's inputs of a column are; `inside`: whether its pixel is one of the input. */
INLINE __global const float *inputs_at(__global const float *x, piece p, place at, int column,
                                       bool *inside) {
    const int iy = p.rows.input + at.jy * TAP_DIRECTION;
    const int ix = p.columns.input + at.jx * TAP_DIRECTION + column / IMAGES * PIXEL_STEP;
    *inside = GROUP_PIXELS == 1 || (ix >= 0 && ix < IN_WIDTH);
    return x + ((long)iy * IN_WIDTH + ix) * BATCH + p.image + column % IMAGES +
           (size_t)at.channel * PLANE;
}

/* Where a slab's weights of the first row are. */
INLINE __global const float *weights_at(__global const float *weights, piece p, place at) {
    const int tap =
        (p.rows.phase + at.jy * PHASES_Y) * KERNEL_W + p.columns.phase + at.jx * PHASES_X;
    return weights + (size_t)tap * TAP_STRIDE + (size_t)at.channel * TERM_STRIDE +
           (size_t)p.row * ROW_STRIDE;
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

/* Where a quad of outputs is; row, column: of the group's tile. false: there is none. */
INLINE bool find_quad(piece p, int row, int column, size_t *at) {
    const int channel = p.row + row, ox = p.ox + column / IMAGES * PHASES_X;
    *at = (((size_t)channel * OUT_HEIGHT + p.oy) * OUT_WIDTH + ox) * BATCH + p.image +
          column % IMAGES;
    return (OUT_CHANNELS % GROUP_ROWS == 0 || channel < OUT_CHANNELS) && ox < OUT_WIDTH;
}

/* Writes a quad of outputs, or of partial sums, and gives it back. */
INLINE float4 write_quad(float4 sum, piece p, int row, int column, __global const float *bias,
                         __global const float *input, __global float *y) {
    size_t at;
    if (!find_quad(p, row, column, &at)) return sum;
    const float4 v = SPLITS > 1 ? sum : finish(sum, p.row + row, at, bias, input);
    *(__global float4 *)(y + at) = v;
    return v;
}

/* Channel sums of a group's tile. Each row of it has so many `entries`, the sums of items over
 * their own quads, in local memory: [GROUP_ROWS][entries], and what they are taken from,
 * [GROUP_ROWS]. The slabs lie there before. */
typedef struct sums_room {
    __local float2 *entries;
    __local float *origins;
} sums_room;
#define SUM_FLOATS(entries) (CHANNEL_SUMS ? GROUP_ROWS * (2 * (entries) + 1) : 0)
#define SUMS_ROOM(room, entries)                                                                   \
    { (__local float2 *)(room), (__local float *)(room) + 2 * GROUP_ROWS *(entries) }

/* v: the quad of the row's first column, by the item that has it; before a barrier. */
INLINE void put_origin(const channel_sums *wanted, float4 v, piece p, int row, sums_room room) {
    room.origins[row] = !wanted->normalized          ? v.x
                        : p.row + row < OUT_CHANNELS ? wanted->statistics[p.row + row]
                                                     : 0.0f;
}

/* The sums of a quad. */
INLINE float2 sums_of(const channel_sums *wanted, float4 v, piece p, int row, int column,
                      sums_room room) {
    size_t at;
    if (!find_quad(p, row, column, &at)) return (float2)(0.0f);
    return quad_sums(wanted, v, room.origins[row], at, p.image + column % IMAGES);
}

/* Adds up the entries of all rows, and writes the parts. Every item of the group calls it, once it
 * has put its entries there. A part is of the columns of a group. */
INLINE void add_entries(const channel_sums *wanted, piece p, int group, int item, int items,
                        const int entries, sums_room room) {
    const int pixels = clamp(CEIL_DIV(OUT_WIDTH - p.ox, PHASES_X), 0, GROUP_PIXELS);
    const int images = clamp(wanted->n - p.image, 0, IMAGES);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int row = item; row < min(GROUP_ROWS, OUT_CHANNELS - p.row); row += items) {
        float2 sum = (float2)(0.0f);
        for (int i = 0; i < entries; i++) sum += room.entries[row * entries + i];
        put_channel_sums(wanted, sum, p.row + row, group / ROW_GROUPS, room.origins[row],
                         (float)pixels * images);
    }
}

INLINE float4 sum_of_splits(__global const float *partial, size_t at) {
    float4 sum = (float4)(0.0f);
    _Pragma("unroll 8") for (int split = 0; split < SPLITS; split++) sum +=
        QUAD(partial + (size_t)split * OUTPUTS * BATCH + at);
    return sum;
}

/* Adds the splits. Launched with an item per quad of lanes that images may lie in. */
__kernel void convolution_product_finish(__global const float *restrict partial,
                                         __global const float *restrict bias,
                                         __global const float *restrict input,
                                         __global float *restrict y) {
    const size_t quad = get_global_id(0), pixel = quad / (OCCUPIED / 4);
    if (pixel >= OUTPUTS) return;
    const size_t at = pixel * BATCH + quad % (OCCUPIED / 4) * 4;
    *(__global float4 *)(y + at) = finish(sum_of_splits(partial, at),
                                          (int)(pixel / (OUT_HEIGHT * OUT_WIDTH)), at, bias, input);
}

/* The same, and takes channel sums on the way, a part of each work-group. Launched with (1, parts of
 * part_pixels pixels, channels) work-groups. */
__kernel GROUP_ATTRIBUTE void convolution_product_finish_sums(
    __global const float *restrict partial, __global const float *restrict bias,
    __global const float *restrict input, __global float *restrict y, CHANNEL_SUMS_ARGUMENTS,
    int part_pixels) {
    enum { PIXEL_QUADS = OCCUPIED / 4 };
#if GROUP_SIZE > 1
    __local float room[GROUP_SIZE];
#endif
    const channel_sums wanted = CHANNEL_SUMS_WANTED;
    const int part = get_group_id(1), channel = get_group_id(2);
    const int first = part * part_pixels;
    const int pixels = min(part_pixels, OUT_HEIGHT * OUT_WIDTH - first);
    const size_t start = ((size_t)channel * OUT_HEIGHT * OUT_WIDTH + first) * BATCH;
    const float origin = normalized
                             ? statistics[channel]
                             : finish(sum_of_splits(partial, start), channel, start, bias, input).x;
    float2 sums = (float2)(0.0f);
    for (int quad = get_local_id(0); quad < pixels * PIXEL_QUADS; quad += GROUP_SIZE) {
        const int lane = quad % PIXEL_QUADS * 4;
        const size_t at = start + (size_t)(quad / PIXEL_QUADS) * BATCH + lane;
        const float4 v = finish(sum_of_splits(partial, at), channel, at, bias, input);
        *(__global float4 *)(y + at) = v;
        sums += quad_sums(&wanted, v, origin, at, lane);
    }
    sums.x = group_sum(sums.x, room);
    sums.y = group_sum(sums.y, room);
    if (get_local_id(0) == 0)
        put_channel_sums(&wanted, sums, channel, part, origin, (float)pixels * n);
}

/* Puts rows side by side, [channel][tap][TAP_STRIDE], with zeros behind the last. Launched with an
 * item per weight and zero. */
__kernel void convolution_product_pack(__global const float *restrict weights,
                                       __global float *restrict packed) {
    const size_t i = get_global_id(0);
    if (i >= (size_t)IN_CHANNELS * TERM_STRIDE) return;
    const int row = i % TAP_STRIDE, tap = i / TAP_STRIDE % KERNEL_TAPS;
    const size_t channel = i / TERM_STRIDE;
    packed[i] = row < OUT_CHANNELS ? weights[channel * IN_STRIDE + (size_t)tap * WEIGHT_TAP_STRIDE +
                                             (size_t)row * OUT_STRIDE]
                                   : 0.0f;
}
