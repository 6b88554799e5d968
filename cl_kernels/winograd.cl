/* SPDX-License-Identifier: MIT */
/* A convolution down or up by Winograd's minimal filtering (winograd_transforms.cl), for square
 * kernels with a stride of STRIDE both ways and at most TAPS taps of each phase along a side.
 *
 * A stride splits the kernel into STRIDE x STRIDE phases (tap ky = phase + j * STRIDE), each a
 * correlation without stride:
 *   UP 0  every phase reads every STRIDE-th input pixel, and all of them add to the same output,
 *         so their products are summed before the output transform;
 *   UP 1  every phase gives every STRIDE-th output pixel.
 *
 * x and y are [channel][height][width][BATCH]; the transformed weights are in winograd_pack.cl's
 * order. A work-item (one per work-group) computes a tile of pixels (UP: of each phase):
 *
 *     inputs, IN_BLOCK                 sums of each of                    outputs
 *     channels at a time               POINTS x POINTS products
 *     +---------------+                +----------------+                 +---------+
 *     | POINTS x      |  transform_    | channel x term |  transform_     | OUTPUTS |
 *     | POINTS pixels | ---input_2d--> | times          | ---output_2d--> | x       |
 *     +---------------+                | term x vector  |                 | OUTPUTS |
 *                                      +----------------+                 +---------+
 *
 * A term is an input channel (UP), or one of a phase. Registers hold TILE_CHANNELS x TILE_VECTORS
 * sums of a product at a time; the others wait in `products`.
 *
 * Options
 *     UP, IN_CHANNELS .. OUT_WIDTH, STRIDE, PADDING   the problem
 *     BATCH, OCCUPIED   lanes of the batch in memory, and those that images may lie in
 *     TAPS              most taps of a phase along a side (2)
 *     OUTPUTS           pixels of a tile along a side (4)
 *     TILE_CHANNELS, TILE_VECTORS   sums in registers (6, 2)
 *     ITEM_VECTORS      vectors of the batch of an item, a multiple of TILE_VECTORS (2)
 *     ITEM_TILES        tiles of output channels of an item (all, or as many as a cache holds)
 *     IN_BLOCK          input channels transformed at a time, a divisor of all (24)
 *     INPUT_STEP, SUM_STEP   vectors from the inputs, or sums, of a product to those of the next
 *     MOMENTS           1: sums for a BatchNorm beside can be taken on the way
 *     ACTIVATION, INPUT_ACTIVATION   those that are not linear on either side of 0; the others
 *                       are an argument, see bend
 *
 * Twin of engine/ops/convolution/winograd.c. */
#include "window.cl"
#include "winograd_transforms.cl"

#define PHASES (STRIDE * STRIDE)
#define TILE_FIRST(tile) FIRST_OF_TILE(tile, TILE_CHANNELS, OUT_CHANNELS)
#define TILES CEIL_DIV(OUT_CHANNELS, TILE_CHANNELS)
#define BATCH_VECTORS (OCCUPIED / LANE_STRIDE)
#define CHUNKS CEIL_DIV(BATCH_VECTORS, ITEM_VECTORS)
#define CHUNK_LANE(chunk) ((size_t)FIRST_OF_TILE(chunk, ITEM_VECTORS, BATCH_VECTORS) * LANE_STRIDE)
#define PLANE (IN_HEIGHT * (size_t)IN_WIDTH * BATCH)
#define OUT_PLANE (OUT_HEIGHT * (size_t)OUT_WIDTH * BATCH)

/* UP: output pixel o is position o + PADDING = STRIDE * g + phase of input pixels g - TAPS + 1 ..
 * g. A tile takes the OUTPUTS values of g from FIRST_POSITION(phase) + tile * OUTPUTS on. Phases
 * that begin at the same g read the same window of inputs, and the others one up to SHIFTS - 1
 * pixels before it. A tile reads a patch of PATCH x PATCH input pixels, from FIRST_PIXEL + tile *
 * TILE_STEP on. */
