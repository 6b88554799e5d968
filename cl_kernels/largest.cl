/* SPDX-License-Identifier: MIT */
/* Included: the TOP-th largest of the values [PIXELS][BATCH] of a vector's lanes, none of them
 * negative. The bits of such floats are ordered as the floats, so it is found bit by bit: the
 * largest value that TOP of them reach. The includer defines PIXELS, BATCH and TOP. */

typedef WIDE(uint) bits;
typedef WIDE(int) counts;

static inline bits nth_largest(__global const float *values) {
    bits threshold = (bits)(0u);
    for (int bit = 30; bit >= 0; bit--) {
        const bits candidate = threshold | (bits)(1u << bit);
        counts reached = (counts)(0);
        for (int p = 0; p < PIXELS; p++) {
            const bits e = WIDE(as_uint)(vec_load(values + (size_t)p * BATCH));
#if VECTOR_WIDTH == 1
            reached += e >= candidate;
#else
            reached -= e >= candidate; /* true is -1 in every lane */
#endif
        }
        threshold = vec_choose(threshold, candidate, reached >= (counts)(TOP));
    }
    return threshold;
}
