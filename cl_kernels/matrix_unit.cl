/* SPDX-License-Identifier: MIT */
/* Included by kernels that multiply on matrix units, or do the same in OpenCL C, so that what lies
 * where is tested on every device.
 *
 * Both factors, left [row][term] and right [column][term], are copied to local memory as words, in
 * the order in which the units take them, so that an item reads its part of the lines and of 8
 * words of the terms as 128 bits, a cell. A row or column is a "line" here:
 *
 *     [step of 8 words][LINES_OF_UNIT lines][cell][4 words]
 *
 * A warp (NVIDIA's word; wavefront, sub-group) of WARP items multiplies WARP_ROWS x WARP_COLUMNS,
 * in fragments of LINES_OF_UNIT x LINES_OF_UNIT. Each kind of unit has a file, which defines
 *
 *     WARP, ITEMS_HIGH, ITEMS_WIDE    items, and how they share the sums of a fragment
 *     LINES_OF_UNIT                   of a fragment
 *     QUADS_OF_UNIT, SUM_QUAD, QUAD_ROW, QUAD_COLUMN
 *                                     the sums that an item has of a fragment, four neighbouring
 *                                     columns at a time, and which they are
 *     BLOCK_AT, put_block, NEXT_LINES, NEXT_WORDS
 *                                     where two words of two lines lie in a fragment, and from
 *                                     there those of the next two lines, or words
 *     CELLS_OF_ITEM, CELL_OF          which cells an item holds
 *     fragment_sums                   an item's sums
 *     unit_part, load_part, unit_multiply
 *                                     an item's part of a fragment, and the product of two
 *     RIGHT_ONE_BY_ONE                defined where registers hold only one part of the right factor
 *     LEFT_HELD, RIGHT_HELD, SUM_ROW, SUM_COLUMN
 *                                     or, in OpenCL C, where the unit expects a word of a line (or,
 *                                     as RIGHT_WORD, what makes one up), and what it makes of them
 *
 * Options
 *     MATRIX_UNITS    the kind: 1 to 5, as us_matrix_units of engine/device/facts.h
 *     MATRIX_EMULATED 1: in OpenCL C
 *     PRECISION       0: a word is a float. Where units have no factors of 32 bits (NVIDIA's),
 *                        three products of TF32, of the 11 leading bits and of the next 11, make up
 *                        nearly those of floats
 *                     1: a word is a float rounded to TF32; one product
 *                     2: a word is two terms, rounded to BF16; one product
 *     TILE_ROWS, TILE_COLUMNS    sums of an item (8, 8) */
/* Registers are arrays with constant indices. CPUs have none to lose, and compile loops faster. */
#if MATRIX_EMULATED
#define FOR_UNIT for
#else
#define FOR_UNIT UNROLL_FOR
#endif

#define WORDS_OF_UNIT 8
#define CELL 4 /* words */
#if PRECISION == 2
#define WORD_TERMS 2
#else
#define WORD_TERMS 1
#endif

/* For units that take neighbouring words of a line: four words are a cell, [4 words][line]. Lines
 * that are copied by the same item lie apart, so that items write to other banks of local memory.
 */
#define LINE_CELL(line) ((line) % 4 * (LINES_OF_UNIT / 4) + (line) / 4)
#define LINE_BLOCK_AT(line, word)                                                                  \
    (((word) / CELL * LINES_OF_UNIT + LINE_CELL(line)) * CELL + (word) % CELL)
#define NEXT_LINES_BY_LINE (2 * LINES_OF_UNIT / 4 * CELL)
/* Two words of two lines. */
#define put_lines_apart(to, line, next_line)                                                       \
    do {                                                                                           \
        *(__local uint2 *)(to) = (line);                                                           \
        *(__local uint2 *)((to) + LINES_OF_UNIT / 4 * CELL) = (next_line);                         \
    } while (0)

