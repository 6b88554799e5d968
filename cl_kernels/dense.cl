/* SPDX-License-Identifier: MIT */
/* One product for all three passes of a dense layer, on CPUs: vectors lie along its columns. x, y
 * and their gradients are [feature][BATCH], the weight is [in][out]:
 *
 *     C[m][l] = sum over r of A(m, r) B[r][l]
 *
 *     FORM        rows m   sum over r   columns l   A        B
 *     0 forward   out      in           batch       weight   x
 *     1 input     in       out          batch       weight   dy
 *     2 weight    in       batch        out         x        dy transposed
 *
 * An item keeps the sums of a tile in registers, one tile after the other:
 *
 *                 TILE_VECTORS vectors, along l
 *                +------+------+
 *     TILE_ROWS  | sum  | sum  |   += A(m, r) times a vector of B, for r in a BLOCK
 *     along m    +------+------+
 *
 * Options
 *     FORM                       0 to 2, see above
 *     M, R, L, COLUMNS       rows, terms, columns that exist, columns of whole tiles
 *     BATCH                      lanes of the batch in memory
 *     A_ROW, A_STEP              A(m, r) is a[m * A_ROW + r * A_STEP]
 *     BIAS, ACTIVATION, INPUT_ACTIVATION   what becomes of a whole sum
 *     TILE_ROWS, TILE_VECTORS    of a tile (12, 2)
 *     SLICE                      terms of the sums that an item adds up (512); where they are not
 *                                all, slices' sums go to a buffer and `combine` adds them in order
 *     ITEM_VECTORS, BIAS_ROWS    of an item of `combine`, and of `bias_gradient`
 *     ITEM_COLUMNS, ITEM_CHUNKS  tiles of an item along l (8), and chunks along m (1)
 *     CHUNK_TILES                tiles of a chunk along m (10)
 *     BLOCK                      terms of the sums taken at a time (128)
 *
 * Work-groups are (columns, rows, slices). COMPARED, in forward products whose terms are all in one
 * block: each leaves a part of the errors per row of work-groups. On GPUs only `combine` and
 * `bias_gradient` are used, where CLBlast computes a product.
 *
 * Twin of engine/ops/dense/kernels.c; blocks.c chooses the numbers. */

#include "comparison.cl"

#define FORWARD 0
#define INPUT 1
#define WEIGHT 2

#define TILE_WIDTH (TILE_VECTORS * LANE_STRIDE)
#define SLICES CEIL_DIV(R, SLICE)
#define C_ROW (FORM == WEIGHT ? L : BATCH)

/* For each chunk of its rows, an item copies a block of A to where a tile's terms lie side by side:
 * in A they may be so far apart, by powers of two, that they compete for the same few sets of a
 * cache. B is copied only for weight gradients, which need it transposed. */
#define ROWS_OF_CHUNK (CHUNK_TILES * TILE_ROWS)
#define ROWS_OF_ITEM (ITEM_CHUNKS * ROWS_OF_CHUNK)
#define PANEL_B (BLOCK * TILE_WIDTH + LINE)
/* Rows of a batch are not powers of two apart (us_device_pad). */
#define B_IN_PLACE (FORM != WEIGHT)
#if B_IN_PLACE
#define B_SPACE __global
#define TILE_B_STEP BATCH
#else
#define B_SPACE ROOM
#define TILE_B_STEP TILE_WIDTH
#endif
/* Short rows of A need no copy. */
#define A_IN_PLACE (A_STEP == 1 && A_ROW <= BLOCK)
#if A_IN_PLACE
#define A_SPACE __global
#define TILE_A_ROW A_ROW
#define TILE_A_STEP 1
#else
#define A_SPACE ROOM
#define TILE_A_ROW (A_STEP == 1 ? BLOCK : 1)
#define TILE_A_STEP (A_STEP == 1 ? 1 : TILE_ROWS)
#define PANEL_A (BLOCK * TILE_ROWS + VECTOR_WIDTH) /* copying may write one vector too many */
#define WHOLE_ROWS (CEIL_DIV(TILE_ROWS, VECTOR_WIDTH) * VECTOR_WIDTH)
#endif

