/* SPDX-License-Identifier: MIT */
/* How far points are from those that a density has learned: engine/ops/density.h has the formulas.
 *
 * Features are [CHANNELS][PIXELS][BATCH]; each pixel of each image is a point of CHANNELS numbers.
 * Rows of the batch are cut into work-groups (lane groups, parts of ROWS rows), an item being a
 * vector wide:
 *
 *                      <- vector ->
 *     ROWS rows       |  item      |     centre: rows are those of all channels
 *     ROWS rows       |  item      |     all others: rows are pixels
 *
 * Options
 *     CHANNELS, PIXELS, BATCH   of the features in memory
 *     ROWS         rows of an item (16)
 *     POINTS       points that y has distances from (64)
 *     NEIGHBOURS   of which the mean distance is the score (5)
 *     TOP          pixels whose mean is an image's score (8)
 *
 * Twin of engine/ops/density.c. */

/* The lane of an item, and its rows. */
#define ITEM_LANE LANE_BASE(get_group_id(0), 1)
#define FOR_ROWS(row, count)                                                                       \
    for (int row = (int)get_group_id(1) * ROWS, end = min(row + ROWS, (count)); row < end; row++)
#define PLANE ((size_t)PIXELS * BATCH) /* floats of a channel */

/* z = x - shift, and 0 in padded lanes. */
__kernel GROUP_ATTRIBUTE void density_centre(__global const float *restrict x,
                                             __global const float *restrict shift,
                                             __global float *restrict z, int n) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, CHANNELS * PIXELS) {
        const size_t i = (size_t)row * BATCH + lane;
        vec_store(vec_mask(vec_load(x + i) - shift[row / PIXELS], lane, n), z + i);
    }
}

/* Two more channels, so that one product gives every sum that is needed: 1, and |z|^2. */
__kernel GROUP_ATTRIBUTE void density_extend(__global float *restrict z, int n) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, PIXELS) {
        __global float *at = z + (size_t)row * BATCH + lane;
        vec sum = (vec)(0.0f);
        for (int c = 0; c < CHANNELS; c++) {
            const vec value = vec_load(at + c * PLANE);
            sum += value * value;
        }
        vec_store(vec_mask((vec)(1.0f), lane, n), at + CHANNELS * PLANE);
        vec_store(sum, at + (CHANNELS + 1) * PLANE);
    }
}

/* The root of the mean square of y's channels. */
__kernel GROUP_ATTRIBUTE void density_length(__global const float *restrict y,
                                             __global float *restrict distances) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, PIXELS) {
        const size_t i = (size_t)row * BATCH + lane;
        vec sum = (vec)(0.0f);
        for (int c = 0; c < CHANNELS; c++) {
            const vec value = vec_load(y + i + c * PLANE);
            sum += value * value;
        }
        vec_store(sqrt(sum * (1.0f / CHANNELS)), distances + i);
    }
}

#ifdef POINTS
/* y[k] is |p_k|^2 - 2 p_k z for POINTS more points. best: [NEIGHBOURS + 1][PIXELS][BATCH], the
 * smallest so far in order. */
__kernel GROUP_ATTRIBUTE void density_nearest(__global const float *restrict y,
                                              __global float *restrict best, int begins) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, PIXELS) {
        const size_t i = (size_t)row * BATCH + lane;
        vec smallest[NEIGHBOURS + 1];
        UNROLL_FOR (int k = 0; k <= NEIGHBOURS; k++)
            smallest[k] = begins ? (vec)(INFINITY) : vec_load(best + i + k * PLANE);
        for (int p = 0; p < POINTS; p++) {
            vec candidate = vec_load(y + i + p * PLANE);
            UNROLL_FOR (int k = 0; k <= NEIGHBOURS; k++) {
                const WIDE(int) closer = candidate < smallest[k];
                const vec farther = vec_choose(candidate, smallest[k], closer);
                smallest[k] = vec_choose(smallest[k], candidate, closer);
                candidate = farther;
            }
        }
        UNROLL_FOR (int k = 0; k <= NEIGHBOURS; k++) vec_store(smallest[k], best + i + k * PLANE);
    }
}

/* The mean distance of the nearest of `points`, one that is in the same place left out. z as
 * density_extend leaves it. */
