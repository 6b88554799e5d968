/* Convolution as a gather, in both directions: every output pixel collects the input pixels that its
 * taps reach. Twin of engine/ops/gather.c, which describes the build options.
 *
 *   UP 0  input row of tap ky at output row oy:  oy * STRIDE_Y - PADDING_Y + ky
 *   UP 1  the transpose: the row iy for which     iy * STRIDE_Y - PADDING_Y + ky = oy
 *
 * Either way the taps that exist are ky = k0 + j * KEY_STEP with input row i0 + j * ROW_STEP for j in a
 * range, so that no tap is ever tested. Tiles of channels and vectors that do not divide their
 * dimension overlap: the last one is moved back, and writes some values a second time. */
#define TAPS (KERNEL_H * KERNEL_W)
#define TILE_FIRST(tile) min((tile) * TILE_CHANNELS, OUT_CHANNELS - TILE_CHANNELS)
#define VECTORS (BATCH / LANE_STRIDE)
#define CHUNKS ((VECTORS + TILE_VECTORS - 1) / TILE_VECTORS)
#define RUNS ((OUT_WIDTH + TILE_RUN - 1) / TILE_RUN)
#define TILES ((OUT_CHANNELS + TILE_CHANNELS - 1) / TILE_CHANNELS)

/* The weights in the order in which the gather reads them: [tile][input channel][tap][channel of the
 * tile]. Launched with a work-group per input channel and tile. */
__kernel GROUP_ATTRIBUTE void gather_pack(const __global float *restrict weights,
                                          __global float *restrict packed) {
    const int c = get_group_id(0), tile = get_group_id(1);
    const __global float *from =
        weights + (size_t)c * IN_STRIDE + (size_t)TILE_FIRST(tile) * OUT_STRIDE;
    __global float *to = packed + ((size_t)tile * IN_CHANNELS + c) * (TAPS * TILE_CHANNELS);
    for (int i = get_local_id(0); i < TAPS * TILE_CHANNELS; i += GROUP_SIZE)
        to[i] = from[(size_t)(i / TILE_CHANNELS) * TAP_STRIDE +
                     (size_t)(i % TILE_CHANNELS) * OUT_STRIDE];
}

typedef struct tap_range {
    int first, last; /* j */
    int tap, input;  /* of j = 0 */
} tap_range;

#if UP
#define TAP_STEP(stride) (stride)
#define INPUT_STEP (-1)
inline tap_range taps_of(int out, int size, int kernel_size, int stride, int padding) {
    tap_range r;
    const int position = out + padding;
    r.tap = position % stride;
    r.input = position / stride;
    const int count = r.tap < kernel_size ? (kernel_size - 1 - r.tap) / stride + 1 : 0;
    r.first = max(0, r.input - size + 1);
    r.last = min(count, r.input + 1);
    return r;
}
#else
#define TAP_STEP(stride) 1
#define INPUT_STEP 1
inline tap_range taps_of(int out, int size, int kernel_size, int stride, int padding) {
    tap_range r;
    r.tap = 0;
    r.input = out * stride - padding;
    r.first = max(0, -r.input);
    r.last = min(kernel_size, size - r.input);
    return r;
}
#endif

/* A work-item computes TILE_CHANNELS channels x TILE_VECTORS vectors of the batch of TILE_RUN pixels
 * of a row, one after the other. */
__kernel GROUP_ATTRIBUTE void gather(const __global float *restrict x,
                                     const __global float *restrict packed,
                                     const __global float *restrict bias,
                                     const __global float *restrict input,
                                     __global float *restrict y) {
    size_t group = get_group_id(0);
    const int chunk = group % CHUNKS;
    group /= CHUNKS;
#if TILE_OUTERMOST
    const int run = group % RUNS;
    group /= RUNS;
    const int oy = group % OUT_HEIGHT;
    const int tile = group / OUT_HEIGHT;
#else
    const int tile = group % TILES;
    group /= TILES;
    const int run = group % RUNS;
    const int oy = group / RUNS;
#endif
    const int channel = TILE_FIRST(tile);
    const size_t lane = LANE_BASE(0, 0) +
                        (size_t)min(chunk * TILE_VECTORS, VECTORS - TILE_VECTORS) * LANE_STRIDE;
    const tap_range rows = taps_of(oy, IN_HEIGHT, KERNEL_H, STRIDE_Y, PADDING_Y);
    const int last = min(run * TILE_RUN + TILE_RUN, OUT_WIDTH);

    x += lane;
    packed += (size_t)tile * (IN_CHANNELS * (size_t)(TAPS * TILE_CHANNELS));
    for (int ox = run * TILE_RUN; ox < last; ox++) {
        const tap_range columns = taps_of(ox, IN_WIDTH, KERNEL_W, STRIDE_X, PADDING_X);
        vec sum[TILE_CHANNELS][TILE_VECTORS];
        UNROLL for (int i = 0; i < TILE_CHANNELS; i++) {
            UNROLL for (int j = 0; j < TILE_VECTORS; j++) {
#if BIAS
                sum[i][j] = (vec)(bias[channel + i]);
#else
                sum[i][j] = (vec)(0.0f);
#endif
            }
        }
        for (int c = 0; c < IN_CHANNELS; c++) {
            for (int jy = rows.first; jy < rows.last; jy++) {
                const int iy = rows.input + jy * INPUT_STEP;
                const int ky = rows.tap + jy * TAP_STEP(STRIDE_Y);
                const __global float *from =
                    x + (((size_t)c * IN_HEIGHT + iy) * IN_WIDTH + columns.input) * BATCH;
                const __global float *w =
                    packed + ((size_t)c * TAPS + ky * KERNEL_W + columns.tap) * TILE_CHANNELS;
                for (int jx = columns.first; jx < columns.last; jx++) {
                    const __global float *pixel = from + (long)(jx * INPUT_STEP) * BATCH;
                    const __global float *tap = w + jx * (TAP_STEP(STRIDE_X) * TILE_CHANNELS);
                    vec v[TILE_VECTORS];
                    UNROLL for (int j = 0; j < TILE_VECTORS; j++)
                        v[j] = vec_load(pixel + j * LANE_STRIDE);
                    UNROLL for (int i = 0; i < TILE_CHANNELS; i++) {
                        UNROLL for (int j = 0; j < TILE_VECTORS; j++)
                            sum[i][j] = fma((vec)(tap[i]), v[j], sum[i][j]);
                    }
                }
            }
        }
        UNROLL for (int i = 0; i < TILE_CHANNELS; i++) {
            const size_t at =
                (((size_t)(channel + i) * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * BATCH + lane;
            UNROLL for (int j = 0; j < TILE_VECTORS; j++) {
#if INPUT_ACTIVATION
                sum[i][j] = input_activation_backward(sum[i][j],
                                                      vec_load(input + at + j * LANE_STRIDE));
#endif
                vec_store(activate(sum[i][j]), y + at + j * LANE_STRIDE);
            }
        }
    }
}