/* Finishes a complete sum. `extra` is the bias (forward) or x (input). */
static inline vec finish(vec sum, int m, int l, __global const float *extra) {
#if FORM == FORWARD
    if (BIAS) sum += extra[m];
    return activate(sum);
#elif FORM == INPUT
    return input_activation_backward(sum, vec_load(extra + (size_t)m * BATCH + l));
#else
    return sum;
#endif
}

#if !LANES
/* Only the columns of weights' gradients may end within a vector. */
#if FORM == WEIGHT && L % (TILE_VECTORS * LANE_STRIDE)
static inline vec load_c(__global const float *c, int l) {
    if (l + VECTOR_WIDTH <= L) return vec_load(c);
    float lanes[VECTOR_WIDTH];
    for (int k = 0; k < VECTOR_WIDTH; k++) lanes[k] = l + k < L ? c[k] : 0.0f;
    return vec_load(lanes);
}

static inline void store_c(vec v, __global float *c, int l) {
    if (l + VECTOR_WIDTH <= L) {
        vec_store(v, c);
        return;
    }
    float lanes[VECTOR_WIDTH];
    vec_store(v, lanes);
    for (int k = 0; k < VECTOR_WIDTH && l + k < L; k++) c[k] = lanes[k];
}
#else
#define load_c(c, l) vec_load(c)
#define store_c(v, c, l) vec_store(v, c)
#endif

#define PREFETCH_TERMS 32 /* terms between prefetches */

#define FOR_ROWS UNROLL_FOR (int i = 0; i < TILE_ROWS; i++)
#define FOR_VECTORS UNROLL_FOR (int j = 0; j < TILE_VECTORS; j++)
#define ROW_EXISTS (M % TILE_ROWS == 0 || m0 + i < M)
#define COLUMN (l + j * LANE_STRIDE)
#define OUTPUT_AT ((size_t)(m0 + i) * C_ROW + COLUMN)

/* The lines that the next copies read: `left` lines in rows of `lines`, `skip` floats between rows.
 * Multiplying tiles leaves memory idle, so every PREFETCH_TERMS terms of a tile prefetch a share of
 * them. */
typedef struct {
    __global const float *from;
    int line, lines, skip, left;
} stretch;

typedef struct {
    stretch now, then;
} ahead;

#define LINES_A (A_STEP == 1 ? ROWS_OF_CHUNK * LINES(BLOCK) : BLOCK * LINES(ROWS_OF_CHUNK))
#define LINES_B                                                                                    \
    (FORM == WEIGHT ? ITEM_COLUMNS * TILE_WIDTH * LINES(BLOCK)                                     \
                    : BLOCK * LINES(ITEM_COLUMNS * TILE_WIDTH))
#define STEPS (ITEM_COLUMNS * CHUNK_TILES * CEIL_DIV(BLOCK, PREFETCH_TERMS))
#define SHARE CEIL_DIV(LINES_A + LINES_B, STEPS)

static inline void prefetch_share(ahead *next) {
    UNROLL_FOR (int i = 0; i < SHARE; i++) {
        if (next->now.left <= 0) return;
        prefetch_line(next->now.from, 0, 1);
        next->now.from += LINE;
        if (++next->now.line == next->now.lines) {
            next->now.line = 0;
            next->now.from += next->now.skip;
        }
        if (--next->now.left == 0) {
            next->now = next->then;
            next->then.left = 0;
        }
    }
}

/* Rows of `length` floats, `stride` apart. */
static inline stretch stretch_of(__global const float *from, int rows, int length, int stride) {
    stretch s = {from, 0, LINES(length)};
    s.skip = stride - s.lines * LINE;
    s.left = rows > 0 && length > 0 ? rows * s.lines : 0;
    return s;
}

