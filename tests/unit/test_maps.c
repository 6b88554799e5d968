/* SPDX-License-Identifier: MIT */
/* Maps on the host: resized, as pictures in PNG; masks from files. */
#include "../data_files.h"

#include <math.h>

#include "data/masks.h"
#include "evaluation/map_resize.h"
#include "evaluation/picture.h"
#include "evaluation/png.h"

static void assert_floats(const float *found, const float *expected, int count) {
    for (int i = 0; i < count; i++)
        if (!(fabsf(found[i] - expected[i]) <= 1e-6f))
            fail_msg("%d: found %g, expected %g", i, (double)found[i], (double)expected[i]);
}

/* ---- resizing ---- */

static void resizes_between_middles(void **unused) {
    (void)unused;
    const float map[] = {0, 4, 8, 12};
    float out[16];
    us_map_resize(map, (us_map_size){2, 2}, out, (us_map_size){2, 2});
    assert_floats(out, map, 4);
    us_map_resize(map, (us_map_size){2, 2}, out, (us_map_size){4, 4});
    assert_floats(out, (const float[]){0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12}, 16);
    us_map_resize(map, (us_map_size){1, 4}, out, (us_map_size){1, 2});
    assert_floats(out, (const float[]){2, 10}, 2);
    us_map_resize(map, (us_map_size){2, 2}, out, (us_map_size){1, 1});
    assert_floats(out, (const float[]){6}, 1);
    us_map_resize(map, (us_map_size){1, 1}, out, (us_map_size){2, 3});
    assert_floats(out, (const float[]){0, 0, 0, 0, 0, 0}, 6);
}

/* ---- pictures ---- */

static void images_become_pictures(void **unused) {
    (void)unused;
    unsigned char rgb[6];
    us_picture_image((const float[]){-1, 1, 0, -2, 2, 0}, 3, (us_map_size){1, 2}, rgb);
    assert_memory_equal(rgb, ((unsigned char[]){0, 128, 255, 255, 0, 128}), 6);
    us_picture_image((const float[]){-1, 1}, 1, (us_map_size){1, 2}, rgb);
    assert_memory_equal(rgb, ((unsigned char[]){0, 0, 0, 255, 255, 255}), 6);
    us_picture_image((const float[]){-1, 1}, 2, (us_map_size){1, 1}, rgb);
    assert_memory_equal(rgb, ((unsigned char[]){128, 128, 128}), 3);
}

/* The larger a value, the lighter its colour; beyond the ends, theirs. */
static void maps_become_lighter(void **unused) {
    (void)unused;
    enum { STEPS = 400 };
    float map[STEPS];
    unsigned char rgb[3 * STEPS];
    for (int i = 0; i < STEPS; i++)
        map[i] = (float)(i - 100) / 100;
    us_picture_map(map, (us_heat){0, 2}, (us_map_size){20, 20}, rgb);
    double last = -1;
    for (int i = 0; i < STEPS; i++) {
        const double light =
            0.2126 * rgb[3 * i] + 0.7152 * rgb[3 * i + 1] + 0.0722 * rgb[3 * i + 2];
        assert_true(light >= last - 0.5);
        last = light;
    }
    assert_memory_equal(rgb, rgb + 3 * 100, 3);
    assert_memory_equal(rgb + 3 * 300, rgb + 3 * 399, 3);
    assert_true(rgb[0] == 0 && rgb[3 * 399] == 255);
    us_picture_map(map, (us_heat){1, 1}, (us_map_size){1, 4}, rgb); /* a map of one value */
    assert_memory_equal(rgb, rgb + 3, 9);
}

static void heat_leaves_the_brightest_out(void **unused) {
    (void)unused;
    float least[40], largest[40];
    for (int i = 0; i < 40; i++) {
        least[i] = (float)(40 - i);
        largest[i] = (float)(i * 17 % 40);
    }
    us_heat heat = us_heat_of(least, largest, 40);
    assert_true(heat.low == 1 && heat.high == 38);
    heat = us_heat_of(least, largest, 1);
    assert_true(heat.low == 40 && heat.high == 0);
}