#define FIRST_POSITION(phase) CEIL_DIV(PADDING - (phase), STRIDE)
#if UP
#define SHIFT_OF(phase) (FIRST_POSITION(0) - FIRST_POSITION(phase))
#define SHIFTS (SHIFT_OF(STRIDE - 1) + 1)
#define TERMS IN_BLOCK /* of a block */
#define GRID_HEIGHT CEIL_DIV(OUT_HEIGHT, STRIDE)
#define GRID_WIDTH CEIL_DIV(OUT_WIDTH, STRIDE)
#define SETS PHASES
#define PATCH (POINTS + SHIFTS - 1)
#define TILE_STEP OUTPUTS
#define FIRST_PIXEL (FIRST_POSITION(0) - (TAPS - 1) - (SHIFTS - 1))
#define SPREAD (SHIFTS - 1) /* from the first window of a patch to its last */
#define FIRST_OF_SET(phase) (SPREAD - SHIFT_OF(phase))
#else
#define TERMS (IN_BLOCK * PHASES)
#define GRID_HEIGHT OUT_HEIGHT
#define GRID_WIDTH OUT_WIDTH
#define SETS 1
#define PATCH (POINTS * STRIDE)
#define TILE_STEP (OUTPUTS * STRIDE)
#define FIRST_PIXEL (-PADDING)
#define SPREAD (STRIDE - 1)
#define FIRST_OF_SET(phase) 0
#endif
#define TILES_Y CEIL_DIV(GRID_HEIGHT, OUTPUTS)
#define TILES_X CEIL_DIV(GRID_WIDTH, OUTPUTS)
#define WHOLE_TILES                                                                                \
    (GRID_HEIGHT % OUTPUTS == 0 && GRID_WIDTH % OUTPUTS == 0 && OUT_HEIGHT % GRID_HEIGHT == 0 &&   \
     OUT_WIDTH % GRID_WIDTH == 0)
#define IN_BLOCKS (IN_CHANNELS / IN_BLOCK)
#define OUT_BLOCK (ITEM_TILES * TILE_CHANNELS) /* channels that two tiles have count twice */
#define ITEMS (TILES_Y * TILES_X * CHUNKS)     /* of the same channels */
#define GROUP_TILE(group)                                                                          \
    (ITEM_TILES < TILES ? min((int)((group) / ITEMS) * ITEM_TILES, TILES - ITEM_TILES) : 0)
#define GROUP_LANE(group) CHUNK_LANE((int)((group) % CHUNKS))
#define GROUP_COLUMN(group) ((int)((group) / CHUNKS % TILES_X))
#define GROUP_ROW(group) ((int)((group) % ITEMS / CHUNKS / TILES_X))
#define PATCH_FIRST(tile) (TILE_STEP * (tile) + FIRST_PIXEL)

/* Largest first pixel over the windows of all tiles; FIRST_PIXEL is the smallest. */
/* clang-format off */
#define LAST_PIXEL(tiles) (((tiles) - 1) * TILE_STEP + FIRST_PIXEL + SPREAD)
/* clang-format on */

/* Transforms a window of a plane, with pixels `step` (constant) apart from (top, left) on and zeros
 * beyond the plane. */
INLINE void put_window(__global const float *plane, int top, int left, const int step,
                       ROOM vec *to) {
    vec d[PRODUCTS];
    load_window(plane, IN_HEIGHT, IN_WIDTH, top, FIRST_PIXEL, LAST_PIXEL(TILES_Y), left,
                FIRST_PIXEL, LAST_PIXEL(TILES_X), POINTS, step, d);
    transform_input_2d(d);
    UNROLL_FOR (int i = 0; i < PRODUCTS; i++) to[i * INPUT_STEP] = d[i];
}

/* inputs[product][term][vector] of a block's windows (UP) or of those of all phases, from (top,
 * left) on. */
