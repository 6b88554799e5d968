/* SPDX-License-Identifier: MIT */
/* A convolution down or up (engine/ops/convolution/problem.h) by its definition: every output pixel
 * collects the input pixels that its taps reach,
 *
 *     y[o][oy][ox][n] = a(bias[o] + sum over c, ky, kx of w[c][ky][kx][o] x[c][iy][ix][n])
 *
 *     UP 0  iy = oy * STRIDE_Y - PADDING_Y + ky
 *     UP 1  the transpose: the iy for which iy * STRIDE_Y - PADDING_Y + ky = oy
 *
 * and the same along x. Either way the taps that exist are ky = phase + j * PHASES for j in a
 * range, and j's input row is row 0's plus or minus j, so that no tap is ever tested. UP has as
 * many phases as the stride, as neighbouring output pixels have other taps; down has one.
 *
 * x and y are [channel][height][width][BATCH]; weight (c, tap, o) is at c * IN_STRIDE + tap *
 * TAP_STRIDE + o * OUT_STRIDE. For CPUs convolution_pack puts it where packed_offset says, in the
 * order in which it is read. Lanes read a weight once for a whole work-group, where it lies.
 *
 * An item's sums are a tile of channels and vectors of the batch of one pixel, in registers:
 *
 *                      TILE_VECTORS vectors of the batch
 *                     +------+------+
 *     TILE_CHANNELS   | sum  | sum  |    each weight is read once for all vectors of a row,
 *     output channels +------+------+    each input vector once for all channels of a column
 *                     | sum  | sum  |
 *                     +------+------+
 *
 * Tiles that do not divide their dimension overlap: the last one is moved back, and writes some
 * values a second time. How items go through pixels, by the host's algorithm:
 *
 *     direct.c  STAGED 0, BY_PHASES 0   TILE_RUN pixels of a row, one after the other
 *     direct.c  BY_PHASES 1             TILE_RUN groups of pixels of a row, all chunks of the batch
 *     staged.c  STAGED n                all channels of one pixel, n input channels at a time
 *
 * Options
 *     UP, IN_CHANNELS .. OUT_WIDTH, KERNEL_H .. PADDING_X, *_STRIDE   the problem
 *     BATCH, OCCUPIED    lanes of the batch in memory, and those that images may lie in (144, 128)
 *     BIAS               1: a bias is added
 *     ACTIVATION, INPUT_ACTIVATION   see common.cl
 *     COMPARED           1: outputs can be compared with images on their way, see comparison.cl
 *     TILE_CHANNELS      output channels of a tile (12)
 *     TILE_VECTORS       vectors of the batch of a tile (2)
 *     TILE_RUN           pixels, groups or chunks of an item, see above (1 to 16)
 *     STAGED             input channels copied at a time (64); 0: not copied
 *     BY_PHASES          1: all phases of a row together
 *     ROW_GROUPS         BY_PHASES: such groups in a row
 *
 * Launched with a work-group per item. */
#include "comparison.cl"
#include "taps.cl"

#define TILE_FIRST(tile) FIRST_OF_TILE(tile, TILE_CHANNELS, OUT_CHANNELS)
#define BATCH_VECTORS (OCCUPIED / LANE_STRIDE)
#define CHUNKS CEIL_DIV(BATCH_VECTORS, TILE_VECTORS)
#define CHUNK_LANE(chunk)                                                                          \
    (LANE_BASE(0, 0) + (size_t)FIRST_OF_TILE(chunk, TILE_VECTORS, BATCH_VECTORS) * LANE_STRIDE)
#define TILES CEIL_DIV(OUT_CHANNELS, TILE_CHANNELS)

/* Taps of the phases before a phase. */
static inline int taps_before(int phase, int phases, int kernel_size) {
    return phase * (kernel_size / phases) + min(phase, kernel_size % phases);
}

/* Where the weights of a phase begin, as the gather reads them:
 * [tile][phase_y][phase_x][input channel][tap_y of the phase][tap_x][channel of the tile]. */
