/* SPDX-License-Identifier: MIT */
/* The score of each image by its reconstruction. With e[p][n] the sum of (x - y)^2 over the
 * channels of pixel p, a score is made of the e of an image: engine/ops/pixel_score.h has the
 * formulas.
 *
 * x and y are [CHANNELS][PIXELS][BATCH]. pixel_score_errors has work-groups (lane groups, splits of
 * the pixels), pixel_score_combine lane groups of one vector per item:
 *
 *                   <- VECTORS ->
 *     ROWS pixels  | item        |  ->  parts[split][n]
 *     ROWS pixels  | item        |  ->  parts[split][n]  ->  scores[n]
 *
 * Options
 *     KIND               us_pixel_score_kind
 *     CHANNELS, PIXELS, BATCH   of the images in memory
 *     TOP                TOP_K: of how many of the largest e the mean is the score
 *     VECTORS, ROWS      vectors of the batch (all on CPUs, 1 on GPUs) and pixels of an item (64)
 *
 * Twin of engine/ops/pixel_score.c. */

#include "pixel_score_kind.cl"

#define SPLITS CEIL_DIV(PIXELS, ROWS)

#include "largest.cl"

/* Writes, for TOP_K, the error of every pixel, [PIXELS][BATCH]; else a part per split,
 * [SPLITS][BATCH]. For RELATIVE the parts of the image's own size follow. */
__kernel GROUP_ATTRIBUTE void pixel_score_errors(__global const float *restrict x,
                                                 __global const float *restrict y,
                                                 __global float *restrict parts) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), split = get_group_id(1);
    const int first_row = split * ROWS, end_row = min(first_row + ROWS, PIXELS);
    /* One pixel after the other, so that memory is read in runs; the parts stay in the L1 cache
     * meanwhile. */
    vec part[VECTORS];
    for (int j = 0; j < VECTORS; j++) part[j] = (vec)(0.0f);
#if KIND == RELATIVE
    vec size[VECTORS];
    for (int j = 0; j < VECTORS; j++) size[j] = (vec)(0.0f);
#endif
    for (int p = first_row; p < end_row; p++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            vec e = (vec)(0.0f);
            for (int c = 0; c < CHANNELS; c++) {
                const size_t i = ((size_t)c * PIXELS + p) * BATCH + lane;
                const vec v = vec_load(x + i), d = v - vec_load(y + i);
                e += d * d;
#if KIND == RELATIVE
                size[j] += (v + 1.0f) * (v + 1.0f);
#endif
            }
#if KIND == TOP_K
            vec_store(e, parts + (size_t)p * BATCH + lane);
#elif KIND == MAXIMUM
            part[j] = vec_choose(e, part[j], e <= part[j]); /* so that a NaN stays */
#else
            part[j] += e;
#endif
        }
#if KIND != TOP_K
    for (int j = 0; j < VECTORS; j++)
        vec_store(part[j], parts + (size_t)split * BATCH + first + j * LANE_STRIDE);
#endif
#if KIND == RELATIVE
    for (int j = 0; j < VECTORS; j++)
        vec_store(size[j], parts + (size_t)(SPLITS + split) * BATCH + first + j * LANE_STRIDE);
#endif
}

#if KIND == TOP_K
/* The mean of the TOP largest errors. */
static inline vec combine_parts(__global const float *parts, int splits) {
    const bits threshold = nth_largest(parts);
    vec sum = (vec)(0.0f);
    counts above = (counts)(0);
    for (int p = 0; p < PIXELS; p++) {
        const vec e = vec_load(parts + (size_t)p * BATCH);
#if VECTOR_WIDTH == 1
        if (WIDE(as_uint)(e) > threshold) {
            sum += e;
            above++;
        }
#else
        const counts more = WIDE(as_uint)(e) > threshold;
        sum += select((vec)(0.0f), e, more);
        above -= more;
#endif
    }
    /* Errors equal to the threshold make up the number. */
    const vec ties = WIDE(convert_float)(TOP - above);
    return (sum + ties * WIDE(as_float)(threshold)) / (float)TOP;
}
#else
static inline vec combine_parts(__global const float *parts, int splits) {
    vec total = (vec)(0.0f);
    for (int s = 0; s < splits; s++) {
        const vec part = vec_load(parts + (size_t)s * BATCH);
#if KIND == MAXIMUM
        total = vec_choose(part, total, part <= total);
#else
        total += part;
#endif
    }
#if KIND == ROOT_SUM
    return sqrt(total);
#elif KIND == MEAN
    return total / (float)(CHANNELS * PIXELS);
#elif KIND == RELATIVE
    vec size = (vec)(0.0f);
    for (int s = splits; s < 2 * splits; s++) size += vec_load(parts + (size_t)s * BATCH);
    return sqrt(total) / (1.0f + sqrt(size));
#else
    return total;
#endif
}
#endif

/* splits: SPLITS, or the number of parts that another kernel computed in place of
 * pixel_score_errors. */
__kernel GROUP_ATTRIBUTE void pixel_score_combine(__global const float *restrict parts, int splits,
                                                  __global float *restrict scores) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec_store(combine_parts(parts + lane, splits), scores + lane);
}