static void shrinks_and_grows(void **unused) {
    (void)unused;
    float values[] = {1,      3, 5, /**/ 5, 7, 9, /**/ 2, 4, 8, /**/ 10, 10, 20, /**/ 10, 10, 20,
                      /**/ 0, 2, 4};
    us_map_size size = us_picture_shrink(values, 2, (us_map_size){3, 3}, 2);
    assert_true(size.height == 2 && size.width == 2);
    assert_floats(values, (const float[]){4, 7, 3, 8, 10, 20, 1, 4}, 8);
    const unsigned char rgb[] = {1, 2, 3, 4, 5, 6};
    unsigned char out[2 * 5 * 3] = {0};
    us_picture_place(rgb, (us_map_size){1, 2}, 2, out, 5);
    assert_memory_equal(out + 15, ((unsigned char[]){1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 0, 0, 0}),
                        15);
}

/* ---- PNG ---- */

static uint32_t number(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Reads back what the encoder wrote, as the standard has it. */
static void check_png(const us_picture *picture) {
    unsigned char *png;
    size_t size, row = (size_t)picture->width * (size_t)picture->channels;
    unseen_error error = {0};
    if (us_png_encode(picture, &png, &size, &error)) fail_msg("%s", error.message);
    assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
    uLong unpacked = (uLong)((row + 1) * (size_t)picture->height);
    unsigned char *rows = malloc(unpacked + 1);
    int chunks = 0;
    for (size_t at = 8; at < size; chunks++) {
        static const char *const names[] = {"IHDR", "IDAT", "IEND"};
        const uint32_t length = number(png + at);
        assert_true(chunks < 3 && at + length + 12 <= size);
        assert_memory_equal(png + at + 4, names[chunks], 4);
        assert_int_equal(crc32(0, png + at + 4, length + 4), number(png + at + 8 + length));
        if (chunks == 0) {
            assert_int_equal(number(png + at + 8), picture->width);
            assert_int_equal(number(png + at + 12), picture->height);
            assert_memory_equal(png + at + 16, picture->channels == 3 ? "\10\2\0\0" : "\10\0\0\0",
                                5);
        }
        uLongf got = unpacked + 1;
        if (chunks == 1) {
            assert_int_equal(uncompress(rows, &got, png + at + 8, length), Z_OK);
            assert_int_equal(got, unpacked);
        }
        at += length + 12;
    }
    assert_int_equal(chunks, 3);
    for (int y = 0; y < picture->height; y++)
        for (size_t i = 0; i < row; i++) {
            unsigned char *value = rows + (size_t)y * (row + 1) + 1 + i;
            assert_int_equal(value[-1 - (ptrdiff_t)i], 2);
            if (y) *value = (unsigned char)(*value + value[-1 - (ptrdiff_t)row]);
            assert_int_equal(*value, picture->values[(size_t)y * row + i]);
        }
    free(rows);
    free(png);
}

static void png_is_read_back(void **unused) {
    (void)unused;
    unsigned char values[31 * 7 * 3];
    for (size_t i = 0; i < sizeof values; i++)
        values[i] = (unsigned char)(i * i * 7 + i / 5);
    check_png(&(us_picture){values, 7, 31, 3});
    check_png(&(us_picture){values, 31, 7, 1});
    check_png(&(us_picture){values, 1, 1, 1});
}

static void png_as_text(void **unused) {
    (void)unused;
    static const char start[] = "data:image/png;base64,";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int width = 1; width < 9; width++) { /* every remainder of three bytes */
        const us_picture picture = {(const unsigned char *)"abcdefgh", 1, width, 1};
        unsigned char *png, decoded[256] = {0};
        char *uri;
        size_t size, at = 0;
        unseen_error error = {0};
        assert_int_equal(us_png_encode(&picture, &png, &size, &error), UNSEEN_OK);
        assert_int_equal(us_png_data_uri(&picture, &uri, &error), UNSEEN_OK);
        assert_memory_equal(uri, start, strlen(start));
        const char *text = uri + strlen(start);
        assert_int_equal(strlen(text) % 4, 0);
        assert_int_equal(strcspn(text, "="), (size * 8 + 5) / 6);
        for (uint32_t bits = 0, count = 0; *text && *text != '='; text++) {
            bits = bits << 6 | (uint32_t)(strchr(digits, *text) - digits);
            if ((count += 6) >= 8) decoded[at++] = (unsigned char)(bits >> (count -= 8));
        }
        assert_int_equal(at, size);
        assert_memory_equal(decoded, png, size);
        free(png);
        free(uri);
    }
}