static inline size_t packed_offset(int tile, int phase_y, int phase_x) {
    const int before =
        taps_before(phase_y, PHASES_Y, KERNEL_H) * KERNEL_W +
        phase_taps(phase_y, PHASES_Y, KERNEL_H) * taps_before(phase_x, PHASES_X, KERNEL_W);
    return ((size_t)tile * KERNEL_TAPS + before) * IN_CHANNELS * TILE_CHANNELS;
}

/* Puts the weights in that order. Launched with a work-group per input channel and tile. */
__kernel GROUP_ATTRIBUTE void convolution_pack(__global const float *restrict weights,
                                               __global float *restrict packed) {
    const int c = get_group_id(0), tile = get_group_id(1);
    __global const float *from =
        weights + (size_t)c * IN_STRIDE + (size_t)TILE_FIRST(tile) * OUT_STRIDE;
    for (int i = get_local_id(0); i < KERNEL_TAPS * TILE_CHANNELS; i += GROUP_SIZE) {
        const int tap = i / TILE_CHANNELS, ky = tap / KERNEL_W, kx = tap % KERNEL_W;
        const int phase_y = ky % PHASES_Y, phase_x = kx % PHASES_X;
        const size_t row = (size_t)c * phase_taps(phase_y, PHASES_Y, KERNEL_H) + ky / PHASES_Y;
        const size_t at = row * phase_taps(phase_x, PHASES_X, KERNEL_W) + kx / PHASES_X;
        packed[packed_offset(tile, phase_y, phase_x) + at * TILE_CHANNELS + i % TILE_CHANNELS] =
            from[(size_t)tap * TAP_STRIDE + (size_t)(i % TILE_CHANNELS) * OUT_STRIDE];
    }
}

#define FOR_CHANNELS UNROLL_FOR (int i = 0; i < TILE_CHANNELS; i++)
#define FOR_VECTORS UNROLL_FOR (int j = 0; j < TILE_VECTORS; j++)

#if BIAS
#define SUM_START(channel) ((vec)(bias[channel]))
#else
#define SUM_START(channel) ((vec)(0.0f))
#endif
#define ADD_TAP(weights, inputs)                                                                   \
    {                                                                                              \
        FOR_CHANNELS FOR_VECTORS sum[i][j] =                                                       \
            fma((vec)((weights)[i * CHANNEL_STEP]), (inputs)[j], sum[i][j]);                       \
    }
/* Where the weights of a tile and phase begin, and from there to those of the next channel of the
 * tile, tap of a row, row of taps and input channel. */
#if LANES
#define FIRST_WEIGHT(tile, rows, columns)                                                          \
    ((size_t)TILE_FIRST(tile) * OUT_STRIDE +                                                       \
     (size_t)((rows).phase * KERNEL_W + (columns).phase) * TAP_STRIDE)
#define CHANNEL_STEP OUT_STRIDE
#define TAP_STEP (PHASES_X * TAP_STRIDE)
#define ROW_STEP(columns) (PHASES_Y * KERNEL_W * TAP_STRIDE)
#define INPUT_STEP(rows, columns) IN_STRIDE
#else
#define FIRST_WEIGHT(tile, rows, columns) packed_offset(tile, (rows).phase, (columns).phase)
#define CHANNEL_STEP 1
#define TAP_STEP TILE_CHANNELS
#define ROW_STEP(columns) ((columns).taps * TILE_CHANNELS)
#define INPUT_STEP(rows, columns) ((rows).taps * ROW_STEP(columns))
#endif

#if INPUT_ACTIVATION
#define FINISH(value, at) input_activation_backward(value, vec_load(input + (at)))
#else
#define FINISH(value, at) activate(value)
#endif
#define OUTPUT_AT(channel, ox, lane)                                                               \
    ((((size_t)OUT_HEIGHT * (channel) + oy) * OUT_WIDTH + (ox)) * BATCH + (lane))
