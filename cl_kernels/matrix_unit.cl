/* SPDX-License-Identifier: MIT */
/* Included by kernels that multiply on matrix units: NVIDIA's mma.sync, by inline PTX, or the same
 * in OpenCL C, so that what lies where is tested on every device.
 *
 * Both factors, left [row][term] and right [column][term], are copied to local memory as words, in
 * the order in which the unit takes them, so that an item reads its part of 16 rows (or columns)
 * and 8 words of the terms as 128 bits:
 *
 *     [step of 8 words][16 lines][item of the warp: 4 * g + t][4 words]
 *
 *              word  2t  2t+1              an item's cell. A row or column is a "line" here. The
 *     line 2g       | 0 | 2 |  left        unit has a warp's item (g, t) hold rows g and g + 8,
 *     line 2g + 1   | 1 | 3 |              terms t and t + 4: which of 16 rows and of 8 terms those
 *                                          are is ours to say, as long as both factors agree. So
 *     line 2g       | 0 | 1 |  right       they are neighbours, which are copied together.
 *     line 2g + 1   | 2 | 3 |
 *
 * A warp of 32 items multiplies WARP_ROWS x WARP_COLUMNS. An item has the sums of rows 2g and 2g +
 * 1 of each 16, and of columns 4t to 4t + 3 of each 16.
 *
 * Options
 *     MATRIX_UNITS    1: NVIDIA's; 0: in OpenCL C
 *     PRECISION       0: a word is a float, and three products of TF32, of the 11 leading bits and
 *                        of the next 11, make up nearly those of floats
 *                     1: a word is a float rounded to TF32; one product
 *                     2: a word is two terms, rounded to BF16; one product
 *     TILE_ROWS, TILE_COLUMNS    sums of an item (8, 8) */
/* Registers are arrays with constant indices. CPUs, which have none to lose, compile loops faster.
 */
#if MATRIX_UNITS
#define FOR_UNIT UNROLL_FOR
#else
#define FOR_UNIT for
#endif

#define WARP 32
#define WARP_ROWS (8 * TILE_ROWS)
#define WARP_COLUMNS (4 * TILE_COLUMNS)
#define LINES_OF_UNIT 16
#define WORDS_OF_UNIT 8
#define CELL 4 /* words */
#if PRECISION == 2
#define WORD_TERMS 2
#else
#define WORD_TERMS 1
#endif

/* Of 16 lines, 8 words; and where the cell of an even line and an even word begins, of `lines`. */
#define FRAGMENT (WARP * CELL)
#define CELL_AT(lines, line, word)                                                                 \
    (((word) / WORDS_OF_UNIT * ((lines) / LINES_OF_UNIT) + (line) / LINES_OF_UNIT) * FRAGMENT +    \
     ((line) % LINES_OF_UNIT / 2 * 4 + (word) % WORDS_OF_UNIT / 2) * CELL)

/* ---- rounding ---- */

/* To nearest, ties away from zero, as cvt.rna does. A NaN stays one. */
INLINE uint to_tf32(float v) {
#if MATRIX_UNITS
    uint r;
    __asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
    return r;
#else
    return isnan(v) ? 0x7fffffffu : (as_uint(v) + 0x1000u) & 0xffffe000u;
#endif
}

/* To nearest, ties to even. A NaN stays one. */
INLINE uint to_bf16(float low, float high) {
#if MATRIX_UNITS
    uint r;
    __asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#else
    const uint2 u = (uint2)(as_uint(low), as_uint(high));
    const uint2 rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    return (isnan(low) ? 0x7fffu : rounded.x) | (isnan(high) ? 0x7fffu : rounded.y) << 16;
#endif
}

#if PRECISION == 1
#define WORDS(v) ((uint4)(to_tf32((v).x), to_tf32((v).y), to_tf32((v).z), to_tf32((v).w)))
#else
#define WORDS(v) as_uint4(v)
#endif

/* ---- copying ---- */

INLINE void put_cell(__local uint *to, bool left, uint2 line, uint2 next_line) {
    *(__local uint4 *)to = left ? (uint4)(line.x, next_line.x, line.y, next_line.y)
                                : (uint4)(line.x, line.y, next_line.x, next_line.y);
}

/* Two cells from quads of lines that lie side by side: of 2 * WORD_TERMS terms, those of an even
 * word and the next one. to: where the cell of the first two lines is. */
INLINE void put_lines(__local uint *to, bool left, const float4 *quads) {
#if PRECISION == 2
#define PAIR(lane)                                                                                 \
    (uint2)(to_bf16(quads[0].lane, quads[1].lane), to_bf16(quads[2].lane, quads[3].lane))
#else
    const uint4 words[2] = {WORDS(quads[0]), WORDS(quads[1])};
#define PAIR(lane) (uint2)(words[0].lane, words[1].lane)
#endif
    put_cell(to, left, PAIR(x), PAIR(y));
    put_cell(to + 4 * CELL, left, PAIR(z), PAIR(w));
}

/* The cells of two lines whose terms lie side by side, from a quad of each. */
INLINE void put_terms(__local uint *to, bool left, float4 line, float4 next_line) {
#if PRECISION == 2
    put_cell(to, left, (uint2)(to_bf16(line.x, line.y), to_bf16(line.z, line.w)),
             (uint2)(to_bf16(next_line.x, next_line.y), to_bf16(next_line.z, next_line.w)));
#else
    const uint4 a = WORDS(line), b = WORDS(next_line);
    put_cell(to, left, a.xy, b.xy);
    put_cell(to + CELL, left, a.zw, b.zw);
#endif
}

