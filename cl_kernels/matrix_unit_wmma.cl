/* SPDX-License-Identifier: MIT */
/* Included by matrix_unit.cl, which says what is defined here: WMMA of AMD's RDNA 3 (gfx11), for
 * wavefronts of 32 items. 16 columns and 8 words, of two BF16, by 16 rows.
 *
 * Items l and l + 16 hold line l of each factor. The unit adds to rows 2e + l / 16 of its result,
 * which are columns of ours: an item reads the column that makes it have neighbouring ones, 8 * (l
 * / 16) to 8 * (l / 16) + 7, of row l % 16. */
#define WARP 32
#define ITEMS_HIGH 16
#define ITEMS_WIDE 2
#define LINES_OF_UNIT 16
#define QUADS_OF_UNIT 2
#define QUAD_ROW(lane, quad) ((lane) % 16)
#define QUAD_COLUMN(lane, quad) ((lane) / 16 * 8 + (quad)*4)

#define BLOCK_AT(left, line, word) LINE_BLOCK_AT(line, word)
#define NEXT_LINES(left) NEXT_LINES_BY_LINE
#define NEXT_WORDS(left) 2
#define CELLS_OF_ITEM 2
#define COLUMN_OF(line) ((line) % 2 * 8 + (line) / 2)
#define CELL_OF(left, lane, i)                                                                     \
    ((i)*LINES_OF_UNIT + LINE_CELL((left) ? (lane) % 16 : COLUMN_OF((lane) % 16)))

INLINE void put_block(__local uint *to, bool left, uint2 line, uint2 next_line) {
    put_lines_apart(to, line, next_line);
}

typedef float8 fragment_sums;
#define SUM_QUAD(sums, quad) ((quad) == 0 ? (sums).lo : (sums).hi)

#if MATRIX_EMULATED

/* AMD, "RDNA3 Instruction Set Architecture", 7.9: the factors' lines are those of items 0 to 15, of
 * which the others have copies; words are registers, and so are every second row of the result. */
#define SUM_ROW(lane, e) ((lane) % 16)
#define SUM_COLUMN(lane, e) (2 * (e) + (lane) / 16)
#define LEFT_HELD(row, word) HELD(true, row, word)
#define RIGHT_HELD(column, word) HELD(false, (column) + 16, word)

#else

typedef short16 unit_part;

INLINE unit_part load_part(__local const uint *from, bool left, int lane) {
    return as_short16((uint8)(*(__local const uint4 *)(from + CELL_OF(left, lane, 0) * CELL),
                              *(__local const uint4 *)(from + CELL_OF(left, lane, 1) * CELL)));
}

INLINE void unit_multiply(const unit_part *a, const unit_part *b, fragment_sums *sums) {
    *sums = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(*b, *a, *sums);
}

#endif