#if COMPARED
#define PUT_ERRORS(error, part, lane)                                                              \
    {                                                                                              \
        if (with->target)                                                                          \
            FOR_VECTORS vec_store(error[j], with->errors + (part) * (size_t)BATCH + (lane) +       \
                                                j * LANE_STRIDE);                                  \
    }
#define FOR_OUTPUTS(channel, lane, DO)                                                             \
    FOR_CHANNELS FOR_VECTORS {                                                                     \
        const size_t at = OUTPUT_AT((channel) + i, ox, lane) + j * LANE_STRIDE;                    \
        DO;                                                                                        \
    }
/* The conditions are outside of the loops. */
#define WRITE_TILE(channel, lane)                                                                  \
    {                                                                                              \
        FOR_CHANNELS FOR_VECTORS sum[i][j] = activate(sum[i][j]);                                  \
        if (with->target)                                                                          \
            FOR_OUTPUTS(channel, lane, error[j] = add_errors(sum[i][j], with, at, error[j]))       \
        if (with->target && y)                                                                     \
            FOR_OUTPUTS(channel, lane,                                                             \
                        sum[i][j] =                                                                \
                            error_gradient(sum[i][j], with, at, (int)(lane) + j * LANE_STRIDE))    \
        if (y) FOR_OUTPUTS(channel, lane, vec_store(sum[i][j], y + at))                            \
    }
#else
#define PUT_ERRORS(error, part, lane)                                                              \
    {}
#define WRITE_TILE(channel, lane)                                                                  \
    {                                                                                              \
        FOR_CHANNELS {                                                                             \
            const size_t at = OUTPUT_AT((channel) + i, ox, lane);                                  \
            FOR_VECTORS {                                                                          \
                vec_store(FINISH(sum[i][j], at + j * LANE_STRIDE), y + at + j * LANE_STRIDE);      \
            }                                                                                      \
        }                                                                                          \
    }
#endif
/* Prefetches what will be written or compared with, while the sums are computed. */
#define PREFETCH_TILE(channel, ox, lane)                                                           \
    FOR_CHANNELS FOR_VECTORS {                                                                     \
        const size_t at = OUTPUT_AT((channel) + i, ox, lane) + j * LANE_STRIDE;                    \
        if (!COMPARED || y) prefetch_line(y + at, 1, 1);                                           \
        if (COMPARED && with->target) prefetch_line(with->target + at, 0, 1);                      \
    }

/* Declares the next coordinate and takes it off the linear index `group`. */
#define NEXT(name, count)                                                                          \
    const int name = group % (count);                                                              \
    group /= (count)

#define PLANE (IN_HEIGHT * (size_t)IN_WIDTH * BATCH)

/* How many input channels, or pixels of a row, ahead of their use inputs are prefetched on CPUs:
 * they are too far apart for the hardware to predict. */
#define AHEAD 3
#define PIXELS_AHEAD 2

#if BY_PHASES
/* For few channels of an UP gather, where one pixel has too few sums: an item computes all phases
 * of a row that read the same pixels, which lie side by side, for TILE_RUN such groups. Group g has
 * the output pixels at positions g * STRIDE_X + phase - PADDING_X. */
#define RUNS CEIL_DIV(ROW_GROUPS, TILE_RUN)
#define COLUMN_TAPS_OF_PHASES CEIL_DIV(KERNEL_W, PHASES_X)
#define FOR_PHASES UNROLL_FOR (int p = 0; p < PHASES_X; p++)
#define ROW_TAPS_OF_PHASE (KERNEL_H / STRIDE_Y) /* where the stride divides the kernel */

/* Adds the taps of a row to the sums of group g. row: the pixel that its first tap meets; row_tap:
 * the row's number among those of a phase's weights; whole: no tap is beyond the border. */
