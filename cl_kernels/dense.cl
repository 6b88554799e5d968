/* One product for all three passes of a dense layer, with vectors along its columns:
 *
 *     C[m][l] = sum over r of A(m, r) B[r][l]
 *
 *     FORM        rows m   sum over r   columns l   A        B
 *     0 forward   out      in           batch       weight   x
 *     1 input     in       out          batch       weight   dy
 *     2 weight    in       batch        out         x        dy transposed, in panels (see `panels`)
 *
 * Options: FORM; M, R, COLUMNS (allocated: whole tiles), WIDTH (columns that exist); A(m, r) is
 * a[m * A_ROW + r * A_STEP]; BIAS; ACTIVATION, INPUT_ACTIVATION. How the work is cut:
 *
 *     TILE_ROWS x TILE_VECTORS   sums that an item keeps in registers at a time
 *     ITEM_TILES, ITEM_COLUMNS   tiles of an item along m and along l
 *     BLOCK                      terms of the sums taken at a time, so that they stay in a cache
 *     SLICE                      terms of the sums that an item adds up; where they are not all, the
 *                                slices' sums go to a buffer and `combine` adds them in their order
 *
 * Work-groups are (columns, rows, slices). */

#define FORWARD 0
#define INPUT 1
#define WEIGHT 2

#define TILE_WIDTH (TILE_VECTORS * LANE_STRIDE)
#define ITEM_ROWS (ITEM_TILES * TILE_ROWS)
#define SLICES ((R + SLICE - 1) / SLICE)

/* Where row r of B's tile of columns `tile` starts. */
#if FORM == WEIGHT
#define B_TILE(tile) ((size_t)(tile) * TILE_WIDTH * R)
#define B_ROW TILE_WIDTH
#else
#define B_TILE(tile) ((size_t)(tile) * TILE_WIDTH)
#define B_ROW COLUMNS
#endif

/* What becomes of a whole sum. `extra` is the bias (forward) or x (input). */
static inline vec finish(vec sum, int m, int l, __global const float *extra) {
#if FORM == FORWARD
    if (BIAS) sum += extra[m];
    return activate(sum);
#elif FORM == INPUT
    return input_activation_backward(sum, vec_load(extra + (size_t)m * COLUMNS + l));
#else
    return sum;
#endif
}

/* Only the columns of weights' gradients may end within a vector. */
#if FORM == WEIGHT && WIDTH % (TILE_VECTORS * LANE_STRIDE)
static inline vec load_c(__global const float *c, int l) {
    if (l + VECTOR_WIDTH <= WIDTH) return vec_load(c);
    float lanes[VECTOR_WIDTH];
    for (int k = 0; k < VECTOR_WIDTH; k++) lanes[k] = l + k < WIDTH ? c[k] : 0.0f;
    return vec_load(lanes);
}

static inline void store_c(vec v, __global float *c, int l) {
    if (l + VECTOR_WIDTH <= WIDTH) {
        vec_store(v, c);
        return;
    }
    float lanes[VECTOR_WIDTH];
    vec_store(v, lanes);
    for (int k = 0; k < VECTOR_WIDTH && l + k < WIDTH; k++) c[k] = lanes[k];
}
#else
#define load_c(c, l) vec_load(c)
#define store_c(v, c, l) vec_store(v, c)
#endif

/* One tile: rows m0 .., columns l .. of c, over `terms` terms. begin: c holds nothing yet; end: the
 * sums are whole. */
static inline void multiply_tile(__global const float *a, __global const float *b, int terms, int m0, int l,
                          __global float *c, bool begin, bool end,
                          __global const float *extra) {
    const int stride = FORM == WEIGHT ? WIDTH : COLUMNS;
    vec sums[TILE_ROWS][TILE_VECTORS];
    /* Beyond the last row the last one is read again, and not written. */
    size_t row[TILE_ROWS];
    UNROLL for (int i = 0; i < TILE_ROWS; i++) row[i] = (size_t)min(m0 + i, M - 1) * A_ROW;
    UNROLL for (int i = 0; i < TILE_ROWS; i++)
        UNROLL for (int j = 0; j < TILE_VECTORS; j++) sums[i][j] = (vec)(0.0f);
    if (!begin) {
        UNROLL for (int i = 0; i < TILE_ROWS; i++)
            if (M % TILE_ROWS == 0 || m0 + i < M)
                UNROLL for (int j = 0; j < TILE_VECTORS; j++)
                    sums[i][j] = load_c(c + (size_t)(m0 + i) * stride + l + j * LANE_STRIDE,
                                        l + j * LANE_STRIDE);
    }
    for (int r = 0; r < terms; r++) {
        vec terms_b[TILE_VECTORS];
        UNROLL for (int j = 0; j < TILE_VECTORS; j++)
            terms_b[j] = vec_load(b + (size_t)r * B_ROW + j * LANE_STRIDE);
        UNROLL for (int i = 0; i < TILE_ROWS; i++) {
            const vec term_a = (vec)(a[row[i] + (size_t)r * A_STEP]);
            UNROLL for (int j = 0; j < TILE_VECTORS; j++)
                sums[i][j] = fma(term_a, terms_b[j], sums[i][j]);
        }
    }
    UNROLL for (int i = 0; i < TILE_ROWS; i++)
        if (M % TILE_ROWS == 0 || m0 + i < M)
            UNROLL for (int j = 0; j < TILE_VECTORS; j++) {
                const int column = l + j * LANE_STRIDE;
                const vec v = end ? finish(sums[i][j], m0 + i, column, extra) : sums[i][j];
                store_c(v, c + (size_t)(m0 + i) * stride + column, column);
            }
}

