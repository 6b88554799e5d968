/* Convolution as a gather by Winograd's minimal filtering, for kernels with a stride of STRIDE both
 * ways and at most TAPS taps of each phase. Twin of engine/ops/winograd.c; options as in gather.cl.
 *
 * A stride splits the kernel into STRIDE x STRIDE phases (tap ky = phase + j * STRIDE), each a
 * correlation without stride:
 *   UP 0  every phase reads every STRIDE-th input pixel, and all of them add to the same output, so their
 *         products are summed before the output transform;
 *   UP 1  every phase gives every STRIDE-th output pixel.
 *
 * A work-item (one per work-group) computes all channels of a tile of OUTPUTS x OUTPUTS pixels (UP: of
 * each phase) for ITEM_VECTORS vectors of the batch: it transforms the inputs into `inputs`, multiplies
 * them with the transformed weights for each of the PRODUCTS positions, and transforms the sums back. */
#include "winograd_transforms.cl"

#define PHASES (STRIDE * STRIDE)
#define TILE_FIRST(tile) min((tile) * TILE_CHANNELS, OUT_CHANNELS - TILE_CHANNELS)
#define TILES ((OUT_CHANNELS + TILE_CHANNELS - 1) / TILE_CHANNELS)
#define VECTORS (BATCH / LANE_STRIDE)
#define CHUNKS ((VECTORS + ITEM_VECTORS - 1) / ITEM_VECTORS)
#define CHUNK_LANE(chunk)                                                                          \
    ((size_t)min((chunk) * ITEM_VECTORS, VECTORS - ITEM_VECTORS) * LANE_STRIDE)
#define PLANE (IN_HEIGHT * (size_t)IN_WIDTH * BATCH)

/* UP: output pixel o is position o + PADDING = STRIDE * g + phase of input pixels g - TAPS + 1 .. g. A
 * tile takes the OUTPUTS values of g from FIRST_POSITION(phase) + tile * OUTPUTS on. Phases that begin
 * at the same g read the same inputs. A tile reads a patch of PATCH x PATCH input pixels, from
 * FIRST_PIXEL + tile * TILE_STEP on. */
#define FIRST_POSITION(phase) ((PADDING - (phase) + STRIDE - 1) / STRIDE)
#if UP
#define SHIFT_OF(phase) (FIRST_POSITION(0) - FIRST_POSITION(phase))
#define SHIFTS (SHIFT_OF(STRIDE - 1) + 1)
#define WINDOWS (SHIFTS * SHIFTS)
#define TERMS IN_CHANNELS
#define GRID_HEIGHT ((OUT_HEIGHT + STRIDE - 1) / STRIDE)
#define GRID_WIDTH ((OUT_WIDTH + STRIDE - 1) / STRIDE)
#define SETS PHASES
#define PATCH (POINTS + SHIFTS - 1)
#define TILE_STEP OUTPUTS
#define FIRST_PIXEL (FIRST_POSITION(0) - (TAPS - 1) - (SHIFTS - 1))
#else
#define WINDOWS 1
#define TERMS (IN_CHANNELS * PHASES)
#define GRID_HEIGHT OUT_HEIGHT
#define GRID_WIDTH OUT_WIDTH
#define SETS 1
#define PATCH (POINTS * STRIDE)
#define TILE_STEP (OUTPUTS * STRIDE)
#define FIRST_PIXEL (-PADDING)
#endif
#define ROWS ((GRID_HEIGHT + OUTPUTS - 1) / OUTPUTS)
#define COLUMNS ((GRID_WIDTH + OUTPUTS - 1) / OUTPUTS)
#define WHOLE_TILES                                                                                \
    (GRID_HEIGHT % OUTPUTS == 0 && GRID_WIDTH % OUTPUTS == 0 && OUT_HEIGHT % GRID_HEIGHT == 0 &&   \
     OUT_WIDTH % GRID_WIDTH == 0)
#define GROUP_LANE(group) CHUNK_LANE((int)((group) % CHUNKS))
#define GROUP_COLUMN(group) ((int)((group) / CHUNKS % COLUMNS))
#define GROUP_ROW(group) ((int)((group) / CHUNKS / COLUMNS))

/* A window of a plane, transformed, to[product][vector]. */
INLINE void put_window(const __global float *plane, int top, int left, const int step, bool inside,
                       __local vec *to) {
    vec d[PRODUCTS];
    load_window(plane, top, left, step, IN_HEIGHT, IN_WIDTH, inside, d);
    transform_input_2d(d);
    UNROLL for (int i = 0; i < PRODUCTS; i++) to[i * ITEM_VECTORS] = d[i];
}

/* All windows of a patch from (top, left) on: inputs[window][term][product][vector]. */
INLINE void load_inputs(const __global float *x, int top, int left, bool inside,
                        __local vec *inputs) {
    for (int c = 0; c < IN_CHANNELS; c++)
        for (int v = 0; v < ITEM_VECTORS; v++) {
            const __global float *plane = x + (size_t)c * PLANE + v * LANE_STRIDE;
#if UP
            for (int window = 0; window < WINDOWS; window++)
                put_window(plane, top + SHIFTS - 1 - window / SHIFTS,
                           left + SHIFTS - 1 - window % SHIFTS, 1, inside,
                           inputs + (window * TERMS + c) * PRODUCTS * ITEM_VECTORS + v);
#else
            for (int phase = 0; phase < PHASES; phase++)
                put_window(plane, top + phase / STRIDE, left + phase % STRIDE, STRIDE, inside,
                           inputs + (c * PHASES + phase) * PRODUCTS * ITEM_VECTORS + v);
#endif
        }
}