INLINE void add_row(__global const float *row, __global const float *packed, tap_range rows,
                    int tile, int row_tap, int g, const bool whole,
                    vec sums[PHASES_X][TILE_CHANNELS][TILE_VECTORS]) {
    FOR_VECTORS if (j * VECTOR_WIDTH % LINE == 0)
        prefetch_line(row + PIXELS_AHEAD * BATCH + j * LANE_STRIDE, 0, 1);
    UNROLL_FOR (int jx = 0; jx < COLUMN_TAPS_OF_PHASES; jx++) {
        if (!whole && (g - jx < 0 || g - jx >= IN_WIDTH)) continue;
        vec v[TILE_VECTORS];
        FOR_VECTORS v[j] = vec_load(row - jx * BATCH + j * LANE_STRIDE);
        FOR_PHASES {
            const int taps = phase_taps(p, PHASES_X, KERNEL_W);
            if (jx >= taps) continue;
            __global const float *w = packed + packed_offset(tile, rows.phase, p) +
                                      ((size_t)row_tap * taps + jx) * TILE_CHANNELS;
            FOR_CHANNELS FOR_VECTORS sums[p][i][j] = fma((vec)(w[i]), v[j], sums[p][i][j]);
        }
    }
}

/* Adds all taps of a group, without testing each where all of them exist. */
INLINE void add_taps(__global const float *x, __global const float *packed, tap_range rows,
                     int tile, int g, vec sums[PHASES_X][TILE_CHANNELS][TILE_VECTORS]) {
    const bool whole = KERNEL_H % STRIDE_Y == 0 && rows.last - rows.first == ROW_TAPS_OF_PHASE &&
                       g >= COLUMN_TAPS_OF_PHASES - 1 && g < IN_WIDTH;
    __global const float *pixel = x + ((size_t)rows.input * IN_WIDTH + g) * BATCH;
    for (int c = 0; c < IN_CHANNELS; c++, pixel += PLANE) {
        if (whole) {
            UNROLL_FOR (int jy = 0; jy < ROW_TAPS_OF_PHASE; jy++)
                add_row(pixel - jy * IN_WIDTH * (size_t)BATCH, packed, rows, tile,
                        c * ROW_TAPS_OF_PHASE + jy, g, true, sums);
        } else {
            for (int jy = rows.first; jy < rows.last; jy++)
                add_row(pixel - jy * IN_WIDTH * (size_t)BATCH, packed, rows, tile,
                        c * rows.taps + jy, g, false, sums);
        }
    }
}

/* One tile of all pixels of group g, for the vectors from `lane` on. */
INLINE void compute_group(__global const float *x, __global const float *packed,
                          __global const float *bias, __global const float *input,
                          __global float *y, const comparison *with, tap_range rows, int tile,
                          int oy, int g, size_t lane, vec error[TILE_VECTORS]) {
    vec sums[PHASES_X][TILE_CHANNELS][TILE_VECTORS];
    FOR_PHASES FOR_CHANNELS FOR_VECTORS sums[p][i][j] = SUM_START(TILE_FIRST(tile) + i);
    FOR_PHASES PREFETCH_TILE(TILE_FIRST(tile), g * STRIDE_X + p - PADDING_X, lane)
        add_taps(x + lane, packed, rows, tile, g, sums);
    FOR_PHASES {
        const int ox = g * STRIDE_X + p - PADDING_X;
        if (ox < 0 || ox >= OUT_WIDTH) continue;
        vec sum[TILE_CHANNELS][TILE_VECTORS];
        FOR_CHANNELS FOR_VECTORS sum[i][j] = sums[p][i][j];
        WRITE_TILE(TILE_FIRST(tile), lane)
    }
}

/* Computes all chunks of a pixel before the next pixel, so that memory is touched in runs. */
PART void compute(__global const float *restrict x, __global const float *restrict packed,
                  __global const float *restrict bias, __global const float *restrict input,
                  __global float *restrict y, const comparison *with, size_t group) {
    NEXT(tile, TILES);
    NEXT(run, RUNS);
    const int oy = group;
    const tap_range rows = ROW_TAPS(oy);
    const int last = PADDING_X / STRIDE_X + min(run * TILE_RUN + TILE_RUN, ROW_GROUPS);
    vec errors[CHUNKS][TILE_VECTORS];
    for (int chunk = 0; chunk < CHUNKS; chunk++) FOR_VECTORS errors[chunk][j] = (vec)(0.0f);
    for (int g = PADDING_X / STRIDE_X + run * TILE_RUN; g < last; g++)
        for (int chunk = 0; chunk < CHUNKS; chunk++)
            compute_group(x, packed, bias, input, y, with, rows, tile, oy, g, CHUNK_LANE(chunk),
                          errors[chunk]);
    for (int chunk = 0; chunk < CHUNKS; chunk++)
        PUT_ERRORS(errors[chunk], (oy * RUNS + run) * TILES + tile, CHUNK_LANE(chunk))
}