#if MATRIX_UNITS == 1
#include "matrix_unit_mma.cl"
#elif MATRIX_UNITS == 2
#include "matrix_unit_wmma.cl"
#elif MATRIX_UNITS == 3
#include "matrix_unit_mfma.cl"
#elif MATRIX_UNITS == 4
#include "matrix_unit_dpas.cl"
#else
#include "matrix_unit_dpas16.cl"
#endif
#ifndef UNIT_ATTRIBUTE
#define UNIT_ATTRIBUTE /* of kernels */
#endif

#define WARP_ROWS (ITEMS_HIGH * TILE_ROWS)
#define WARP_COLUMNS (ITEMS_WIDE * TILE_COLUMNS)

/* Of the lines of a unit, 8 words; and where two words of two lines begin, of `lines`. */
#define FRAGMENT (LINES_OF_UNIT * WORDS_OF_UNIT)
#define WORDS_AT(left, lines, line, word)                                                          \
    (((word) / WORDS_OF_UNIT * ((lines) / LINES_OF_UNIT) + (line) / LINES_OF_UNIT) * FRAGMENT +    \
     BLOCK_AT(left, (line) % LINES_OF_UNIT, (word) % WORDS_OF_UNIT))
/* Where the fragments of a warp begin. */
#define FRAGMENT_AT(lines, line, word)                                                             \
    (((word) / WORDS_OF_UNIT * ((lines) / LINES_OF_UNIT) + (line) / LINES_OF_UNIT) * FRAGMENT)

/* ---- rounding ---- */

#define BY_PTX (MATRIX_UNITS == 1 && !MATRIX_EMULATED)
#define BY_INTEL (MATRIX_UNITS >= 4 && !MATRIX_EMULATED)

#if BY_INTEL
/* Khronos, "cl_intel_bfloat16_conversions". Compilers know it, but not all declare it. */
ushort2 __attribute__((overloadable)) intel_convert_bfloat162_as_ushort2(float2 v);
#endif

/* To nearest, ties away from zero, as cvt.rna does. A NaN stays one. */
INLINE uint to_tf32(float v) {
#if BY_PTX
    uint r;
    __asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
    return r;
#else
    return isnan(v) ? 0x7fffffffu : (as_uint(v) + 0x1000u) & 0xffffe000u;
#endif
}

/* To nearest, ties to even. A NaN stays one. */
INLINE uint to_bf16(float low, float high) {
#if BY_PTX
    uint r;
    __asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#elif BY_INTEL
    return as_uint(intel_convert_bfloat162_as_ushort2((float2)(low, high)));
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

/* Of quads of lines that lie side by side, two words: 2 * WORD_TERMS terms from an even word on.
 * to: where the first two lines' are. */
INLINE void put_lines(__local uint *to, bool left, const float4 *quads) {
#if PRECISION == 2
#define PAIR(lane)                                                                                 \
    (uint2)(to_bf16(quads[0].lane, quads[1].lane), to_bf16(quads[2].lane, quads[3].lane))
#else
    const uint4 words[2] = {WORDS(quads[0]), WORDS(quads[1])};
#define PAIR(lane) (uint2)(words[0].lane, words[1].lane)
#endif
    put_block(to, left, PAIR(x), PAIR(y));
    put_block(to + NEXT_LINES(left), left, PAIR(z), PAIR(w));
}

/* Of two lines whose terms lie side by side, four terms. */
INLINE void put_terms(__local uint *to, bool left, float4 line, float4 next_line) {
#if PRECISION == 2
    put_block(to, left, (uint2)(to_bf16(line.x, line.y), to_bf16(line.z, line.w)),
              (uint2)(to_bf16(next_line.x, next_line.y), to_bf16(next_line.z, next_line.w)));
#else
    const uint4 a = WORDS(line), b = WORDS(next_line);
    put_block(to, left, a.xy, b.xy);
    put_block(to + NEXT_WORDS(left), left, a.zw, b.zw);
#endif
}

/* ---- multiplying ---- */

#define ROW_FRAGMENTS (WARP_ROWS / LINES_OF_UNIT)
#define COLUMN_FRAGMENTS (WARP_COLUMNS / LINES_OF_UNIT)

/* Of an item. */
typedef struct unit_sums {
    fragment_sums of[ROW_FRAGMENTS][COLUMN_FRAGMENTS];
} unit_sums;

#define FLOATS(sums) ((float *)&(sums))

INLINE void clear_sums(unit_sums *sums) {
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)
        FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++)
            FOR_UNIT (int e = 0; e < 4 * QUADS_OF_UNIT; e++) FLOATS(sums->of[i][j])[e] = 0.0f;
}