/* accumulate: only of weights' gradients. slices: where SLICES > 1, [SLICES][M][COLUMNS] for the sums;
 * else NULL, and they go to c. */
__kernel GROUP_ATTRIBUTE void product(__global const float *restrict a,
                                      __global const float *restrict b,
                                      __global const float *restrict extra,
                                      __global float *restrict c, __global float *restrict slices,
                                      int accumulate) {
    const int first_tile = (int)get_group_id(0) * ITEM_COLUMNS;
    const int first_row = (int)get_group_id(1) * ITEM_ROWS;
    const int slice = get_group_id(2), begin = slice * SLICE, end = min(begin + SLICE, R);
    const int lane = (int)get_local_id(0) * VECTOR_WIDTH;
    const int tiles = min(ITEM_TILES, (M - first_row + TILE_ROWS - 1) / TILE_ROWS);
    __global float *to = SLICES > 1 ? slices + (size_t)slice * M * COLUMNS : c;
    for (int block = begin; block < end; block += BLOCK) {
        const int terms = min(BLOCK, end - block);
        const bool ends = SLICES == 1 && block + BLOCK >= end;
        const bool begins = block == begin && !accumulate;
        for (int tile = first_tile;
             tile < min(first_tile + ITEM_COLUMNS, COLUMNS / TILE_WIDTH); tile++)
            for (int t = 0; t < tiles; t++)
                multiply_tile(
                    a + (size_t)block * A_STEP,
                    b + B_TILE(tile) + (size_t)block * B_ROW + lane, terms,
                    first_row + t * TILE_ROWS, tile * TILE_WIDTH + lane, to, begins, ends, extra);
    }
}

/* Adds the slices up. Work-groups are (columns, rows), an item taking ITEM_VECTORS of a row. */
__kernel GROUP_ATTRIBUTE void combine(__global const float *restrict slices,
                                      __global const float *restrict extra,
                                      __global float *restrict c) {
    const int m = get_group_id(1);
    for (int j = 0; j < ITEM_VECTORS; j++) {
        const int l = LANE_BASE(get_group_id(0), ITEM_VECTORS) + j * LANE_STRIDE;
        const size_t i = (size_t)m * COLUMNS + l;
        vec sum = vec_load(slices + i);
        for (int s = 1; s < SLICES; s++) sum += vec_load(slices + (size_t)s * M * COLUMNS + i);
        vec_store(finish(sum, m, l, extra), c + i);
    }
}

#if FORM == WEIGHT
/* dy [WIDTH][R] becomes panels[tile of columns][R][TILE_WIDTH], with zeros beyond WIDTH. On CPUs a
 * work-group takes VECTOR_WIDTH columns and turns whole vectors; else its items are neighbouring
 * columns. Work-groups are (COLUMNS / LANE_STRIDE). */
__kernel GROUP_ATTRIBUTE void panels(__global const float *restrict dy,
                                     __global float *restrict out) {
    const int first = (int)get_group_id(0) * LANE_STRIDE + (int)get_local_id(0) * VECTOR_WIDTH;
    __global float *to = out + B_TILE(first / TILE_WIDTH) + first % TILE_WIDTH;
    for (int r = 0; r < R; r += VECTOR_WIDTH) {
        vec rows[VECTOR_WIDTH];
        UNROLL for (int i = 0; i < VECTOR_WIDTH; i++)
            rows[i] = first + i < WIDTH ? vec_load(dy + (size_t)(first + i) * R + r) : (vec)(0.0f);
#if VECTOR_WIDTH > 1
        /* Interleaving rows i and i + half, once for every bit of the width, is the transposition. */
        UNROLL for (int width = 1; width < VECTOR_WIDTH; width *= 2) {
            vec turned[VECTOR_WIDTH];
            UNROLL for (int i = 0; i < VECTOR_WIDTH / 2; i++) {
                turned[2 * i].even = rows[i].lo;
                turned[2 * i].odd = rows[i + VECTOR_WIDTH / 2].lo;
                turned[2 * i + 1].even = rows[i].hi;
                turned[2 * i + 1].odd = rows[i + VECTOR_WIDTH / 2].hi;
            }
            UNROLL for (int i = 0; i < VECTOR_WIDTH; i++) rows[i] = turned[i];
        }
#endif
        UNROLL for (int i = 0; i < VECTOR_WIDTH; i++)
            vec_store(rows[i], to + (size_t)(r + i) * TILE_WIDTH);
    }
}

/* bias gradient[o] = sum of dy[o]; an item or a work-group takes BIAS_ROWS of them. */
__kernel GROUP_ATTRIBUTE void bias_gradient(__global const float *restrict dy,
                                            __global float *restrict gradient, int accumulate) {
    __local float room[GROUP_SIZE];
    const int first = (int)get_group_id(0) * BIAS_ROWS;
    for (int o = first; o < min(first + BIAS_ROWS, WIDTH); o++) {
        vec sum = (vec)(0.0f);
        for (int r = LANE_BASE(0, 1); r < R; r += LANE_STRIDE)
            sum += vec_load(dy + (size_t)o * R + r);
        const float total = group_sum(vec_sum(sum), room);
        if (get_local_id(0) == 0) gradient[o] = (accumulate ? gradient[o] : 0.0f) + total;
    }
}
#endif