#elif !STAGED
/* A work-item computes TILE_CHANNELS channels x TILE_VECTORS vectors of the batch of TILE_RUN
 * pixels of a row, one after the other. */
#define RUNS CEIL_DIV(OUT_WIDTH, TILE_RUN)
PART void compute(__global const float *restrict x, __global const float *restrict weights,
                  __global const float *restrict bias, __global const float *restrict input,
                  __global float *restrict y, const comparison *with, size_t group) {
    NEXT(chunk, CHUNKS);
    NEXT(tile, TILES);
    NEXT(run, RUNS);
    const int oy = group;
    const size_t lane = CHUNK_LANE(chunk);
    const tap_range rows = ROW_TAPS(oy);
    const int last = min(run * TILE_RUN + TILE_RUN, OUT_WIDTH);
    vec error[TILE_VECTORS];
    FOR_VECTORS error[j] = (vec)(0.0f);
    for (int ox = run * TILE_RUN; ox < last; ox++) {
        const tap_range columns = COLUMN_TAPS(ox);
        __global const float *tap = weights + FIRST_WEIGHT(tile, rows, columns);
        vec sum[TILE_CHANNELS][TILE_VECTORS];
        FOR_CHANNELS FOR_VECTORS sum[i][j] = SUM_START(TILE_FIRST(tile) + i);
        PREFETCH_TILE(TILE_FIRST(tile), ox, lane)
        for (int c = 0; c < IN_CHANNELS; c++) {
            __global const float *plane = x + (size_t)c * PLANE + lane;
            for (int jy = rows.first; jy < rows.last; jy++) {
                __global const float *row =
                    plane + (size_t)(rows.input + jy * TAP_DIRECTION) * (IN_WIDTH * (size_t)BATCH);
                for (int jx = columns.first; jx < columns.last; jx++) {
                    __global const float *pixel =
                        row + (size_t)(columns.input + jx * TAP_DIRECTION) * BATCH;
                    vec v[TILE_VECTORS];
                    FOR_VECTORS v[j] = vec_load(pixel + j * LANE_STRIDE);
                    FOR_VECTORS prefetch_line(pixel + AHEAD * PLANE + j * LANE_STRIDE, 0, 1);
                    ADD_TAP(tap + jy * ROW_STEP(columns) + jx * TAP_STEP, v)
                }
            }
            tap += INPUT_STEP(rows, columns);
        }
        WRITE_TILE(TILE_FIRST(tile), lane)
    }
    PUT_ERRORS(error, (oy * RUNS + run) * TILES + tile, lane)
}

#else
/* If many tiles of channels read the same pixels, these are first copied side by side: planes whose
 * distance is a power of two would compete for the same sets of a cache. A work-item (one per
 * work-group) computes all channels of TILE_RUN chunks of vectors of a pixel, STAGED input channels
 * at a time; between them the sums are kept in `sums`. */
