/* SPDX-License-Identifier: MIT */
/* Included by matrix_unit.cl, which says what is defined here: DPAS of Intel's Xe-HPG (Arc), for
 * sub-groups of 8 items, by cl_intel_subgroup_matrix_multiply_accumulate. 8 columns and 8 words, of
 * two BF16, by 8 rows.
 *
 * Of the columns an item holds a word of each, of the rows it holds one, whose sums it has, of all
 * columns. */
#define WARP 8
#define ITEMS_HIGH 8
#define ITEMS_WIDE 1
#define LINES_OF_UNIT 8
#define QUADS_OF_UNIT 2
#define QUAD_ROW(lane, quad) (lane)
#define QUAD_COLUMN(lane, quad) ((quad)*4)
#define RIGHT_ONE_BY_ONE
#if !MATRIX_EMULATED
#define UNIT_ATTRIBUTE __attribute__((intel_reqd_sub_group_size(8)))
#endif

/* Right: [4 lines][8 words][line of these]. */
#define BLOCK_AT(left, line, word)                                                                 \
    ((left) ? LINE_BLOCK_AT(line, word) : ((line) / 4 * WORDS_OF_UNIT + (word)) * CELL + (line) % 4)
#define NEXT_LINES(left) ((left) ? NEXT_LINES_BY_LINE : 2)
#define NEXT_WORDS(left) ((left) ? 2 : 2 * CELL)
#define CELLS_OF_ITEM 2
#define CELL_OF(left, lane, i)                                                                     \
    ((left) ? (i)*LINES_OF_UNIT + LINE_CELL(lane) : (i)*WORDS_OF_UNIT + (lane))

INLINE void put_block(__local uint *to, bool left, uint2 line, uint2 next_line) {
    if (left) {
        put_lines_apart(to, line, next_line);
    } else {
        *(__local uint2 *)to = (uint2)(line.x, next_line.x);
        *(__local uint2 *)(to + CELL) = (uint2)(line.y, next_line.y);
    }
}

typedef float8 fragment_sums;
#define SUM_QUAD(sums, quad) ((quad) == 0 ? (sums).lo : (sums).hi)

#if MATRIX_EMULATED

/* Khronos, "cl_intel_subgroup_matrix_multiply_accumulate": the first factor is spread over the
 * items by its terms, the second and the result by their columns, which are our rows. */
#define SUM_ROW(lane, e) (lane)
#define SUM_COLUMN(lane, e) (e)
#define LEFT_HELD(row, word) HELD(true, row, word)
#define RIGHT_HELD(column, word) HELD(false, word, column)

#else

/* Compilers know it, but not all declare it. */
float8 __attribute__((overloadable))
intel_sub_group_bf16_bf16_matrix_mad_k16(int8 a, int8 b, float8 c);

typedef int8 unit_part;

INLINE unit_part load_part(__local const uint *from, bool left, int lane) {
    return as_int8((uint8)(*(__local const uint4 *)(from + CELL_OF(left, lane, 0) * CELL),
                           *(__local const uint4 *)(from + CELL_OF(left, lane, 1) * CELL)));
}

INLINE void unit_multiply(const unit_part *a, const unit_part *b, fragment_sums *sums) {
    *sums = intel_sub_group_bf16_bf16_matrix_mad_k16(*b, *a, *sums);
}

#endif