static inline stretch stretch_of_a(__global const float *a, int m0, int block) {
    const int rows = min(ROWS_OF_CHUNK, M - m0), terms = min(BLOCK, R - block);
    a += (size_t)m0 * A_ROW + (size_t)block * A_STEP;
    return A_STEP == 1 ? stretch_of(a, rows, terms, A_ROW) : stretch_of(a, terms, rows, A_STEP);
}

static inline stretch stretch_of_b(__global const float *b, int l0, int block) {
    const int columns = min(ITEM_COLUMNS * TILE_WIDTH, L - l0), terms = min(BLOCK, R - block);
    return FORM == WEIGHT ? stretch_of(b + (size_t)l0 * BATCH + block, columns, terms, BATCH)
                          : stretch_of(b + (size_t)block * BATCH + l0, terms, columns, BATCH);
}

/* Computes one tile, rows m0 .., columns l .. of c, over `terms` terms from a and b on. begin: c
 * holds nothing yet; end: the sums are complete. */
PART void multiply_tile(A_SPACE const float *a, B_SPACE const float *b, int terms, int m0, int l,
                        __global float *c, bool begin, bool end, __global const float *extra,
                        ahead *next, const comparison *with, ROOM float *errors) {
    vec sums[TILE_ROWS][TILE_VECTORS];
    /* Beyond the last row of A, the tile's first row is read and nothing is written. */
    int row[TILE_ROWS];
    FOR_ROWS row[i] = (!A_IN_PLACE || ROW_EXISTS ? i : 0) * TILE_A_ROW;
    __global float *to = c + (size_t)m0 * C_ROW + l;
    FOR_ROWS FOR_VECTORS sums[i][j] = (vec)(0.0f);
    if (begin) {
        if (!COMPARED || c) FOR_ROWS prefetch_line(to + (size_t)i * C_ROW, 1, 1);
#if COMPARED
        __global const float *beside = with->target + (size_t)m0 * C_ROW + l;
        if (with->target) FOR_ROWS prefetch_line(beside + (size_t)i * C_ROW, 0, 1);
#endif
    } else {
        FOR_ROWS if (ROW_EXISTS) {
            FOR_VECTORS sums[i][j] = load_c(to + (size_t)i * C_ROW + j * LANE_STRIDE, COLUMN);
        }
    }
    if (FORM == INPUT && end && INPUT_ACTIVATION) {
        FOR_ROWS {
            __global const float *at = extra + (size_t)(m0 + i) * BATCH + l;
            FOR_VECTORS prefetch_line(at + j * LANE_STRIDE, 0, 1);
        }
    }
    for (int start = 0; start < terms; start += PREFETCH_TERMS) {
        prefetch_share(next);
        UNROLL_TWICE_FOR (int r = start; r < min(start + PREFETCH_TERMS, terms); r++) {
            vec terms_b[TILE_VECTORS];
            FOR_VECTORS terms_b[j] = vec_load(b + (size_t)r * TILE_B_STEP + j * LANE_STRIDE);
            FOR_ROWS {
                const vec term_a = (vec)(a[row[i] + (size_t)r * TILE_A_STEP]);
                FOR_VECTORS sums[i][j] = fma(term_a, terms_b[j], sums[i][j]);
            }
        }
    }
    if (end) {
        FOR_ROWS if (ROW_EXISTS) {
            FOR_VECTORS sums[i][j] = finish(sums[i][j], m0 + i, COLUMN, extra);
        }
    }
#if COMPARED
    if (with->target) {
        vec error[TILE_VECTORS];
        FOR_VECTORS error[j] = ((ROOM vec *)errors)[j];
        FOR_ROWS if (ROW_EXISTS) {
            FOR_VECTORS error[j] = add_errors(sums[i][j], with, OUTPUT_AT, error[j]);
        }
        FOR_VECTORS {
            ((ROOM vec *)errors)[j] = error[j];
        }
        if (!c) return;
        FOR_ROWS if (ROW_EXISTS) {
            FOR_VECTORS sums[i][j] = error_gradient(sums[i][j], with, OUTPUT_AT, COLUMN);
        }
    }
#endif
    FOR_ROWS if (ROW_EXISTS) {
        FOR_VECTORS store_c(sums[i][j], to + (size_t)i * C_ROW + j * LANE_STRIDE, COLUMN);
    }
}

