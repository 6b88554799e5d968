/* SPDX-License-Identifier: MIT */
/* A product of 16 x 8 by 8 x 16 on a matrix unit, with factors rounded to TF32: whether a driver's
 * compiler knows it. Launched with one group of 32 items. Twin of engine/device/matrix_units.c.
 *
 * Options: MATRIX_UNITS   see matrix_unit.cl */
#define PRECISION 1
#define TILE_ROWS 2
#define TILE_COLUMNS 4
#include "matrix_unit.cl"

#define FACTOR (LINES_OF_UNIT * WORDS_OF_UNIT)

/* factors: both, [16 lines][8 terms]; product: [16 rows][16 columns]. */
__kernel __attribute__((reqd_work_group_size(WARP, 1, 1))) void matrix_unit_trial(
    __global const float *restrict factors, __global float *restrict product) {
    __local uint left[FACTOR] __attribute__((aligned(16)));
    __local uint right[FACTOR] __attribute__((aligned(16)));
    const int item = get_local_id(0), quads = WORDS_OF_UNIT / 4;
    if (item < LINES_OF_UNIT / 2 * quads) {
        const int line = item / quads * 2, word = item % quads * 4;
        __global const float *from = factors + line * WORDS_OF_UNIT + word;
        put_terms(left + CELL_AT(LINES_OF_UNIT, line, word), true, vload4(0, from),
                  vload4(0, from + WORDS_OF_UNIT));
        from += FACTOR;
        put_terms(right + CELL_AT(LINES_OF_UNIT, line, word), false, vload4(0, from),
                  vload4(0, from + WORDS_OF_UNIT));
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    unit_sums sums;
    clear_sums(&sums);
    multiply_step(left, right, item, &sums);
    FOR_UNIT (int r = 0; r < 2; r++)
        vstore4(SUM_QUAD(sums, 0, 0, r), 0,
                product + (item / 4 * 2 + r) * LINES_OF_UNIT + item % 4 * 4);
}