#define GROUPS_OF_CHUNKS CEIL_DIV(CHUNKS, TILE_RUN)
#define WINDOW_TAPS (CEIL_DIV(KERNEL_H, PHASES_Y) * CEIL_DIV(KERNEL_W, PHASES_X))
#define BLOCKS CEIL_DIV(IN_CHANNELS, STAGED)
PART void compute(__global const float *restrict x, __global const float *restrict packed,
                  __global const float *restrict bias, __global const float *restrict input,
                  __global float *restrict y, const comparison *with, size_t group,
                  ROOM vec *window, ROOM vec (*sums)[TILE_CHANNELS][TILE_VECTORS]) {
    NEXT(chunk_group, GROUPS_OF_CHUNKS);
    NEXT(ox, OUT_WIDTH);
    const int oy = group;
    const tap_range rows = ROW_TAPS(oy), columns = COLUMN_TAPS(ox);
    const int first_chunk = chunk_group * TILE_RUN;
    const int chunks = min(TILE_RUN, CHUNKS - first_chunk);
    const int row_weights = columns.taps * TILE_CHANNELS;

    for (int block = 0; block < BLOCKS; block++) {
        const int first_channel = block * STAGED;
        const int channels = min(STAGED, IN_CHANNELS - first_channel);
        ROOM vec *to = window;
        for (int chunk = 0; chunk < chunks; chunk++) {
            __global const float *plane =
                x + CHUNK_LANE(first_chunk + chunk) + (size_t)first_channel * PLANE;
            for (int c = 0; c < channels; c++) {
                for (int jy = rows.first; jy < rows.last; jy++) {
                    __global const float *row = plane + (size_t)(rows.input + jy * TAP_DIRECTION) *
                                                            (IN_WIDTH * (size_t)BATCH);
                    for (int jx = columns.first; jx < columns.last; jx++) {
                        __global const float *pixel =
                            row + (size_t)(columns.input + jx * TAP_DIRECTION) * BATCH;
                        FOR_VECTORS *to++ = vec_load(pixel + j * LANE_STRIDE);
                    }
                }
                plane += PLANE;
            }
        }
        for (int tile = 0; tile < TILES; tile++) {
            __global const float *weights = packed +
                                            packed_offset(tile, rows.phase, columns.phase) +
                                            (size_t)first_channel * rows.taps * row_weights;
            ROOM const vec *from = window;
            for (int chunk = 0; chunk < chunks; chunk++) {
                vec sum[TILE_CHANNELS][TILE_VECTORS];
#if BLOCKS > 1
                if (block > 0) {
                    FOR_CHANNELS FOR_VECTORS sum[i][j] = sums[tile * TILE_RUN + chunk][i][j];
                } else
#endif
                {
                    FOR_CHANNELS FOR_VECTORS sum[i][j] = SUM_START(TILE_FIRST(tile) + i);
                }
                __global const float *tap = weights;
                for (int c = 0; c < channels; c++) {
                    for (int jy = rows.first; jy < rows.last; jy++) {
                        for (int jx = columns.first; jx < columns.last; jx++) {
                            vec v[TILE_VECTORS];
                            FOR_VECTORS v[j] = *from++;
                            ADD_TAP(tap + jy * row_weights + jx * TILE_CHANNELS, v)
                        }
                    }
                    tap += rows.taps * row_weights;
                }
#if BLOCKS > 1
                if (block < BLOCKS - 1) {
                    FOR_CHANNELS FOR_VECTORS sums[tile * TILE_RUN + chunk][i][j] = sum[i][j];
                } else
#endif
                {
                    WRITE_TILE(TILE_FIRST(tile), CHUNK_LANE(first_chunk + chunk))
                }
            }
        }
    }
}
#endif

__kernel GROUP_ATTRIBUTE void convolution_gather(
    __global const float *restrict x, __global const float *restrict packed,
    __global const float *restrict bias, __global const float *restrict input,
    __global float *restrict y, __global const float *restrict target,
    __global float *restrict errors, float scale, int n) {
    const comparison with = {target, errors, scale, n};
#if STAGED
    ROOM vec window[TILE_RUN * STAGED * WINDOW_TAPS * TILE_VECTORS];
    ROOM vec sums[BLOCKS > 1 ? TILES * TILE_RUN : 1][TILE_CHANNELS][TILE_VECTORS];
    compute(x, packed, bias, input, y, &with, get_group_id(0), window, sums);
#else
    compute(x, packed, bias, input, y, &with, get_group_id(0));
#endif
}
