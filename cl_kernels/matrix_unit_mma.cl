/* SPDX-License-Identifier: MIT */
/* Included by matrix_unit.cl, which says what is defined here: NVIDIA's mma.sync, by inline PTX.
 * 16 rows and 8 words by 16 columns, of which the unit takes every other one at a time.
 *
 *                     word  2t  2t+1       an item's cell, of item 4 * g + t. The unit has it hold
 *     line 2g           | 0 | 2 |  left    rows g and g + 8, terms t and t + 4: which of 16 rows and
 *     line 2g + 1       | 1 | 3 |          of 8 terms those are is ours to say, as long as both
 *                                          factors agree. So they are neighbours, which are copied
 *     line 2g           | 0 | 1 |  right   together.
 *     line 2g + 1       | 2 | 3 |
 *
 * It has the sums of rows 2g and 2g + 1, and of columns 4t to 4t + 3. */
#define WARP 32
#define ITEMS_HIGH 8
#define ITEMS_WIDE 4
#define LINES_OF_UNIT 16
#define QUADS_OF_UNIT 2
#define QUAD_ROW(lane, quad) ((lane) / 4 * 2 + (quad))
#define QUAD_COLUMN(lane, quad) ((lane) % 4 * 4)

#define BLOCK_AT(left, line, word) (((line) / 2 * 4 + (word) / 2) * CELL)
#define NEXT_LINES(left) (4 * CELL)
#define NEXT_WORDS(left) CELL
#define CELLS_OF_ITEM 1
#define CELL_OF(left, lane, i) (lane)

INLINE void put_block(__local uint *to, bool left, uint2 line, uint2 next_line) {
    *(__local uint4 *)to = left ? (uint4)(line.x, next_line.x, line.y, next_line.y)
                                : (uint4)(line.x, line.y, next_line.x, next_line.y);
}

typedef struct fragment_sums {
    float of[8]; /* four of each half of the columns */
} fragment_sums;

#define SUM_QUAD(sums, quad)                                                                       \
    ((float4)((sums).of[2 * (quad)], (sums).of[4 + 2 * (quad)], (sums).of[2 * (quad) + 1],         \
              (sums).of[4 + 2 * (quad) + 1]))

#if MATRIX_EMULATED

/* Sum e of an item is of row g + e / 2 * 8 and column 2t + e % 2 of the unit. Row r, term k of the
 * left factor is word r / 8 + k / 4 * 2 of item (r % 8, k % 4); column c, term k of the right one
 * is word k / 4 of item (c, k % 4), of those that the unit gets. (PTX ISA, "Matrix Fragments for
 * mma.m16n8k8" and, with pairs of terms for terms, "mma.m16n8k16".) */
#define SUM_ROW(lane, e) ((lane) / 4 + (e) % 4 / 2 * 8)
#define SUM_COLUMN(lane, e) ((e) / 4 * 8 + (lane) % 4 * 2 + (e) % 2)
#define LEFT_HELD(row, word) HELD(true, (row) % 8 * 4 + (word) % 4, (row) / 8 + (word) / 4 * 2)
#define RIGHT_HELD(column, word)                                                                   \
    HELD(false, (column) % 8 * 4 + (word) % 4, (column) / 8 * 2 + (word) / 4)

#else

#if PRECISION == 2
#define UNIT_INSTRUCTION "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
#else
#define UNIT_INSTRUCTION "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
#endif

typedef struct unit_part {
    uint high[4], low[4];
} unit_part;

/* The unit ignores the last 13 bits of TF32: `high` is rounded where they are cut off, and `low` is
 * what is left of the value then. A NaN survives in `low`. */
INLINE unit_part load_part(__local const uint *from, bool left, int lane) {
    const uint4 cell = *(__local const uint4 *)(from + lane * CELL);
    const uint words[4] = {cell.x, cell.y, cell.z, cell.w};
    unit_part part;
    FOR_UNIT (int i = 0; i < 4; i++) {
#if PRECISION == 0
        part.high[i] = words[i] + 0x1000u;
        part.low[i] = as_uint(as_float(words[i]) - as_float(part.high[i] & 0xffffe000u));
#else
        part.high[i] = words[i];
#endif
    }
    return part;
}

INLINE void multiply_half(float *c, const uint *a, const uint *b) {
    __asm(UNIT_INSTRUCTION " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

INLINE void unit_multiply(const unit_part *a, const unit_part *b, fragment_sums *sums) {
    FOR_UNIT (int half_of = 0; half_of < 2; half_of++) {
        float *c = sums->of + 4 * half_of;
#if PRECISION == 0
        multiply_half(c, a->low, b->high + 2 * half_of);
        multiply_half(c, a->high, b->low + 2 * half_of);
#endif
        multiply_half(c, a->high, b->high + 2 * half_of);
    }
}

#endif