/* ---- multiplying ---- */

#define ROW_FRAGMENTS (WARP_ROWS / LINES_OF_UNIT)
#define COLUMN_FRAGMENTS (WARP_COLUMNS / LINES_OF_UNIT)
#define UNIT_COLUMNS (2 * COLUMN_FRAGMENTS) /* the unit takes 8 columns: of 16, every other one */

/* Of an item, [16 rows][8 columns]: rows 2g and 2g + 1, with two columns of each. */
typedef struct unit_sums {
    float of[ROW_FRAGMENTS][UNIT_COLUMNS][4];
} unit_sums;

INLINE void clear_sums(unit_sums *sums) {
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)
        FOR_UNIT (int j = 0; j < UNIT_COLUMNS; j++)
            FOR_UNIT (int e = 0; e < 4; e++) sums->of[i][j][e] = 0.0f;
}

/* The quad of columns from 16 j + 4t on, of row 16 i + 2g + r. */
#define SUM_QUAD(sums, i, j, r)                                                                    \
    ((float4)((sums).of[i][2 * (j)][2 * (r)], (sums).of[i][2 * (j) + 1][2 * (r)],                  \
              (sums).of[i][2 * (j)][2 * (r) + 1], (sums).of[i][2 * (j) + 1][2 * (r) + 1]))

#if MATRIX_UNITS

#if PRECISION == 2
#define UNIT_INSTRUCTION "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#else
#define UNIT_INSTRUCTION "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
#endif
INLINE void unit_multiply(float *c, const uint *a, const uint *b) {
    __asm(UNIT_INSTRUCTION " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* A cell for the unit. It ignores the last 13 bits of TF32: `high` is rounded where they are cut
 * off, and `low` is what is left of the value then. A NaN survives in `low`. */
INLINE void load_cell(__local const uint *from, uint high[4], uint low[4]) {
    const uint4 cell = *(__local const uint4 *)from;
    const uint words[4] = {cell.x, cell.y, cell.z, cell.w};
    FOR_UNIT (int i = 0; i < 4; i++) {
#if PRECISION == 0
        high[i] = words[i] + 0x1000u;
        low[i] = as_uint(as_float(words[i]) - as_float(high[i] & 0xffffe000u));
#else
        high[i] = words[i];
#endif
    }
}

/* Adds the products of a step. left, right: where the warp's first fragments of it begin. */
INLINE void multiply_step(__local const uint *left, __local const uint *right, int lane,
                          unit_sums *sums) {
    uint a[ROW_FRAGMENTS][4], a_low[ROW_FRAGMENTS][4];
    uint b[COLUMN_FRAGMENTS][4], b_low[COLUMN_FRAGMENTS][4];
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)
        load_cell(left + i * FRAGMENT + lane * CELL, a[i], a_low[i]);
    FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++)
        load_cell(right + j * FRAGMENT + lane * CELL, b[j], b_low[j]);
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)
        FOR_UNIT (int j = 0; j < UNIT_COLUMNS; j++) {
            const int pair = j % 2 * 2;
#if PRECISION == 0
            unit_multiply(sums->of[i][j], a_low[i], b[j / 2] + pair);
            unit_multiply(sums->of[i][j], a[i], b_low[j / 2] + pair);
#endif
            unit_multiply(sums->of[i][j], a[i], b[j / 2] + pair);
        }
}

#else

/* The products of a word of each factor, as the unit makes them. */
INLINE float unit_product(uint a, uint b) {
#if PRECISION == 2
    return as_float(a << 16) * as_float(b << 16) +
           as_float(a & 0xffff0000u) * as_float(b & 0xffff0000u);
#elif PRECISION == 1
    return as_float(a & 0xffffe000u) * as_float(b & 0xffffe000u);
#else
    const float a_high = as_float((a + 0x1000u) & 0xffffe000u);
    const float b_high = as_float((b + 0x1000u) & 0xffffe000u);
    const float a_low = as_float(as_uint(as_float(a) - a_high) & 0xffffe000u);
    const float b_low = as_float(as_uint(as_float(b) - b_high) & 0xffffe000u);
    return a_low * b_high + a_high * b_low + a_high * b_high;
#endif
}

/* Sum e of item `lane` is of row g + e / 2 * 8 and column 2t + e % 2 of the unit. Row r, term k of
 * the left factor is word r / 8 + k / 4 * 2 of item (r % 8, k % 4); column c, term k of the right
 * one is word k / 4 of item (c, k % 4), of those that the unit gets. (PTX ISA, "Matrix Fragments
 * for mma.m16n8k8" and, with pairs of terms for terms, "mma.m16n8k16".) */
INLINE void unit_multiply(__local const uint *left, __local const uint *right, int lane,
                          float c[4]) {
    for (int e = 0; e < 4; e++) {
        const int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
        for (int k = 0; k < WORDS_OF_UNIT; k++)
            c[e] += unit_product(left[(row % 8 * 4 + k % 4) * CELL + row / 8 + k / 4 * 2],
                                 right[(column * 4 + k % 4) * CELL + k / 4]);
    }
}

INLINE void multiply_step(__local const uint *left, __local const uint *right, int lane,
                          unit_sums *sums) {
    for (int i = 0; i < ROW_FRAGMENTS; i++)
        for (int j = 0; j < UNIT_COLUMNS; j++)
            unit_multiply(left + i * FRAGMENT, right + j / 2 * FRAGMENT + j % 2 * 2, lane,
                          sums->of[i][j]);
}

#endif