__kernel GROUP_ATTRIBUTE void density_neighbours(__global const float *restrict best,
                                                 __global const float *restrict z, int points,
                                                 __global float *restrict distances) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, PIXELS) {
        const size_t i = (size_t)row * BATCH + lane;
        const vec square = vec_load(z + i + (CHANNELS + 1) * PLANE);
        vec sum = (vec)(0.0f), count = (vec)(0.0f), skipped = (vec)(0.0f);
        for (int k = 0; k <= NEIGHBOURS && k < points; k++) {
            vec d = vec_load(best + i + k * PLANE) + square;
            d = vec_choose(d, (vec)(0.0f), d < (vec)(0.0f));
            if (k == 0) skipped = vec_choose((vec)(0.0f), (vec)(1.0f), d <= SAME_PLACE * square);
            const vec used = k == 0 ? 1.0f - skipped : k == NEIGHBOURS ? skipped : (vec)(1.0f);
            sum += used * sqrt(d);
            count += used;
        }
        vec_store(sum / vec_choose(count, (vec)(1.0f), count < (vec)(1.0f)), distances + i);
    }
}

/* Adds exp(-d^2 / 2 h^2) of POINTS more points to a sum, kept as the largest exponent and the sum
 * relative to it: sums [2][PIXELS][BATCH]. scale: -1 / 2 h^2. */
__kernel GROUP_ATTRIBUTE void density_kernels(__global const float *restrict y,
                                              __global const float *restrict z, float scale,
                                              __global float *restrict sums, int begins) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, PIXELS) {
        const size_t i = (size_t)row * BATCH + lane;
        const vec square = vec_load(z + i + (CHANNELS + 1) * PLANE);
        const vec before = begins ? (vec)(-FLT_MAX) : vec_load(sums + i);
        vec largest = before;
        for (int p = 0; p < POINTS; p++) {
            const vec exponent = scale * (vec_load(y + i + p * PLANE) + square);
            largest = vec_choose(largest, exponent, exponent > largest);
        }
        vec sum = begins ? (vec)(0.0f) : vec_load(sums + i + PLANE) * exp(before - largest);
        for (int p = 0; p < POINTS; p++)
            sum += exp(scale * (vec_load(y + i + p * PLANE) + square) - largest);
        vec_store(largest, sums + i);
        vec_store(sum, sums + i + PLANE);
    }
}

/* Minus the logarithm of the mean over the points. */
__kernel GROUP_ATTRIBUTE void density_unlikeliness(__global const float *restrict sums, int points,
                                                   __global float *restrict distances) {
    const int lane = ITEM_LANE;
    const float logarithm = log((float)points);
    FOR_ROWS(row, PIXELS) {
        const size_t i = (size_t)row * BATCH + lane;
        vec_store(logarithm - vec_load(sums + i) - log(vec_load(sums + i + PLANE)), distances + i);
    }
}
#endif

#ifdef TOP
typedef WIDE(uint) bits;

/* In the order of the floats, those below 0 included. */
INLINE bits ordered(const vec v) {
    const bits b = WIDE(as_uint)(v);
    return b ^ (((bits)(0u) - (b >> 31)) | (bits)(0x80000000u));
}

/* The mean of the TOP largest values of each image, [PIXELS][BATCH]. The TOP-th largest is found
 * bit by bit: the largest number that TOP values reach. */
__kernel GROUP_ATTRIBUTE void density_top(__global const float *restrict map,
                                          __global float *restrict scores) {
    const int lane = ITEM_LANE;
    map += lane;
    bits threshold = (bits)(0u);
    for (int bit = 31; bit >= 0; bit--) {
        const bits candidate = threshold | (bits)(1u << bit);
        vec reached = (vec)(0.0f);
        for (int p = 0; p < PIXELS; p++)
            reached += vec_choose((vec)(0.0f), (vec)(1.0f),
                                  ordered(vec_load(map + (size_t)p * BATCH)) >= candidate);
        threshold = vec_choose(threshold, candidate, reached >= (vec)(TOP));
    }
    vec sum = (vec)(0.0f), above = (vec)(0.0f);
    for (int p = 0; p < PIXELS; p++) {
        const vec value = vec_load(map + (size_t)p * BATCH);
        const vec more = vec_choose((vec)(0.0f), (vec)(1.0f), ordered(value) > threshold);
        sum += vec_choose((vec)(0.0f), value, more > (vec)(0.0f));
        above += more;
    }
    /* Values equal to the threshold make up the number. */
    const bits back =
        vec_choose(~threshold, threshold ^ (bits)(0x80000000u), threshold >= (bits)(0x80000000u));
    const vec ties = (vec)(TOP)-above;
    vec_store((sum + vec_choose(ties * WIDE(as_float)(back), (vec)(0.0f), ties <= (vec)(0.0f))) /
                  (float)TOP,
              scores + lane);
}
#endif
