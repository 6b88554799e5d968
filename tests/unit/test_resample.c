/* SPDX-License-Identifier: MIT */
/* Resampling row by row against its definition in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* after those it needs */
#include <cmocka.h>

#include "data/resample.h"

static float value_at(const us_resample_shape *s, int y, int x, int c) {
    return (float)((y * 7919 + x * 104729 + c * 31) % 256) + (float)(s->in_width % 3);
}

/* The weight of input k for output i of an axis, not normalised. */
static double weight(double start, double window, int out, int i, int k) {
    const double scale = window / out, reach = scale > 1 ? scale : 1;
    return fmax(0, 1 - fabs(k + 0.5 - (start + (i + 0.5) * scale)) / reach);
}

static double expected(const us_resample_shape *s, int y, int x, int c) {
    double sum = 0, weights = 0;
    for (int v = 0; v < s->in_height; v++)
        for (int u = 0; u < s->in_width; u++) {
            const double w = weight(s->top, s->window_height, s->height, y, v) *
                             weight(s->left, s->window_width, s->width, x, u);
            sum += w * (double)value_at(s, v, u, c);
            weights += w;
        }
    return sum / weights;
}

static void add_rows(us_resampler *resampler, const us_resample_shape *s) {
    int first, end;
    float *row = malloc((size_t)s->in_width * (size_t)s->channels * sizeof *row);
    assert_non_null(row);
    us_resampler_rows(resampler, &first, &end);
    assert_in_range(first, 0, s->in_height - 1);
    assert_in_range(end, first + 1, s->in_height);
    for (int y = first; y < end; y++) {
        for (int i = 0; i < s->in_width * s->channels; i++)
            row[i] = value_at(s, y, i / s->channels, i % s->channels);
        us_resampler_add(resampler, row);
    }
    free(row);
}

static void compare(const us_resample_shape *s, double limit) {
    us_resampler *resampler;
    unseen_error error = {0};
    assert_int_equal(us_resampler_create(s, &resampler, &error), UNSEEN_OK);
    add_rows(resampler, s);
    const float *result = us_resampler_result(resampler);
    for (int i = 0; i < s->height * s->width * s->channels; i++) {
        const int c = i % s->channels, x = i / s->channels % s->width;
        const double wanted = expected(s, i / s->channels / s->width, x, c);
        if (fabs((double)result[i] - wanted) > limit)
            fail_msg("%d x %d to %d x %d: value %d is %g instead of %g", s->in_height, s->in_width,
                     s->height, s->width, i, (double)result[i], wanted);
    }
    us_resampler_destroy(resampler);
}

static us_resample_shape whole(int in_height, int in_width, int channels, int height, int width) {
    return (us_resample_shape){.in_height = in_height,
                               .in_width = in_width,
                               .channels = channels,
                               .window_height = in_height,
                               .window_width = in_width,
                               .height = height,
                               .width = width};
}

static void sizes_of_all_kinds(void **state) {
    (void)state;
    static const int sizes[][4] = {{1, 1, 1, 1},   {1, 1, 7, 5},     {7, 5, 1, 1},   {7, 5, 16, 12},
                                   {64, 48, 7, 5}, {33, 17, 17, 33}, {5, 200, 64, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int channels = 1; channels <= 3; channels += 2) {
            us_resample_shape s =
                whole(sizes[i][0], sizes[i][1], channels, sizes[i][2], sizes[i][3]);
            compare(&s, 1e-3);
        }
}

static void the_same_size_is_a_copy(void **state) {
    (void)state;
    us_resample_shape s = whole(13, 9, 3, 13, 9);
    us_resampler *resampler;
    assert_int_equal(us_resampler_create(&s, &resampler, NULL), UNSEEN_OK);
    add_rows(resampler, &s);
    for (int i = 0; i < 13 * 9 * 3; i++)
        assert_true(us_resampler_result(resampler)[i] == value_at(&s, i / 27, i / 3 % 9, i % 3));
    us_resampler_destroy(resampler);
}

static void windows_in_the_middle(void **state) {
    (void)state;
    us_resample_shape s = whole(40, 30, 3, 16, 16);
    s.top = 5;
    s.window_height = 30;
    compare(&s, 1e-3);
    s = whole(9, 31, 1, 12, 10);
    s.left = 11.75;
    s.window_width = 7.5;
    compare(&s, 1e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_all_kinds),
        cmocka_unit_test(the_same_size_is_a_copy),
        cmocka_unit_test(windows_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
