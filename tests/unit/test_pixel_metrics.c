/* SPDX-License-Identifier: MIT */
/* Metrics of pixels against cases worked by hand and against NumPy and SciPy
 * (tools/pixel_reference.py), sorted in memory and in parts. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluation/pixel_metrics.h"
#include "evaluation/pixel_sort.h"

static uint64_t state;

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

static us_pixel_evaluation *create(size_t room) {
    us_pixel_evaluation *evaluation;
    unseen_error error = {0};
    if (us_pixel_evaluation_create(room, &evaluation, &error)) fail_msg("%s", error.message);
    return evaluation;
}

static us_pixel_metrics finish(us_pixel_evaluation *evaluation) {
    us_pixel_metrics metrics;
    unseen_error error = {0};
    if (us_pixel_evaluation_finish(evaluation, &metrics, &error)) fail_msg("%s", error.message);
    us_pixel_evaluation_destroy(evaluation);
    return metrics;
}

static void add(us_pixel_evaluation *evaluation, int height, int width, const float *values,
                const unsigned char *mask) {
    const us_masked_map map = {values, mask, height, width};
    unseen_error error = {0};
    if (us_pixel_evaluation_add(evaluation, &map, &error)) fail_msg("%s", error.message);
}

static us_pixel_metrics of_one(int height, int width, const float *values,
                               const unsigned char *mask) {
    us_pixel_evaluation *evaluation = create(0);
    add(evaluation, height, width, values, mask);
    return finish(evaluation);
}

/* ---- worked by hand ---- */

/* Ten normal pixels 0 to 9 and two regions of one pixel: 9.5 is found at a false positive rate of
 * 0, 7.5 at 0.2. So the overlap is 1/2 up to 0.2 and 1 from there: (0.2 / 2 + 0.1) / 0.3 = 2/3. Of
 * the pairs of pixels 10 and 8 of 10 are in order. */
static void two_regions(void **unused) {
    (void)unused;
    static const float values[] = {0, 1, 2, 3, 4, 9.5f, 5, 6, 7, 8, 9, 7.5f};
    static const unsigned char mask[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 255};
    us_pixel_metrics metrics = of_one(1, 12, values, mask);
    assert_int_equal(metrics.regions, 2);
    assert_int_equal(metrics.anomalous_pixels, 2);
    assert_near(metrics.auroc, 18. / 20, 1e-15);
    assert_near(metrics.aupro, 2. / 3, 1e-15);
}

/* A region counts as much as another, whatever its size: 4 pixels of 8 and one of -1, which no
 * threshold finds within the limit, give an overlap of one half; the pixels give 4/5. */
static void regions_count_alike(void **unused) {
    (void)unused;
    static const float values[] = {8, 8, 0, 1, 8, 8, 2, 3, 4, 5, 6, -1};
    static const unsigned char mask[] = {1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1};
    us_pixel_metrics metrics = of_one(3, 4, values, mask);
    assert_int_equal(metrics.regions, 2);
    assert_near(metrics.auroc, 4. / 5, 1e-15);
    assert_near(metrics.aupro, 0.5, 1e-15);
}

/* The cut lies within a tie: of four normal pixels two are equal to the anomalous one, so that a
 * line goes from (0, 0) to (1/2, 1), which is 0.6 at 0.3: the area is 0.09. */
static void cut_in_a_tie(void **unused) {
    (void)unused;
    static const float values[] = {1, 1, 1, 0, 0};
    static const unsigned char mask[] = {1, 0, 0, 0, 0};
    us_pixel_metrics metrics = of_one(5, 1, values, mask);
    assert_near(metrics.auroc, 0.75, 1e-15);
    assert_near(metrics.aupro, 0.3, 1e-15);
}

