/* SPDX-License-Identifier: MIT */
/* How much a score that is made of several columns changes with each of them. With
 * part[c] = factors[c] * columns[c][n] + offsets[c], the score of image n is the sum of the parts,
 * or the largest (MAXIMUM):
 *
 *     slopes[c][n] = factors[c], and with MAXIMUM 0 where another part is the largest
 *
 * columns and slopes are [COLUMNS][BATCH]; a work-item has an image. Lanes from n on are 0.
 *
 * Options
 *     COLUMNS, BATCH   how many there are (3, 128)
 *     MAXIMUM          1: the largest part is the score, 0: their sum
 *
 * Twin of engine/ops/score_slopes.c. */

__kernel void score_slopes(__global const float *restrict columns,
                           __global const float *restrict factors,
                           __global const float *restrict offsets, __global float *restrict slopes,
                           int n) {
    const int lane = (int)get_global_id(0);
    if (lane >= BATCH) return;
    int largest = 0;
    float most = factors[0] * columns[lane] + offsets[0];
    for (int c = 1; c < COLUMNS; c++) {
        const float part = factors[c] * columns[(size_t)c * BATCH + lane] + offsets[c];
        if (part > most) {
            largest = c;
            most = part;
        }
    }
    for (int c = 0; c < COLUMNS; c++)
        slopes[(size_t)c * BATCH + lane] =
            lane < n && (!MAXIMUM || c == largest) ? factors[c] : 0.0f;
}
