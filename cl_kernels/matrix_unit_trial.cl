/* SPDX-License-Identifier: MIT */
/* The product of two fragments on a matrix unit: whether a driver's compiler knows it. Launched
 * with one group of WARP items. Twin of engine/device/matrix_units.c.
 *
 * Options: MATRIX_UNITS, MATRIX_EMULATED, PRECISION   see matrix_unit.cl */
#define TILE_ROWS (LINES_OF_UNIT / ITEMS_HIGH)
#define TILE_COLUMNS (LINES_OF_UNIT / ITEMS_WIDE)
#include "matrix_unit.cl"

#define TERMS (WORDS_OF_UNIT * WORD_TERMS)
#define QUADS (TERMS / 4)

/* factors: both, [LINES_OF_UNIT lines][TERMS]; product: [LINES_OF_UNIT rows][columns]. */
__kernel __attribute__((reqd_work_group_size(WARP, 1, 1))) UNIT_ATTRIBUTE void matrix_unit_trial(
    __global const float *restrict factors, __global float *restrict product) {
    __local uint left[FRAGMENT] __attribute__((aligned(16)));
    __local uint right[FRAGMENT] __attribute__((aligned(16)));
    const int item = get_local_id(0);
    for (int copy = item; copy < LINES_OF_UNIT / 2 * QUADS; copy += WARP) {
        const int line = copy / QUADS * 2, term = copy % QUADS * 4, word = term / WORD_TERMS;
        __global const float *from = factors + line * TERMS + term;
        put_terms(left + WORDS_AT(true, LINES_OF_UNIT, line, word), true, vload4(0, from),
                  vload4(0, from + TERMS));
        from += LINES_OF_UNIT * TERMS;
        put_terms(right + WORDS_AT(false, LINES_OF_UNIT, line, word), false, vload4(0, from),
                  vload4(0, from + TERMS));
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    unit_sums sums;
    clear_sums(&sums);
    multiply_step(left, right, item, &sums);
    FOR_UNIT (int quad = 0; quad < QUADS_OF_UNIT; quad++)
        vstore4(SUM_QUAD(sums.of[0][0], quad), 0,
                product + QUAD_ROW(item, quad) * LINES_OF_UNIT + QUAD_COLUMN(item, quad));
}