static void corners_connect(void **unused) {
    (void)unused;
    static const unsigned char mask[] = {1,      0, 1, 0, 0, /**/ 0, 1, 0, 0, 1,
                                         /**/ 0, 0, 0, 0, 1, /**/ 1, 0, 0, 1, 0};
    float values[20];
    for (int i = 0; i < 20; i++)
        values[i] = mask[i];
    us_pixel_metrics metrics = of_one(4, 5, values, mask);
    assert_int_equal(metrics.regions, 3);
    assert_near(metrics.auroc, 1, 0);
    assert_near(metrics.aupro, 1, 1e-15);
    /* The end of a row does not touch the beginning of the next. */
    static const unsigned char ends[] = {0, 0, 1, /**/ 1, 0, 0, /**/ 0, 0, 1};
    assert_int_equal(of_one(3, 3, values, ends).regions, 3);
}

/* Values of both signs, the smallest and the largest floats, and zeros of both signs. */
static void every_float_has_its_place(void **unused) {
    (void)unused;
    static const float values[] = {-FLT_MAX, -1, -1e-45f, -0.0f, 0.0f, 1e-45f, FLT_MIN, FLT_MAX};
    us_pixel_sort *sort;
    unseen_error error = {0};
    for (size_t room = 1; room < 10; room += 2) {
        if (us_pixel_sort_create(room < 2 ? 4 : room, &sort, &error)) fail_msg("%s", error.message);
        for (uint32_t i = 0; i < 8; i++)
            assert_int_equal(
                us_pixel_sort_add(sort, values[(i * 5 + 3) % 8], (i * 5 + 3) % 8, &error),
                UNSEEN_OK);
        if (us_pixel_sort_begin(sort, &error)) fail_msg("%s", error.message);
        us_sorted_pixel pixel, last = {0};
        bool end;
        for (int i = 7; i >= 0; i--, last = pixel) {
            assert_int_equal(us_pixel_sort_next(sort, &pixel, &end, &error), UNSEEN_OK);
            assert_false(end);
            if (i == 4 || i == 3)
                assert_true(pixel.region == 3 || pixel.region == 4);
            else
                assert_int_equal(pixel.region, i);
            if (i == 3)
                assert_int_equal(pixel.key, last.key);
            else
                assert_true(pixel.key > last.key);
        }
        assert_int_equal(us_pixel_sort_next(sort, &pixel, &end, &error), UNSEEN_OK);
        assert_true(end);
        us_pixel_sort_destroy(sort);
    }
}

/* ---- against NumPy and SciPy ---- */

enum { MOST = 25 * 25 };

static void make_mask(unsigned char *mask, int height, int width) {
    memset(mask, 0, MOST);
    const int shapes = (int)draw(4);
    for (int s = 0; s < shapes; s++) {
        const int v = (int)draw((uint32_t)height), u = (int)draw((uint32_t)width);
        const int radius = (int)draw(5);
        const bool disc = draw(2);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                if (disc ? (y - v) * (y - v) + (x - u) * (x - u) <= radius * radius
                         : abs(y - v) <= radius && abs(x - u) <= radius / 2)
                    mask[y * width + x] = 255;
    }
    const int pixels = (int)draw(3);
    for (int p = 0; p < pixels; p++) {
        const int y = (int)draw((uint32_t)height);
        mask[y * width + (int)draw((uint32_t)width)] = 1;
    }
}

static us_pixel_metrics of_set(uint64_t seed, int images, uint32_t levels, size_t room) {
    us_pixel_evaluation *evaluation = create(room);
    state = seed;
    for (int i = 0; i < images; i++) {
        unsigned char mask[MOST];
        float values[MOST];
        const int height = 5 + (int)draw(20), width = 5 + (int)draw(20);
        make_mask(mask, height, width);
        for (int p = 0; p < height * width; p++) {
            const uint32_t lift = mask[p] ? draw(levels) : 0;
            values[p] = (float)(draw(levels) + lift) / 8 - 1;
        }
        add(evaluation, height, width, values, mask);
    }
    return finish(evaluation);
}