/* ---- masks ---- */

static bytes file;

static void put(const char *type, const char *shape, const void *values, size_t size) {
    npy(&file, type, shape);
    bytes_add(&file, values, size);
    write_file(file.at, file.size);
}

static void assert_mask(int64_t count, int height, int width, int64_t image, const char *expected) {
    us_masks masks;
    unsigned char mask[16];
    unseen_error error = {0};
    if (us_masks_open(test_path, NULL, &masks, &error)) fail_msg("%s", error.message);
    assert_true(masks.count == count && masks.height == height && masks.width == width);
    us_masks_read(&masks, image, mask);
    for (int i = 0; expected[i]; i++)
        assert_int_equal(mask[i], expected[i] - '0');
    assert_int_equal(us_masks_match(&masks, &(us_ids){.path = "images", .count = count}, &error),
                     UNSEEN_OK);
    assert_int_equal(
        us_masks_match(&masks, &(us_ids){.path = "images.npy", .count = count + 1}, &error),
        UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "images.npy"));
    us_masks_close(&masks);
}

static void masks_of_every_kind(void **unused) {
    (void)unused;
    static const unsigned char values[] = {0, 255, 1, 0, 2, 0, 0, 0, 0, 0, 0, 128};
    static const int16_t shorts[] = {0, -1, 256, 0};
    put("|u1", "(2, 2, 3)", values, 12);
    assert_mask(2, 2, 3, 0, "011010");
    assert_mask(2, 2, 3, 1, "000001");
    put("|b1", "(3, 2, 2, 1)", "\1\0\0\0\0\1\0\0\0\0\1\0", 12);
    assert_mask(3, 2, 2, 1, "0100");
    put("|u1", "(1, 1, 4, 3)", values, 12);
    assert_mask(1, 4, 3, 0, "011010000001");
    put("<i2", "(2, 1, 2)", shorts, 8);
    assert_mask(2, 1, 2, 0, "01");
    assert_mask(2, 1, 2, 1, "10");
}

static void assert_refused(const char *words) {
    us_masks masks;
    unseen_error error = {0};
    assert_int_equal(us_masks_open(test_path, NULL, &masks, &error), UNSEEN_BAD_INPUT);
    if (!strstr(error.message, words)) fail_msg("%s", error.message);
}

static void what_is_no_mask(void **unused) {
    (void)unused;
    put("<f4", "(1, 1, 1)", "\0\0\0\0", 4);
    assert_refused("holds float32 of shape (1, 1, 1)");
    put("|u1", "(4,)", "\0\0\0\0", 4);
    assert_refused("holds uint8 of shape (4,)");
    put("|u1", "(1, 2, 1, 2)", "\0\0\0\0", 4);
    assert_refused("(number, height, width)");
    npy_begin(&file, 1, "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 2), }");
    bytes_fill(&file, 0, 4);
    write_file(file.at, file.size);
    assert_refused("Fortran order");
    put("|u1", "(2, 2, 2)", "\0\0\0\0", 4);
    assert_refused("truncated");
    file.size = 0;
    bytes_add(&file, "mask", 4);
    write_file(file.at, file.size);
    assert_refused("holds no array");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resizes_between_middles),
        cmocka_unit_test(images_become_pictures),
        cmocka_unit_test(maps_become_lighter),
        cmocka_unit_test(heat_leaves_the_brightest_out),
        cmocka_unit_test(shrinks_and_grows),
        cmocka_unit_test(png_is_read_back),
        cmocka_unit_test(png_as_text),
        cmocka_unit_test(masks_of_every_kind),
        cmocka_unit_test(what_is_no_mask),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