PART void load_inputs(__global const float *x, int top, int left, ROOM vec *inputs) {
    for (int c = 0; c < IN_BLOCK; c++)
        for (int v = 0; v < ITEM_VECTORS; v++) {
            __global const float *plane = x + (size_t)c * PLANE + v * LANE_STRIDE;
#if UP
            put_window(plane, top, left, 1, inputs + c * ITEM_VECTORS + v);
#else
            for (int phase = 0; phase < PHASES; phase++)
                put_window(plane, top + phase / STRIDE, left + phase % STRIDE, STRIDE,
                           inputs + (c * PHASES + phase) * ITEM_VECTORS + v);
#endif
        }
}

/* Where an item's outputs of a set begin; they are OUTPUT_STEP apart. */
typedef struct place {
    int y, x;
} place;
#if UP
#define OUTPUT_STEP STRIDE
/* clang-format off */
#define OUTPUT_FIRST(phase, tile)                                                                  \
    (STRIDE * (FIRST_POSITION(phase) + (tile) * OUTPUTS) + (phase) - PADDING)
/* clang-format on */
#else
#define OUTPUT_STEP 1
#define OUTPUT_FIRST(phase, tile) (OUTPUTS * (tile))
#endif

/* Whether outputs (gradients, if there is an input) bypass the caches. In training they would evict
 * other data and be evicted before they are read; in scoring there are fewer. */
#define STREAMED(input) (VECTOR_WIDTH == LINE && (MOMENTS || (input)))
#define PUT(value, address, streamed)                                                              \
    do {                                                                                           \
        if (streamed)                                                                              \
            vec_stream(value, address);                                                            \
        else                                                                                       \
            vec_store(value, address);                                                             \
    } while (0)

/* What is prefetched during a multiplication: the patch of the next block, or work-group, and the
 * memory that its own sums will be written to, with what is read there (input; may be NULL). With a
 * single block, each set prefetches a share of the next work-group's patch. */
#define PATCH_SHARES (IN_BLOCKS > 1 ? 1 : SETS)
typedef struct ahead {
    __global const float *patch, *y, *input;
    int share, block;
} ahead;

/* The first pixel of a work-group's patch, in the first of its channels. */
INLINE __global const float *patch_of(__global const float *x, size_t group) {
    return window_inside(x + GROUP_LANE(group), IN_HEIGHT, IN_WIDTH, PATCH_FIRST(GROUP_ROW(group)),
                         PATCH_FIRST(GROUP_COLUMN(group)), PATCH, PATCH, 1);
}

INLINE __global const float *outputs_of(__global const float *y, place at) {
    return window_inside(y, OUT_HEIGHT, OUT_WIDTH, at.y, at.x, OUTPUTS, OUTPUTS, OUTPUT_STEP);
}

INLINE void prefetch_ahead(ahead to, int part) {
    const int parts = PRODUCTS * ITEM_TILES, images = ITEM_VECTORS * LANE_STRIDE;
    prefetch_window(to.patch, IN_BLOCK, IN_HEIGHT, IN_WIDTH, PATCH, PATCH, 1, images,
                    to.share * parts + part, PATCH_SHARES * parts, false);
    part += to.block * parts;
    if (!STREAMED(to.input))
        prefetch_window(to.y, OUT_BLOCK, OUT_HEIGHT, OUT_WIDTH, OUTPUTS, OUTPUTS, OUTPUT_STEP,
                        images, part, IN_BLOCKS * parts, true);
    if (to.input)
        prefetch_window(to.input, OUT_BLOCK, OUT_HEIGHT, OUT_WIDTH, OUTPUTS, OUTPUTS, OUTPUT_STEP,
                        images, part, IN_BLOCKS * parts, false);
}

#define FOR_CHANNELS UNROLL_FOR (int i = 0; i < TILE_CHANNELS; i++)
#define FOR_VECTORS UNROLL_FOR (int j = 0; j < TILE_VECTORS; j++)

/* products[product][channel][vector] = sums over a block's terms of weights times inputs, added to
 * those of the blocks before it, channel by channel of each tile. The weights are in
 * winograd_pack.cl's order, from the item's first tile on. */
