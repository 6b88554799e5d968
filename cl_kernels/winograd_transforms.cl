/* SPDX-License-Identifier: MIT */
/* The transforms of Winograd's minimal filtering by the way of Toom and Cook (Lavin and Gray, arXiv
 * 1509.09308): OUTPUTS values y of a correlation of inputs d with TAPS weights w take
 * POINTS = OUTPUTS + TAPS - 1 products,
 *
 *     y = A^T [(G w) * (B^T d)].
 *
 * B^T depends on the points alone, so that a gradient, which correlates inputs with OUTPUTS values
 * and wants TAPS, shares it. In two dimensions each is applied along columns, then along rows. */
#include "winograd_points.cl"

/* Computes B^T d in place; elements are `stride` apart. */
INLINE void transform_input(vec *d, const int stride) {
    const vec d1 = d[stride];
#if POINTS == 3
    d[0] = d1 - d[0];
    d[2 * stride] -= d1;
#elif POINTS == 4
    const vec d2 = d[2 * stride];
    d[0] = d2 - d[0];
    d[stride] = d1 + d2;
    d[2 * stride] = d2 - d1;
    d[3 * stride] -= d1;
#else
    const vec d2 = d[2 * stride], d31 = d[3 * stride] - d1;
    d[0] = fma((vec)(2.0f), d[0] - d2, d31);
    d[stride] = d31 - (d1 + d2);
    d[2 * stride] = fma((vec)(3.0f), d1 - d2, d31);
    d[3 * stride] = d31;
    d[4 * stride] = fma((vec)(-2.0f), d31, d[4 * stride] - d2);
#endif
}

INLINE void transform_input_2d(vec *d) {
    UNROLL_FOR (int x = 0; x < POINTS; x++) transform_input(d + x, POINTS);
    UNROLL_FOR (int y = 0; y < POINTS; y++) transform_input(d + y * POINTS, 1);
}

/* Computes G d without its scales, in place, from the first `count` (constant) elements of d: the
 * values of the polynomial with these coefficients. */
INLINE void transform_filter(vec *d, const int stride, const int count) {
    vec even = d[0], odd = d[stride], at_two = d[0] + 2.0f * d[stride];
    UNROLL_FOR (int i = 2; i < count; i++) {
        if (i % 2)
            odd += d[i * stride];
        else
            even += d[i * stride];
        at_two = fma((vec)((float)(1 << i)), d[i * stride], at_two);
    }
    d[(POINTS - 1) * stride] = d[(count - 1) * stride];
    d[stride] = even + odd;
    if (POINTS >= 4) d[2 * stride] = even - odd;
    if (POINTS == 5) d[3 * stride] = at_two;
}

/* From rows and columns 0 to count - 1 of d. */
INLINE void transform_filter_2d(vec *d, const int count) {
    UNROLL_FOR (int x = 0; x < count; x++) transform_filter(d + x, POINTS, count);
    UNROLL_FOR (int y = 0; y < POINTS; y++) transform_filter(d + y * POINTS, 1, count);
}

/* Computes A^T m in place: the first `count` (constant) elements of y, `stride` apart like those of
 * m. */
INLINE void transform_output(vec *m, const int stride, const int count) {
    const vec m0 = m[0], m1 = m[stride], last = m[(POINTS - 1) * stride];
#if POINTS == 3
    const vec even = m1, odd = m1;
#else
    const vec m2 = m[2 * stride], even = m1 + m2, odd = m1 - m2;
#endif
#if POINTS == 5
    const vec m3 = m[3 * stride];
#else
    const vec m3 = (vec)(0.0f);
#endif
    UNROLL_FOR (int i = 0; i < count; i++) {
        vec y = i % 2 ? odd : even;
        if (i == 0) y += m0;
        if (POINTS == 5) y = i == 0 ? y + m3 : fma((vec)((float)(1 << i)), m3, y);
        if (i == count - 1) y += last;
        m[i * stride] = y;
    }
}

/* Leaves the count x count results at rows and columns 0 to count - 1 of m. */
INLINE void transform_output_2d(vec *m, const int count) {
    UNROLL_FOR (int x = 0; x < POINTS; x++) transform_output(m + x, POINTS, count);
    UNROLL_FOR (int y = 0; y < count; y++) transform_output(m + y * POINTS, 1, count);
}