#define FOR_CHANNELS UNROLL for (int i = 0; i < TILE_CHANNELS; i++)
#define FOR_VECTORS UNROLL for (int j = 0; j < TILE_VECTORS; j++)

/* products[product][channel][vector] = sums over terms of weights times inputs. The weights are
 * winograd_pack.cl's. */
INLINE void multiply(const __global float *weights, const __local vec *inputs,
                     __local vec *products) {
    for (int product = 0; product < PRODUCTS; product++)
        for (int tile = 0; tile < TILES; tile++) {
            __local vec *to =
                products + (size_t)(product * OUT_CHANNELS + TILE_FIRST(tile)) * ITEM_VECTORS;
            for (int first = 0; first < ITEM_VECTORS; first += TILE_VECTORS) {
                const __global float *w =
                    weights + (size_t)(product * TILES + tile) * TERMS * TILE_CHANNELS;
                const __local vec *from = inputs + (size_t)product * ITEM_VECTORS + first;
                vec sum[TILE_CHANNELS][TILE_VECTORS];
                FOR_CHANNELS FOR_VECTORS sum[i][j] = (vec)(0.0f);
                for (int term = 0; term < TERMS; term++) {
                    vec v[TILE_VECTORS];
                    FOR_VECTORS v[j] = from[j];
                    FOR_CHANNELS FOR_VECTORS sum[i][j] = fma((vec)(w[i]), v[j], sum[i][j]);
                    w += TILE_CHANNELS;
                    from += PRODUCTS * ITEM_VECTORS;
                }
                FOR_CHANNELS FOR_VECTORS to[i * ITEM_VECTORS + first + j] = sum[i][j];
            }
        }
}

/* v in the lanes where v is negative, or an activation's derivative is not 1: an activation that is
 * linear on either side of 0 is an argument, so that layers share a kernel, and its slope there is 0 for
 * ReLU and 1 for none. */
INLINE vec bend(vec v, float slope) {
    return slope == 0.0f ? (vec)(0.0f) : slope * v;
}

/* y from what the convolution gives: with `input` that is multiplied by the derivative of what produced
 * `input`, otherwise the activation follows. */
INLINE vec finish(vec v, const __global float *input, size_t at, float slope) {
    if (input) {
        const vec x = vec_load(input + at);
#if INPUT_ACTIVATION
        return input_activation_backward(v, x);
#else
        return vec_choose(bend(v, slope), v, x > (vec)(0.0f));
#endif
    }
#if ACTIVATION
    return activate(v);
#else
    return vec_choose(v, bend(v, slope), v < (vec)(0.0f));
#endif
}

__kernel GROUP_ATTRIBUTE void winograd(const __global float *restrict x,
                                       const __global float *restrict packed,
                                       const __global float *restrict bias,
                                       const __global float *restrict input,
                                       __global float *restrict y, float slope) {
    __local vec inputs[WINDOWS * PRODUCTS * TERMS * ITEM_VECTORS];
    __local vec products[PRODUCTS * OUT_CHANNELS * ITEM_VECTORS];
    const size_t group = get_group_id(0), lane = GROUP_LANE(group);
    const int tile_y = GROUP_ROW(group), tile_x = GROUP_COLUMN(group);
    const int top = tile_y * TILE_STEP + FIRST_PIXEL, left = tile_x * TILE_STEP + FIRST_PIXEL;
    const bool inside =
        top >= 0 && left >= 0 && top + PATCH <= IN_HEIGHT && left + PATCH <= IN_WIDTH;
    load_inputs(x + lane, top, left, inside, inputs);
    for (int set = 0; set < SETS; set++) {
#if UP
        const int phase_y = set / STRIDE, phase_x = set % STRIDE;
        const int window = SHIFT_OF(phase_y) * SHIFTS + SHIFT_OF(phase_x);
        const int first_y = STRIDE * (FIRST_POSITION(phase_y) + tile_y * OUTPUTS) + phase_y - PADDING;
        const int first_x = STRIDE * (FIRST_POSITION(phase_x) + tile_x * OUTPUTS) + phase_x - PADDING;
        const int step = STRIDE;
#else
        const int window = 0, first_y = tile_y * OUTPUTS, first_x = tile_x * OUTPUTS, step = 1;
#endif
        multiply(packed + (size_t)set * PRODUCTS * TILES * TERMS * TILE_CHANNELS,
                 inputs + (size_t)window * PRODUCTS * TERMS * ITEM_VECTORS, products);
        for (int k = 0; k < OUT_CHANNELS; k++) {
            const vec start = (vec)(bias ? bias[k] : 0.0f);
            for (int v = 0; v < ITEM_VECTORS; v++) {
                vec m[PRODUCTS];
                UNROLL for (int i = 0; i < PRODUCTS; i++)
                    m[i] = products[(i * OUT_CHANNELS + k) * ITEM_VECTORS + v];
                transform_output_2d(m, OUTPUTS);
                UNROLL for (int i = 0; i < OUTPUTS * OUTPUTS; i++) {
                    const int oy = first_y + i / OUTPUTS * step, ox = first_x + i % OUTPUTS * step;
                    if (!WHOLE_TILES && (oy >= OUT_HEIGHT || ox >= OUT_WIDTH)) continue;
                    const size_t at = (((size_t)k * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * BATCH +
                                      lane + v * LANE_STRIDE;
                    const vec sum = m[i / OUTPUTS * POINTS + i % OUTPUTS] + start;
                    vec_store(finish(sum, input, at, slope), y + at);
                }
            }
        }
    }
}