static void as_numpy_and_scipy(void **unused) {
    (void)unused;
    static const struct {
        uint64_t seed;
        int images;
        uint32_t levels;
        int pixels, anomalous, regions;
        double auroc, aupro;
    } sets[] = {
        {1, 3, 4, 978, 88, 4, 0.777643003064351, 0.545315530697701},
        {2, 12, 16, 2684, 247, 26, 0.825996488016228, 0.629845479258056},
        {3, 40, 100, 7892, 881, 78, 0.813549682184199, 0.499349048930064},
        {4, 25, 2, 5048, 539, 46, 0.685868831292270, 0.316854497223857},
        {5, 60, 30000, 10621, 1360, 125, 0.836467642612601, 0.628484234261174},
    };
    static const size_t rooms[] = {0, 8, 64, 1000};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
            /* Eight pixels at once are enough for few parts only. */
            if (rooms[r] && (size_t)sets[i].pixels > rooms[r] * rooms[r]) continue;
            us_pixel_metrics m = of_set(sets[i].seed, sets[i].images, sets[i].levels, rooms[r]);
            assert_int_equal(m.images, sets[i].images);
            assert_int_equal(m.pixels, sets[i].pixels);
            assert_int_equal(m.anomalous_pixels, sets[i].anomalous);
            assert_int_equal(m.regions, sets[i].regions);
            assert_near(m.auroc, sets[i].auroc, 1e-12);
            assert_near(m.aupro, sets[i].aupro, 1e-12);
        }
}

/* The same bits, however the pixels were sorted. */
static void parts_change_nothing(void **unused) {
    (void)unused;
    us_pixel_metrics whole = of_set(5, 60, 30000, 0), parts = of_set(5, 60, 30000, 300);
    assert_memory_equal(&whole.auroc, &parts.auroc, sizeof whole.auroc);
    assert_memory_equal(&whole.aupro, &parts.aupro, sizeof whole.aupro);
}

/* ---- what cannot be evaluated ---- */

static void assert_refused(const float *values, const unsigned char *mask, unseen_status expected,
                           const char *words) {
    us_pixel_evaluation *evaluation = create(0);
    const us_masked_map map = {values, mask, 2, 2};
    us_pixel_metrics metrics;
    unseen_error error = {0};
    unseen_status status = us_pixel_evaluation_add(evaluation, &map, &error);
    if (status == UNSEEN_OK) status = us_pixel_evaluation_finish(evaluation, &metrics, &error);
    assert_int_equal(status, expected);
    if (!strstr(error.message, words)) fail_msg("%s", error.message);
    us_pixel_evaluation_destroy(evaluation);
}

static void refused(void **unused) {
    (void)unused;
    static const unsigned char none[4] = {0}, all[] = {1, 1, 1, 1}, some[] = {1, 0, 0, 0};
    static const float good[] = {1, 2, 3, 4}, same[] = {2, 2, 2, 2}, nan[] = {1, 2, 3, NAN},
                       infinite[] = {1, -INFINITY, 3, 4};
    assert_refused(good, none, UNSEEN_BAD_INPUT, "all 4 pixels are normal");
    assert_refused(good, all, UNSEEN_BAD_INPUT, "all 4 pixels are anomalous");
    assert_refused(same, some, UNSEEN_FAILURE, "have one value");
    assert_refused(nan, some, UNSEEN_FAILURE, "map of image 0 is nan at row 1, column 1");
    assert_refused(infinite, some, UNSEEN_FAILURE, "image 0 is infinite at row 0, column 1");
}

static void no_place_for_the_file(void **unused) {
    (void)unused;
    static const float values[] = {1, 2, 3, 4};
    static const unsigned char mask[] = {1, 0, 0, 0};
    const us_masked_map map = {values, mask, 2, 2};
    unseen_error error = {0};
    us_pixel_evaluation *evaluation = create(2);
    setenv("TMPDIR", "/nowhere/at/all", 1);
    assert_int_not_equal(us_pixel_evaluation_add(evaluation, &map, &error), UNSEEN_OK);
    unsetenv("TMPDIR");
    if (!strstr(error.message, "/nowhere/at/all")) fail_msg("%s", error.message);
    us_pixel_evaluation_destroy(evaluation);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_regions),
        cmocka_unit_test(regions_count_alike),
        cmocka_unit_test(cut_in_a_tie),
        cmocka_unit_test(corners_connect),
        cmocka_unit_test(every_float_has_its_place),
        cmocka_unit_test(as_numpy_and_scipy),
        cmocka_unit_test(parts_change_nothing),
        cmocka_unit_test(refused),
        cmocka_unit_test(no_place_for_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