PART void multiply(__global const float *weights, ROOM const vec *inputs, ROOM vec *products,
                   const ahead *next) {
    const ahead to_come = *next;
    for (int product = 0; product < PRODUCTS; product++)
        for (int tile = 0; tile < ITEM_TILES; tile++) {
            ROOM vec *to =
                products + (size_t)product * SUM_STEP + tile * TILE_CHANNELS * ITEM_VECTORS;
            prefetch_ahead(to_come, product * ITEM_TILES + tile);
            for (int first = 0; first < ITEM_VECTORS; first += TILE_VECTORS) {
                __global const float *w =
                    weights + (size_t)(product * TILES + tile) * TERMS * TILE_CHANNELS;
                ROOM const vec *from = inputs + (size_t)product * INPUT_STEP + first;
                vec sum[TILE_CHANNELS][TILE_VECTORS];
                if (IN_BLOCKS > 1 && to_come.block > 0) {
                    FOR_CHANNELS FOR_VECTORS sum[i][j] = to[i * ITEM_VECTORS + first + j];
                } else {
                    FOR_CHANNELS FOR_VECTORS sum[i][j] = (vec)(0.0f);
                }
                UNROLL_TWICE_FOR (int term = 0; term < TERMS; term++) {
                    vec v[TILE_VECTORS];
                    FOR_VECTORS v[j] = from[j];
                    FOR_CHANNELS FOR_VECTORS sum[i][j] = fma((vec)(w[i]), v[j], sum[i][j]);
                    w += TILE_CHANNELS;
                    from += ITEM_VECTORS;
                }
                FOR_CHANNELS FOR_VECTORS to[i * ITEM_VECTORS + first + j] = sum[i][j];
            }
        }
}

/* An activation that is linear on either side of 0 is an argument, so that layers share a kernel:
 * its slope on the negative side is 0 for ReLU and 1 for none. */
typedef struct bend {
    vec slope;
    WIDE(int) kept; /* a mask of bits: a slope of 0 times an infinite value must give 0 */
} bend;

INLINE bend bend_of(float slope) {
    return (bend){(vec)(slope), (WIDE(int))(slope == 0.0f ? 0 : -1)};
}

INLINE vec apply_bend(bend by, vec v, vec sign) {
    const vec bent = WIDE(as_float)(WIDE(as_int)(by.slope * v) & by.kept);
    return vec_choose(v, bent, sign <= (vec)(0.0f));
}

#define OFFSET(i)                                                                                  \
    (((size_t)((i) / OUTPUTS) * OUT_WIDTH + (i) % OUTPUTS) * OUTPUT_STEP * BATCH + v * LANE_STRIDE)
#define EXISTS(i)                                                                                  \
    (WHOLE_TILES || (at.y + (i) / OUTPUTS * OUTPUT_STEP < OUT_HEIGHT &&                            \
                     at.x + (i) % OUTPUTS * OUTPUT_STEP < OUT_WIDTH))
#define FOR_OUTPUTS                                                                                \
    UNROLL_FOR (int i = 0; i < OUTPUTS * OUTPUTS; i++)                                             \
        if (EXISTS(i))
#define RESULT(i) m[(i) / OUTPUTS * POINTS + (i) % OUTPUTS]

/* How the normalisation before maps a channel: x becomes (x - mean) * scale + shift. */
typedef struct normal {
    float mean, scale, shift;
} normal;

/* Sums of an item's outputs of a channel. Forward: their means and sums of squared deviations, in
 * each lane about the first output, so that no digits are lost however large the mean is. Backward,
 * with a normalisation before: the sums that its gradients are made of. */
typedef struct sums {
    vec first[ITEM_VECTORS], second[ITEM_VECTORS];
} sums;

/* Each column of outputs has sums of its own, so that additions do not wait for each other. */
#define TOTAL(a)                                                                                   \
    (a[0] + a[1] + (OUTPUTS > 2 ? a[2] : (vec)(0.0f)) + (OUTPUTS > 3 ? a[3] : (vec)(0.0f)))
