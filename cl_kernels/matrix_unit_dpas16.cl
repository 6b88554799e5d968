/* SPDX-License-Identifier: MIT */
/* Included by matrix_unit.cl, which says what is defined here: DPAS of Intel's Xe-HPC (Data Center
 * GPU Max) and Xe2 (Arc B), for sub-groups of 16 items, by
 * cl_intel_subgroup_matrix_multiply_accumulate and its extension for TF32. Twice 8 columns and 8
 * words, of a TF32 or two BF16, by 16 rows.
 *
 * Of the rows an item holds one, whose sums it has, of all columns. Of the columns it holds, of BF16
 * a term each, of TF32 a word of every other four. */
#define WARP 16
#define ITEMS_HIGH 16
#define ITEMS_WIDE 1
#define LINES_OF_UNIT 16
#define QUADS_OF_UNIT 4
#define QUAD_ROW(lane, quad) (lane)
#define QUAD_COLUMN(lane, quad) ((quad)*4)
#define RIGHT_ONE_BY_ONE
#if !MATRIX_EMULATED
#define UNIT_ATTRIBUTE __attribute__((intel_reqd_sub_group_size(16)))
#endif

#define COLUMNS_AT_ONCE 8
#define CELLS_OF_ITEM 2
#define CELL_OF(left, lane, i) ((i)*16 + ((left) ? LINE_CELL(lane) : (lane)))

#if PRECISION == 2

/* Right: [COLUMNS_AT_ONCE lines][16 terms][line of these], where a word is a term of two lines. */
#define TERM_CELL(line, term) ((line) / COLUMNS_AT_ONCE * 16 + (term))
#define BLOCK_AT(left, line, word)                                                                 \
    ((left) ? LINE_BLOCK_AT(line, word)                                                            \
            : TERM_CELL(line, 2 * (word)) * CELL + (line) % COLUMNS_AT_ONCE / 2)
#define NEXT_LINES(left) ((left) ? NEXT_LINES_BY_LINE : 1)
#define NEXT_WORDS(left) ((left) ? 2 : 4 * CELL)

INLINE void put_right_block(__local uint *to, uint2 line, uint2 next_line) {
    const uint2 even = (line & 0xffffu) | next_line << 16;
    const uint2 odd = line >> 16 | (next_line & 0xffff0000u);
    to[0] = even.x;
    to[CELL] = odd.x;
    to[2 * CELL] = even.y;
    to[3 * CELL] = odd.y;
}

#else

/* Right: [4 lines][8 words][line of these]. */
#define BLOCK_AT(left, line, word)                                                                 \
    ((left) ? LINE_BLOCK_AT(line, word) : ((line) / 4 * WORDS_OF_UNIT + (word)) * CELL + (line) % 4)
#define NEXT_LINES(left) ((left) ? NEXT_LINES_BY_LINE : 2)
#define NEXT_WORDS(left) ((left) ? 2 : 2 * CELL)

INLINE void put_right_block(__local uint *to, uint2 line, uint2 next_line) {
    *(__local uint2 *)to = (uint2)(line.x, next_line.x);
    *(__local uint2 *)(to + CELL) = (uint2)(line.y, next_line.y);
}

#endif

INLINE void put_block(__local uint *to, bool left, uint2 line, uint2 next_line) {
    if (left)
        put_lines_apart(to, line, next_line);
    else
        put_right_block(to, line, next_line);
}

typedef float16 fragment_sums;

/* Of TF32, items 0 to 7 hold columns 0 to 3 of 8, which the unit takes for 0, 2, 4, 6. */
#if PRECISION == 2
#define SUM_QUAD(sums, quad)                                                                       \
    ((quad) == 0   ? (sums).s0123                                                                  \
     : (quad) == 1 ? (sums).s4567                                                                  \
     : (quad) == 2 ? (sums).s89ab                                                                  \
                   : (sums).scdef)
#else
#define SUM_QUAD(sums, quad)                                                                       \
    ((quad) == 0   ? (sums).s0246                                                                  \
     : (quad) == 1 ? (sums).s1357                                                                  \
     : (quad) == 2 ? (sums).s8ace                                                                  \
                   : (sums).s9bdf)
#endif

#if MATRIX_EMULATED

/* Khronos, "cl_intel_subgroup_matrix_multiply_accumulate" and "..._tf32": the second factor and the
 * result are spread over the items by their columns, which are our rows. The first factor is spread
 * by its terms: of BF16, items hold one each; of TF32, items 0 to 7 hold those of even lines, the
 * others those of odd ones. Sum e is of line e % 8 of product e / 8. */
#define SUM_ROW(lane, e) (lane)
#define SUM_COLUMN(lane, e) (e)
#define LEFT_HELD(row, word) HELD(true, row, word)
#if PRECISION == 2
#define TERM_HELD(right, column, term)                                                             \
    ((right)[HELD(false, term, (column) / 2)] >> (column) % 2 * 16 & 0xffffu)
#define RIGHT_WORD(right, column, word)                                                            \
    (TERM_HELD(right, column, 2 * (word)) | TERM_HELD(right, column, 2 * (word) + 1) << 16)
#else
#define RIGHT_HELD(column, word)                                                                   \
    HELD(false, (column) % 2 * 8 + (word), (column) / 8 * CELL + (column) % 8 / 2)
#endif

#else

/* Compilers know them, but not all declare them. */
float8 __attribute__((overloadable))
intel_sub_group_bf16_bf16_matrix_mad_k16(short8 a, int8 b, float8 c);
float8 __attribute__((overloadable))
intel_sub_group_tf32_tf32_matrix_mad_k8(float4 a, float8 b, float8 c);

typedef uint8 unit_part;

INLINE unit_part load_part(__local const uint *from, bool left, int lane) {
    return (uint8)(*(__local const uint4 *)(from + CELL_OF(left, lane, 0) * CELL),
                   *(__local const uint4 *)(from + CELL_OF(left, lane, 1) * CELL));
}

#if PRECISION == 2
#define MULTIPLY(columns, rows, c)                                                                 \
    intel_sub_group_bf16_bf16_matrix_mad_k16(as_short8(columns), as_int8(rows), c)
#else
#define MULTIPLY(columns, rows, c)                                                                 \
    intel_sub_group_tf32_tf32_matrix_mad_k8(as_float4(columns), as_float8(rows), c)
#endif

INLINE void unit_multiply(const unit_part *a, const unit_part *b, fragment_sums *sums) {
    sums->lo = MULTIPLY(b->lo, *a, sums->lo);
    sums->hi = MULTIPLY(b->hi, *a, sums->hi);
}

#endif