/* Copies a vector from anywhere to anywhere, for which vload and vstore may take it apart. */
typedef struct {
    vec v;
} __attribute__((packed, aligned(4))) loose;
#define COPY(from, to) (*(ROOM loose *)(to) = *(__global const loose *)(from))

#if !A_IN_PLACE
/* Rows m0 .. of A become panels[tile][TILE_ROWS x terms]; values beyond the last row are unused. */
PART void pack_a(__global const float *a, ROOM float *panels, int m0, int terms) {
#if A_STEP == 1
    for (int m = 0; m < min(ROWS_OF_CHUNK, M - m0); m++) {
        __global const float *from = a + (size_t)m * A_ROW;
        ROOM float *to = panels + m / TILE_ROWS * PANEL_A + m % TILE_ROWS * BLOCK;
        int r = 0;
        for (; r + VECTOR_WIDTH <= terms; r += VECTOR_WIDTH) COPY(from + r, to + r);
        for (; r < terms; r++) to[r] = from[r];
    }
#else
    /* The last tiles end too near the last row for whole vectors. */
    const int rows = min(ROWS_OF_CHUNK, M - m0);
    const int quick = clamp((M - m0 - WHOLE_ROWS + TILE_ROWS) / TILE_ROWS, 0, CHUNK_TILES);
    for (int r = 0; r < terms; r++) {
        __global const float *from = a + (size_t)r * A_STEP;
        ROOM float *to = panels + r * TILE_ROWS;
        for (int tile = 0; tile < quick; tile++)
            UNROLL_FOR (int i = 0; i < TILE_ROWS; i += VECTOR_WIDTH)
                COPY(from + tile * TILE_ROWS + i, to + tile * PANEL_A + i);
        for (int m = quick * TILE_ROWS; m < rows; m++)
            to[m / TILE_ROWS * PANEL_A + m % TILE_ROWS] = from[m];
    }
#endif
}
#endif

#if FORM == WEIGHT
/* Interleaving rows i and i + half, once per bit of the width, transposes. */
static inline void transpose(vec rows[VECTOR_WIDTH]) {
    UNROLL_FOR (int width = 1; width < VECTOR_WIDTH; width *= 2) {
        vec turned[VECTOR_WIDTH];
        UNROLL_FOR (int i = 0; i < VECTOR_WIDTH / 2; i++) {
            turned[2 * i].even = rows[i].lo;
            turned[2 * i].odd = rows[i + VECTOR_WIDTH / 2].lo;
            turned[2 * i + 1].even = rows[i].hi;
            turned[2 * i + 1].odd = rows[i + VECTOR_WIDTH / 2].hi;
        }
        UNROLL_FOR (int i = 0; i < VECTOR_WIDTH; i++) rows[i] = turned[i];
    }
}

/* Columns of `tiles` tiles of B become panels[tile][terms][TILE_WIDTH]. b is dy [L][BATCH] from
 * its first column here and its first term on. bias_gradient: NULL, or to where the values of each
 * column are added up. */