#if MOMENTS
#define ADD(i, one, other, factor)                                                                 \
    first[(i) % OUTPUTS] += one;                                                                   \
    second[(i) % OUTPUTS] = fma(other, factor, second[(i) % OUTPUTS])
#else
#define ADD(i, one, other, factor) (void)0
#endif

/* Writes a channel's outputs. With `input` they are multiplied by the derivative of the activation
 * that produced it (once normalised by `before`), otherwise the activation follows. scale: 1 / the
 * number of outputs that exist. */
PART void write_outputs(ROOM const vec *products, place at, float start, bend by,
                        __global const float *input, normal before, __global float *y, float scale,
                        sums *taken) {
    for (int v = 0; v < ITEM_VECTORS; v++) {
        vec m[PRODUCTS];
        UNROLL_FOR (int i = 0; i < PRODUCTS; i++) m[i] = products[i * SUM_STEP + v];
        transform_output_2d(m, OUTPUTS);
#if MOMENTS
        const vec base = m[0];
        vec first[OUTPUTS], second[OUTPUTS];
        UNROLL_FOR (int i = 0; i < OUTPUTS; i++) first[i] = second[i] = (vec)(0.0f);
#endif
        if (input) {
            FOR_OUTPUTS {
                vec sign = vec_load(input + OFFSET(i)), value = RESULT(i) + start;
#if MOMENTS
                const vec away = sign - before.mean;
                sign = fma(away, (vec)(before.scale), (vec)(before.shift));
#endif
#if INPUT_ACTIVATION
                value = input_activation_backward(value, sign);
#else
                value = apply_bend(by, value, sign);
#endif
                ADD(i, value, value, away);
                PUT(value, y + OFFSET(i), STREAMED(true));
            }
        } else {
            FOR_OUTPUTS {
                const vec value = RESULT(i) + start;
                ADD(i, RESULT(i) - base, RESULT(i) - base, RESULT(i) - base);
#if ACTIVATION
                PUT(activate(value), y + OFFSET(i), STREAMED(false));
#else
                PUT(apply_bend(by, value, value), y + OFFSET(i), STREAMED(false));
#endif
            }
        }
#if MOMENTS
        const vec one = TOTAL(first), other = TOTAL(second);
        taken->first[v] = input ? one : fma(one, (vec)(scale), base + start);
        taken->second[v] = input ? other : fma(one * -scale, one, other);
#endif
    }
}

#if MOMENTS
/* Writes a part of a channel's moments, as batchnorm.cl lays them out: of `count` outputs in each
 * of the item's lanes, from `first` on, that hold images. */
PART void put_moments(const sums *taken, float count, int first, int n, __global float *to,
                      int stride) {
    vec sum = (vec)(0.0f), squares = (vec)(0.0f);
    for (int v = 0; v < ITEM_VECTORS; v++)
        sum += vec_mask(taken->first[v], first + v * LANE_STRIDE, n);
    const float lanes = (float)clamp(n - first, 0, ITEM_VECTORS * VECTOR_WIDTH);
    const float mean = vec_sum(sum) / max(lanes, 1.0f);
    for (int v = 0; v < ITEM_VECTORS; v++) {
        const vec away = taken->first[v] - mean;
        squares += vec_mask(fma(away * count, away, taken->second[v]), first + v * LANE_STRIDE, n);
    }
    to[0] = lanes * count;
    to[stride] = mean;
    to[2 * stride] = vec_sum(squares);
}

/* The same for the sums of a gradient, to which lanes without an image add nothing. */
PART void put_sums(const sums *taken, __global float *to, int stride) {
    vec first = (vec)(0.0f), second = (vec)(0.0f);
    for (int v = 0; v < ITEM_VECTORS; v++) {
        first += taken->first[v];
        second += taken->second[v];
    }
    to[0] = vec_sum(first);
    to[stride] = vec_sum(second);
}
#endif

/* parts: receives the moments of the values before the activation, see batchnorm.cl; NULL: not
 * wanted. With `statistics`, which a normalisation saved, input is what that one normalised, and
 * parts receives the sums of its gradients. */
