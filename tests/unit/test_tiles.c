/* SPDX-License-Identifier: MIT */
/* Images cut into windows: where these lie, what is in them, and how their scores become one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "data/tiles.h"
#include "training/windows.h"

static us_tiling tiling;
static unseen_error error;

static void one_image(int height, int width, int window_height, int window_width, double overlap) {
    const us_tile_form form = {window_height, window_width, overlap};
    assert_int_equal(us_tiling_create(1, &form, &tiling, &error), UNSEEN_OK);
    tiling.sizes[0][0] = height;
    tiling.sizes[0][1] = width;
    assert_int_equal(us_tiling_finish(&tiling, "test", &error), UNSEEN_OK);
}

/* Every pixel is in a window, neighbours overlap as asked, and none leaves a larger image. */
static void check_cover(int height, int width, int window, double overlap) {
    one_image(height, width, window, window, overlap);
    unsigned char *covered = calloc((size_t)height, (size_t)width);
    assert_non_null(covered);
    for (int64_t k = 0; k < us_tiling_windows(&tiling, 0); k++) {
        const us_window_place place = us_tiling_place(&tiling, 0, k);
        if (height >= window) assert_in_range(place.top, 0, (uintmax_t)(height - window));
        if (width >= window) assert_in_range(place.left, 0, (uintmax_t)(width - window));
        for (int y = 0; y < window; y++)
            for (int x = 0; x < window; x++) {
                const int row = place.top + y, column = place.left + x;
                if (row >= 0 && row < height && column >= 0 && column < width)
                    covered[row * width + column] = 1;
            }
        if (k == 0) continue;
        const us_window_place before = us_tiling_place(&tiling, 0, k - 1);
        const double step = fmax(1, floor(window * (1 - overlap)));
        if (before.top == place.top) assert_true(place.left - before.left <= step + 0.5);
    }
    assert_null(memchr(covered, 0, (size_t)(height * width)));
    free(covered);
    us_tiling_release(&tiling);
}

static void windows_cover_everything(void **unused) {
    (void)unused;
    static const int sizes[] = {1, 5, 16, 17, 28, 29, 63, 200};
    static const double overlaps[] = {0, 0.25, 0.5, 0.9};
    for (int h = 0; h < 8; h++)
        for (int w = 0; w < 8; w++)
            for (int o = 0; o < 4; o++)
                check_cover(sizes[h], sizes[w], 16, overlaps[o]);
}

static void they_are_evenly_spread(void **unused) {
    (void)unused;
    one_image(16, 40, 16, 16, 0.25);
    assert_int_equal(us_tiling_windows(&tiling, 0), 3);
    const int lefts[] = {0, 12, 24};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(us_tiling_place(&tiling, 0, k).left, lefts[k]);
        assert_int_equal(us_tiling_place(&tiling, 0, k).top, 0);
    }
    us_tiling_release(&tiling);
}

static void cuts_and_repeats_the_edge(void **unused) {
    (void)unused;
    const unsigned char pixels[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    unsigned char window[16];
    one_image(3, 4, 2, 2, 0); /* rows from 0 and 1, columns from 0 and 2 */
    assert_int_equal(us_tiling_windows(&tiling, 0), 4);
    us_tiling_cut(&tiling, 0, 3, pixels, 1, window);
    assert_memory_equal(window, ((const unsigned char[]){7, 8, 11, 12}), 4);
    us_tiling_release(&tiling);
    one_image(3, 4, 2, 8, 0); /* 2 columns more on either side */
    us_tiling_cut(&tiling, 0, 0, pixels, 1, window);
    assert_memory_equal(
        window, ((const unsigned char[]){1, 1, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 7, 8, 8, 8}), 16);
    us_tiling_release(&tiling);
    one_image(1, 1, 2, 2, 0);
    us_tiling_cut(&tiling, 0, 0, pixels, 3, window); /* of three bytes each */
    assert_memory_equal(window, ((const unsigned char[]){1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}), 12);
    us_tiling_release(&tiling);
}

static void finds_the_image_of_a_window(void **unused) {
    (void)unused;
    const us_tile_form form = {4, 4, 0};
    const int sizes[] = {4, 9, 1, 12};
    assert_int_equal(us_tiling_create(4, &form, &tiling, &error), UNSEEN_OK);
    for (int i = 0; i < 4; i++)
        tiling.sizes[i][0] = tiling.sizes[i][1] = sizes[i];
    assert_int_equal(us_tiling_finish(&tiling, "test", &error), UNSEEN_OK);
    const int counts[] = {1, 9, 1, 9};
    int64_t window = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(us_tiling_windows(&tiling, i), counts[i]);
        for (int k = 0; k < counts[i]; k++)
            assert_int_equal(us_tiling_image(&tiling, window++), i);
    }
    us_tiling_release(&tiling);
}

static void too_many_windows(void **unused) {
    (void)unused;
    const us_tile_form form = {1, 1, 0};
    assert_int_equal(us_tiling_create(3, &form, &tiling, &error), UNSEEN_OK);
    for (int i = 0; i < 3; i++)
        tiling.sizes[i][0] = tiling.sizes[i][1] = 32000;
    assert_int_equal(us_tiling_finish(&tiling, "huge", &error), UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "huge: more than 2147483647 windows of 1x1"));
    us_tiling_release(&tiling);
}

static void joins_scores(void **unused) {
    (void)unused;
    assert_true(us_windows_join((double[]){1, 7, 3, 5}, 4, 1) == 7);
    assert_true(us_windows_join((double[]){1, 7, 3, 5}, 4, 3) == 5);
    assert_true(us_windows_join((double[]){1, 7, 3, 5}, 4, 9) == 4);
    assert_true(us_windows_join((double[]){-2}, 1, 4) == -2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_cover_everything),  cmocka_unit_test(they_are_evenly_spread),
        cmocka_unit_test(cuts_and_repeats_the_edge), cmocka_unit_test(finds_the_image_of_a_window),
        cmocka_unit_test(too_many_windows),          cmocka_unit_test(joins_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