#if MATRIX_EMULATED

/* The products of a word of each factor, as the unit makes them. */
INLINE float unit_product(uint a, uint b) {
#if PRECISION == 2
    return as_float(a << 16) * as_float(b << 16) +
           as_float(a & 0xffff0000u) * as_float(b & 0xffff0000u);
#elif PRECISION == 1
    return as_float(a & 0xffffe000u) * as_float(b & 0xffffe000u);
#elif MATRIX_UNITS == 1
    const float a_high = as_float((a + 0x1000u) & 0xffffe000u);
    const float b_high = as_float((b + 0x1000u) & 0xffffe000u);
    const float a_low = as_float(as_uint(as_float(a) - a_high) & 0xffffe000u);
    const float b_low = as_float(as_uint(as_float(b) - b_high) & 0xffffe000u);
    return a_low * b_high + a_high * b_low + a_high * b_high;
#else
    return as_float(a) * as_float(b);
#endif
}

/* Word `word` of what an item holds of a fragment. */
#define HELD(left, lane, word) (CELL_OF(left, lane, (word) / CELL) * CELL + (word) % CELL)
#ifndef RIGHT_WORD
#define RIGHT_WORD(right, column, word) ((right)[RIGHT_HELD(column, word)])
#endif

INLINE void unit_multiply(__local const uint *left, __local const uint *right, int lane, float *c) {
    for (int e = 0; e < 4 * QUADS_OF_UNIT; e++) {
        const int row = SUM_ROW(lane, e), column = SUM_COLUMN(lane, e);
        for (int word = 0; word < WORDS_OF_UNIT; word++)
            c[e] += unit_product(left[LEFT_HELD(row, word)], RIGHT_WORD(right, column, word));
    }
}

/* Adds the products of a step. left, right: where the warp's first fragments of it begin. */
INLINE void multiply_step(__local const uint *left, __local const uint *right, int lane,
                          unit_sums *sums) {
    for (int i = 0; i < ROW_FRAGMENTS; i++)
        for (int j = 0; j < COLUMN_FRAGMENTS; j++)
            unit_multiply(left + i * FRAGMENT, right + j * FRAGMENT, lane, FLOATS(sums->of[i][j]));
}

#else

INLINE void multiply_step(__local const uint *left, __local const uint *right, int lane,
                          unit_sums *sums) {
#ifdef RIGHT_ONE_BY_ONE
    unit_part a[ROW_FRAGMENTS];
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++) a[i] = load_part(left + i * FRAGMENT, true, lane);
    FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++) {
        const unit_part b = load_part(right + j * FRAGMENT, false, lane);
        FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++) unit_multiply(&a[i], &b, &sums->of[i][j]);
    }
#else
    unit_part a[ROW_FRAGMENTS], b[COLUMN_FRAGMENTS];
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++) a[i] = load_part(left + i * FRAGMENT, true, lane);
    FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++)
        b[j] = load_part(right + j * FRAGMENT, false, lane);
    FOR_UNIT (int i = 0; i < ROW_FRAGMENTS; i++)
        FOR_UNIT (int j = 0; j < COLUMN_FRAGMENTS; j++)
            unit_multiply(&a[i], &b[j], &sums->of[i][j]);
#endif
}

#endif