PART void pack_b(__global const float *b, ROOM float *panels, int l0, int tiles, int terms,
                 __global float *bias_gradient, bool begin) {
    for (int l = 0; l < tiles * TILE_WIDTH; l += VECTOR_WIDTH) {
        ROOM float *to = panels + l / TILE_WIDTH * PANEL_B + l % TILE_WIDTH;
        vec sum = (vec)(0.0f);
        for (int r = 0; r < terms; r += VECTOR_WIDTH) {
            vec rows[VECTOR_WIDTH];
            UNROLL_FOR (int i = 0; i < VECTOR_WIDTH; i++)
                rows[i] = l0 + l + i < L ? vec_load(b + (size_t)(l + i) * BATCH + r) : (vec)(0.0f);
            transpose(rows);
            UNROLL_FOR (int i = 0; i < VECTOR_WIDTH; i++) {
                vec_store(rows[i], to + (r + i) * TILE_WIDTH);
                sum += rows[i];
            }
        }
        if (bias_gradient) {
            float sums[VECTOR_WIDTH];
            vec_store(sum, sums);
            for (int i = 0; i < VECTOR_WIDTH && l0 + l + i < L; i++)
                bias_gradient[l0 + l + i] = (begin ? 0.0f : bias_gradient[l0 + l + i]) + sums[i];
        }
    }
}
#endif

PART void multiply_item(__global const float *restrict a, __global const float *restrict b,
                        __global const float *restrict extra, __global float *restrict c,
                        __global float *restrict slices, __global float *restrict bias_gradient,
                        int accumulate, int l0, int first_row, int slice, ROOM float *panels_a,
                        ROOM float *panels_b, const comparison *with, ROOM float *errors) {
    const int columns = min(ITEM_COLUMNS, (COLUMNS - l0) / TILE_WIDTH);
    const int end_row = min(first_row + ROWS_OF_ITEM, M);
    const int slice_end = min((slice + 1) * SLICE, R);
    __global float *to = SLICES > 1 ? slices + (size_t)slice * M * C_ROW : c;
    for (int block = slice * SLICE; block < slice_end; block += BLOCK) {
        const int terms = min(BLOCK, slice_end - block);
        const bool end = SLICES == 1 && block + BLOCK >= slice_end;
        const bool begin = block == slice * SLICE && !accumulate;
#if FORM == WEIGHT
        pack_b(b + (size_t)l0 * BATCH + block, panels_b, l0, columns, terms,
               first_row == 0 ? bias_gradient : 0, begin);
#endif
        for (int m0 = first_row; m0 < end_row; m0 += ROWS_OF_CHUNK) {
            __global const float *chunk = a + (size_t)m0 * A_ROW + (size_t)block * A_STEP;
#if !A_IN_PLACE
            pack_a(chunk, panels_a, m0, terms);
#endif
            /* Next are the next rows, or the next terms, or those of the next item. */
            const bool down = m0 + ROWS_OF_CHUNK < end_row, on = block + BLOCK < slice_end;
            ahead next;
            next.now = down || !on ? stretch_of_a(a, m0 + ROWS_OF_CHUNK, block)
                                   : stretch_of_a(a, first_row, block + BLOCK);
            next.then = down ? stretch_of(b, 0, 0, 0)
                        : on ? stretch_of_b(b, l0, block + BLOCK)
                             : stretch_of_b(b, l0 + ITEM_COLUMNS * TILE_WIDTH, block);
            if (!next.now.left) next.now = next.then;
            const int tiles = min(CHUNK_TILES, CEIL_DIV(end_row - m0, TILE_ROWS));
            for (int tile = 0; tile < columns; tile++)
                for (int t = 0; t < tiles; t++)
                    multiply_tile(
#if A_IN_PLACE
                        chunk + (size_t)t * TILE_ROWS * A_ROW,
#else
                        panels_a + t * PANEL_A,
#endif
#if B_IN_PLACE
                        b + (size_t)block * BATCH + l0 + tile * TILE_WIDTH,
#else
                        panels_b + tile * PANEL_B,
#endif
                        terms, m0 + t * TILE_ROWS, l0 + tile * TILE_WIDTH, to, begin, end, extra,
                        &next, with, errors + tile * TILE_WIDTH);
        }
    }
}

