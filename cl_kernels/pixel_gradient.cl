/* SPDX-License-Identifier: MIT */
/* The gradient of the scores of pixel_score.cl, by the image x and by its reconstruction y. With
 * d = x - y, e[p] the sum of d^2 over the channels of pixel p and w[p] the derivative of the score
 * by e[p],
 *
 *     by x    2 w d    (and for RELATIVE the part that the image's own size has)
 *     by y   -2 w d
 *
 * and both times slopes[n], of what is made of the score. x, y and the gradients are
 * [CHANNELS][PIXELS][BATCH], e is [PIXELS][BATCH]. Three kernels run one after the other, whose items
 * have one vector of the batch:
 *
 *     pixel_gradient_errors    e, ROWS pixels of an item
 *     pixel_gradient_rates     of all pixels: what w[p] is, from all e of an image
 *     pixel_gradient           the gradients, ROWS pixels of an item
 *
 * rates are [RATES][BATCH]: TOP_K and MAXIMUM, whose TOP is 1, have w = rates[ABOVE] where e is
 * above rates[THRESHOLD], rates[AT] where it is equal, else 0. The others have w = rates[ABOVE]
 * everywhere. rates[OWN] times (x + 1) is RELATIVE's other part.
 *
 * Options
 *     KIND, TOP                 as in pixel_score.cl
 *     CHANNELS, PIXELS, BATCH   of the images in memory
 *     ROWS                      pixels of an item (16)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced y, see common.cl
 *
 * Twin of engine/ops/pixel_gradient.c. */

#include "pixel_score_kind.cl"

#define CHOOSES (KIND == TOP_K || KIND == MAXIMUM)

enum { THRESHOLD, ABOVE, AT, OWN, RATES };

#include "largest.cl"

__kernel GROUP_ATTRIBUTE void pixel_gradient_errors(__global const float *restrict x,
                                                    __global const float *restrict y,
                                                    __global float *restrict errors) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    const int first = (int)get_group_id(1) * ROWS, end = min(first + ROWS, PIXELS);
    for (int p = first; p < end; p++) {
        vec e = (vec)(0.0f);
        for (int c = 0; c < CHANNELS; c++) {
            const size_t i = ((size_t)c * PIXELS + p) * BATCH + lane;
            const vec d = vec_load(x + i) - vec_load(y + i);
            e += d * d;
        }
        vec_store(e, errors + (size_t)p * BATCH + lane);
    }
}

__kernel GROUP_ATTRIBUTE void pixel_gradient_rates(__global const float *restrict x,
                                                   __global const float *restrict errors,
                                                   __global float *restrict rates) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    vec threshold = (vec)(-1.0f), above = (vec)(0.0f), at = (vec)(0.0f), own = (vec)(0.0f);
#if CHOOSES
    const bits least = nth_largest(errors + lane);
    threshold = WIDE(as_float)(least);
    vec more = (vec)(0.0f), equal = (vec)(0.0f);
    for (int p = 0; p < PIXELS; p++) {
        const vec e = vec_load(errors + (size_t)p * BATCH + lane);
        more += vec_choose((vec)(0.0f), (vec)(1.0f), e > threshold);
        equal += vec_choose((vec)(0.0f), (vec)(1.0f), e == threshold);
    }
    above = (vec)(1.0f / TOP);
    at = ((float)TOP - more) / (vec_choose(equal, (vec)(1.0f), equal < 1.0f) * (float)TOP);
#elif KIND == MEAN
    above = (vec)(1.0f / (CHANNELS * PIXELS));
#elif KIND == SUM
    above = (vec)(1.0f);
#else
    vec sum = (vec)(0.0f);
    for (int p = 0; p < PIXELS; p++) sum += vec_load(errors + (size_t)p * BATCH + lane);
    const vec root = sqrt(sum);
    above = vec_choose(0.5f / root, (vec)(0.0f), root <= 0.0f);
#if KIND == RELATIVE
    vec size = (vec)(0.0f);
    for (int i = 0; i < CHANNELS * PIXELS; i++) {
        const vec v = vec_load(x + (size_t)i * BATCH + lane) + 1.0f;
        size += v * v;
    }
    const vec length = sqrt(size), whole = length + 1.0f;
    above /= whole;
    own = vec_choose(-root / (whole * whole * length), (vec)(0.0f), length <= 0.0f);
#endif
#endif
    vec_store(threshold, rates + THRESHOLD * BATCH + lane);
    vec_store(above, rates + ABOVE * BATCH + lane);
    vec_store(at, rates + AT * BATCH + lane);
    vec_store(own, rates + OWN * BATCH + lane);
}

/* dx becomes the gradient by x alone; dy that by y before y's activation, or it is added to what is
 * there (accumulate). */
__kernel GROUP_ATTRIBUTE void pixel_gradient(__global const float *restrict x,
                                             __global const float *restrict y,
                                             __global const float *restrict errors,
                                             __global const float *restrict rates,
                                             __global const float *restrict slopes,
                                             __global float *restrict dx,
                                             __global float *restrict dy, int n, int accumulate) {
    const int lane = LANE_BASE(get_group_id(0), 1);
    const int first = (int)get_group_id(1) * ROWS, end = min(first + ROWS, PIXELS);
    const vec slope = vec_load(slopes + lane);
    const vec threshold = vec_load(rates + THRESHOLD * BATCH + lane);
    const vec above = vec_load(rates + ABOVE * BATCH + lane);
    const vec at = vec_load(rates + AT * BATCH + lane);
    const vec own = vec_load(rates + OWN * BATCH + lane);
    for (int p = first; p < end; p++) {
        const vec e = vec_load(errors + (size_t)p * BATCH + lane);
        vec w = vec_choose((vec)(0.0f), above, e > threshold);
        w = vec_choose(w, at, e == threshold);
        for (int c = 0; c < CHANNELS; c++) {
            const size_t i = ((size_t)c * PIXELS + p) * BATCH + lane;
            const vec pixel = vec_load(x + i), drawn = vec_load(y + i);
            const vec g = 2.0f * w * (pixel - drawn) * slope;
            const vec back = vec_mask(input_activation_backward(-g, drawn), lane, n);
            vec_store(vec_mask(g + own * slope * (pixel + 1.0f), lane, n), dx + i);
            vec_store(accumulate ? vec_load(dy + i) + back : back, dy + i);
        }
    }
}
