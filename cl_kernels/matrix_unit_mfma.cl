/* SPDX-License-Identifier: MIT */
/* Included by matrix_unit.cl, which says what is defined here: MFMA of AMD's CDNA (gfx908 and
 * later), for wavefronts of 64 items. 32 columns and 8 words by 32 rows. Factors are floats, of
 * which products and sums are those of ordinary arithmetic, or BF16.
 *
 * The unit takes 2 floats, or 4 pairs of BF16 (gfx908: 2), at a time. Of these an item l, of half
 * h = l / 32, holds one, or two, of line l % 32; here it has those of four, or two, such steps side
 * by side: words 4h to 4h + 3. It has the sums of row l % 32, and of columns 8q + 4h and three more,
 * for q = 0 to 3. */
#define WARP 64
#define ITEMS_HIGH 32
#define ITEMS_WIDE 2
#define LINES_OF_UNIT 32
#define QUADS_OF_UNIT 4
#define QUAD_ROW(lane, quad) ((lane) % 32)
#define QUAD_COLUMN(lane, quad) ((quad)*8 + (lane) / 32 * 4)

#define BLOCK_AT(left, line, word) LINE_BLOCK_AT(line, word)
#define NEXT_LINES(left) NEXT_LINES_BY_LINE
#define NEXT_WORDS(left) 2
#define CELLS_OF_ITEM 1
#define CELL_OF(left, lane, i) ((lane) / 32 * LINES_OF_UNIT + LINE_CELL((lane) % 32))

INLINE void put_block(__local uint *to, bool left, uint2 line, uint2 next_line) {
    put_lines_apart(to, line, next_line);
}

typedef float16 fragment_sums;
#define SUM_QUAD(sums, quad)                                                                       \
    ((quad) == 0   ? (sums).s0123                                                                  \
     : (quad) == 1 ? (sums).s4567                                                                  \
     : (quad) == 2 ? (sums).s89ab                                                                  \
                   : (sums).scdef)

#if MATRIX_EMULATED

/* AMD, "Instinct MI200 Instruction Set Architecture", 4.1 to 4.3, and its matrix instruction
 * calculator, for V_MFMA_F32_32X32X2F32, V_MFMA_F32_32X32X8BF16_1K and V_MFMA_F32_32X32X4BF16. Which
 * word is which term is the same for both factors. */
#define SUM_ROW(lane, e) ((lane) % 32)
#define SUM_COLUMN(lane, e) ((e) / 4 * 8 + (lane) / 32 * 4 + (e) % 4)
#define LEFT_HELD(row, word) HELD(true, (word) / 4 * 32 + (row), (word) % 4)
#define RIGHT_HELD(column, word) HELD(false, (word) / 4 * 32 + (column), (word) % 4)

#else

typedef uint4 unit_part;

INLINE unit_part load_part(__local const uint *from, bool left, int lane) {
    return *(__local const uint4 *)(from + CELL_OF(left, lane, 0) * CELL);
}

/* Defined by compilers for that processor. */
#ifdef __gfx908__
#define PAIRS_AT_ONCE 1
#else
#define PAIRS_AT_ONCE 2
#endif

#if PRECISION != 2
#define MULTIPLY(c, a, b) __builtin_amdgcn_mfma_f32_32x32x2f32(as_float(b), as_float(a), c, 0, 0, 0)
#elif PAIRS_AT_ONCE == 1
#define MULTIPLY(c, a, b)                                                                          \
    __builtin_amdgcn_mfma_f32_32x32x4bf16(as_short2(b), as_short2(a), c, 0, 0, 0)
#else
#define MULTIPLY(c, a, b)                                                                          \
    __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(as_short4(b), as_short4(a), c, 0, 0, 0)
#endif

INLINE void unit_multiply(const unit_part *a, const unit_part *b, fragment_sums *sums) {
#if PRECISION == 2 && PAIRS_AT_ONCE == 2
    *sums = MULTIPLY(*sums, a->xy, b->xy);
    *sums = MULTIPLY(*sums, a->zw, b->zw);
#else
    *sums = MULTIPLY(*sums, a->x, b->x);
    *sums = MULTIPLY(*sums, a->y, b->y);
    *sums = MULTIPLY(*sums, a->z, b->z);
    *sums = MULTIPLY(*sums, a->w, b->w);
#endif
}

#endif