#if COMPARED
#define ERRORS (ITEM_COLUMNS * TILE_WIDTH)
/* Writes the errors of columns l0 .. as a part. */
PART void put_errors(ROOM const float *errors, int l0, const comparison *with) {
    __global float *to = with->errors + get_group_id(1) * (size_t)BATCH + l0;
    for (int l = 0; l < min(ERRORS, COLUMNS - l0); l += VECTOR_WIDTH)
        vec_store(*(ROOM const vec *)(errors + l), to + l);
}
#else
#define ERRORS 1
#endif

/* accumulate and bias_gradient, which may be NULL: used for weight gradients only. slices: receives
 * the sums, [SLICES][M][C_ROW], if SLICES > 1; else NULL, and the sums go to c. target .. n: a
 * comparison. */
__kernel GROUP_ATTRIBUTE void dense_product(
    __global const float *restrict a, __global const float *restrict b,
    __global const float *restrict extra, __global float *restrict c,
    __global float *restrict slices, __global float *restrict bias_gradient, int accumulate,
    __global const float *restrict target, __global float *restrict errors, float scale, int n) {
    const comparison with = {target, errors, scale, n};
    const int l0 = (int)get_group_id(0) * ITEM_COLUMNS * TILE_WIDTH;
    ROOM float item_errors[ERRORS] __attribute__((aligned(64)));
    for (int i = 0; i < ERRORS; i++) item_errors[i] = 0.0f;
#if B_IN_PLACE
    ROOM float panels_b[1];
#else
    ROOM float panels_b[ITEM_COLUMNS * PANEL_B] __attribute__((aligned(64)));
#endif
#if A_IN_PLACE
    ROOM float panels_a[1];
#else
    ROOM float panels_a[CHUNK_TILES * PANEL_A] __attribute__((aligned(64)));
#endif
    multiply_item(a, b, extra, c, slices, bias_gradient, accumulate, l0,
                  (int)get_group_id(1) * ROWS_OF_ITEM, get_group_id(2), panels_a, panels_b, &with,
                  item_errors);
#if COMPARED
    if (target) put_errors(item_errors, l0, &with);
#endif
}
#endif

/* Adds the slices up and finishes the sums; slices may be c if there is one. Work-groups are
 * (columns, rows); an item has ITEM_VECTORS of a row. */
__kernel GROUP_ATTRIBUTE void dense_combine(__global const float *slices,
                                            __global const float *extra, __global float *c) {
    const int m = get_group_id(1);
    for (int j = 0; j < ITEM_VECTORS; j++) {
        const int l = LANE_BASE(get_group_id(0), ITEM_VECTORS) + j * LANE_STRIDE;
        const size_t i = (size_t)m * C_ROW + l;
        vec sum = vec_load(slices + i);
        for (int s = 1; s < SLICES; s++) sum += vec_load(slices + (size_t)s * M * C_ROW + i);
        vec_store(finish(sum, m, l, extra), c + i);
    }
}

#if FORM == WEIGHT
/* The bias gradient, if another library computes the product: the sum of dy[o]. An item (CPUs) or a
 * work-group computes BIAS_ROWS of them. */
__kernel GROUP_ATTRIBUTE void dense_bias_gradient(__global const float *restrict dy,
                                                  __global float *restrict gradient,
                                                  int accumulate) {
    __local float room[GROUP_SIZE];
    const int first = (int)get_group_id(0) * BIAS_ROWS;
    for (int o = first; o < min(first + BIAS_ROWS, L); o++) {
        vec sum = (vec)(0.0f);
        for (int r = LANE_BASE(0, 1); r < R; r += LANE_STRIDE)
            sum += vec_load(dy + (size_t)o * BATCH + r);
        const float total = group_sum(vec_sum(sum), room);
        if (get_local_id(0) == 0) gradient[o] = (accumulate ? gradient[o] : 0.0f) + total;
    }
}
#endif