__kernel GROUP_ATTRIBUTE void winograd(__global const float *restrict x,
                                       __global const float *restrict packed,
                                       __global const float *restrict bias,
                                       __global const float *restrict input,
                                       __global const float *restrict statistics,
                                       __global float *restrict y, float slope,
                                       __global float *restrict parts, int stride, int n) {
    ROOM vec inputs[PRODUCTS * INPUT_STEP];
    ROOM vec products[PRODUCTS * SUM_STEP];
    const size_t group = get_group_id(0), following = min(group + 1, get_num_groups(0) - 1);
    const size_t lane = GROUP_LANE(group);
    const int tile_y = GROUP_ROW(group), tile_x = GROUP_COLUMN(group), tile = GROUP_TILE(group);
    const int first_channel = TILE_FIRST(tile), part = (int)(group % ITEMS); /* of moments */
    const int last_tile = TILE_FIRST(tile + ITEM_TILES - 1) - first_channel;
    __global const float *own = patch_of(x, group), *patch = patch_of(x, following);
    y += first_channel * OUT_PLANE;
    if (input) input += first_channel * OUT_PLANE;
    for (int set = 0; set < SETS; set++) {
        const int phase_y = set / STRIDE, phase_x = set % STRIDE;
        const place at = {OUTPUT_FIRST(phase_y, tile_y), OUTPUT_FIRST(phase_x, tile_x)};
        for (int block = 0; block < IN_BLOCKS; block++) {
            if (set == 0 || SPREAD > 0 || IN_BLOCKS > 1)
                load_inputs(x + lane + block * IN_BLOCK * PLANE,
                            PATCH_FIRST(tile_y) + FIRST_OF_SET(phase_y),
                            PATCH_FIRST(tile_x) + FIRST_OF_SET(phase_x), inputs);
            ahead next = {
                .patch = patch,
                .y = outputs_of(y + lane, at),
                .input = input ? outputs_of(input + lane, at) : input,
                .share = set % PATCH_SHARES,
                .block = block,
            };
            if (block + 1 < IN_BLOCKS)
                next.patch = own + (block + 1) * IN_BLOCK * PLANE;
            else if (IN_BLOCKS > 1 && set + 1 < SETS)
                next.patch = own;
            multiply(packed + ((size_t)(set * IN_BLOCKS + block) * PRODUCTS * TILES + tile) *
                                  TERMS * TILE_CHANNELS,
                     inputs, products, &next);
        }
        const int rows = clamp(CEIL_DIV(OUT_HEIGHT - at.y, OUTPUT_STEP), 0, OUTPUTS);
        const int columns = clamp(CEIL_DIV(OUT_WIDTH - at.x, OUTPUT_STEP), 0, OUTPUTS);
        const float count = WHOLE_TILES ? (float)(OUTPUTS * OUTPUTS) : (float)(rows * columns);
        for (int i = 0; i < last_tile + TILE_CHANNELS; i++) {
            const size_t first = i * OUT_PLANE + ((size_t)at.y * OUT_WIDTH + at.x) * BATCH + lane;
            const int k = first_channel + i, others = OUT_BLOCK - TILE_CHANNELS;
            const int sum_of = i < others ? i : i - last_tile + others;
            normal before = {0.0f, 1.0f, 0.0f};
            if (statistics)
                before = (normal){statistics[k], statistics[2 * OUT_CHANNELS + k],
                                  statistics[3 * OUT_CHANNELS + k]};
            sums taken;
            write_outputs(products + sum_of * ITEM_VECTORS, at, bias ? bias[k] : 0.0f,
                          bend_of(slope), input ? input + first : input, before, y + first,
                          1.0f / max(count, 1.0f), &taken);
#if MOMENTS
            __global float *to =
                parts + (size_t)(statistics ? 2 : 3) * k * stride + part * SETS + set;
            if (parts && statistics)
                put_sums(&taken, to, stride);
            else if (parts)
                put_moments(&taken, count, (int)lane, n, to, stride);
#endif
        }
    }
}
