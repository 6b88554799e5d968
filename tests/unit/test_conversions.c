/* SPDX-License-Identifier: MIT */
/* Images of any numbers in any order: the same pixels come of them. */
#include "../data_files.h"

#include <math.h>

#include "data/convert.h"
#include "data/images.h"

static bytes file;
enum { COUNT = 70, HEIGHT = 5, WIDTH = 6, CHANNELS = 3, EACH = HEIGHT * WIDTH * CHANNELS };

static const us_layout_request request = {.channels = CHANNELS, .height = HEIGHT, .width = WIDTH};

static int value_at(int n, int y, int x, int c) {
    return (n * 31 + y * 7 + x * 13 + c * 59) % 256;
}

static void open_good(us_images *images) {
    unseen_error error = {0};
    write_file(file.at, file.size);
    if (us_images_open(test_path, &request, images, &error) != UNSEEN_OK)
        fail_msg("%s", error.message);
}

static void expect_bad(const char *part, const char *other) {
    us_images images;
    unseen_error error = {0};
    write_file(file.at, file.size);
    unseen_status status = us_images_open(test_path, &request, &images, &error);
    if (status == UNSEEN_OK) fail_msg("accepted, instead of \"%s\"", part);
    assert_int_equal(status, UNSEEN_BAD_INPUT);
    assert_contains(error.message, test_path);
    assert_contains(error.message, part);
    assert_contains(error.message, other);
}

static uint16_t to_half(double value) {
    int exponent;
    if (value == 0) return 0;
    double part = frexp(fabs(value), &exponent) * 2048 - 1024;
    return (uint16_t)((value < 0) << 15 | (exponent + 14) << 10 | (int)part);
}

/* Appends a number as a type, "<f8" and so on, has it. */
static void add_number(const char *type, double value) {
    int size = atoi(type + 2);
    uint64_t bits = type[1] == 'b' ? value != 0 : type[1] == 'f' ? 0 : (uint64_t)(int64_t)value;
    float single = (float)value;
    if (type[1] == 'f' && size == 8) memcpy(&bits, &value, 8);
    if (type[1] == 'f' && size == 4) {
        uint32_t word;
        memcpy(&word, &single, 4);
        bits = word;
    }
    if (type[1] == 'f' && size == 2) bits = to_half(value);
    for (int i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)(bits >> 8 * (type[0] == '>' ? size - 1 - i : i));
        bytes_add(&file, &byte, 1);
    }
}

static double scaled(const char *type, int value) {
    return type[1] == 'f' ? value / 256.0 : type[1] == 'b' ? value % 2 : value;
}

/* Images of a type in C or Fortran order, `planar`: of shape N,C,H,W. */
static void make(const char *type, bool fortran, bool planar) {
    char dict[200];
    int dims[4] = {COUNT, HEIGHT, WIDTH, CHANNELS};
    if (planar) memcpy(dims, (int[]){COUNT, CHANNELS, HEIGHT, WIDTH}, sizeof dims);
    snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': %s, 'shape': (%d, %d, %d, %d), }",
             type, fortran ? "True" : "False", dims[0], dims[1], dims[2], dims[3]);
    npy_begin(&file, 1, dict);
    for (int k = 0; k < COUNT * EACH; k++) {
        int index[4], rest = k;
        for (int i = 0; i < 4; i++) {
            int axis = fortran ? i : 3 - i;
            index[axis] = rest % dims[axis];
            rest /= dims[axis];
        }
        int value = planar ? value_at(index[0], index[2], index[3], index[1])
                           : value_at(index[0], index[1], index[2], index[3]);
        add_number(type, scaled(type, value));
    }
}

static void expect_pixels(const us_images *images, const char *type) {
    assert_int_equal(images->count, COUNT);
    assert_int_equal(images->height, HEIGHT);
    assert_int_equal(images->width, WIDTH);
    assert_int_equal(images->channels, CHANNELS);
    assert_int_equal(images->pixel, type[1] == 'f' ? US_PIXEL_FLOAT32 : US_PIXEL_UINT8);
    for (int n = 0; n < COUNT; n++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                for (int c = 0; c < CHANNELS; c++) {
                    int k = images->planar ? (n * CHANNELS + c) * HEIGHT * WIDTH + y * WIDTH + x
                                           : ((n * HEIGHT + y) * WIDTH + x) * CHANNELS + c;
                    double wanted = scaled(type, value_at(n, y, x, c));
                    if (type[1] == 'b') wanted *= 255;
                    double found = images->pixel == US_PIXEL_FLOAT32
                                       ? (double)((const float *)images->pixels)[k]
                                       : ((const unsigned char *)images->pixels)[k];
                    if (found != wanted)
                        fail_msg("%s: %g instead of %g at %d", type, found, wanted, k);
                }
}

static void every_type_and_order(void **state) {
    (void)state;
    static const char *const types[] = {"|u1", "|b1", "<u2", ">u2", "<i2", ">i2", "<i4", ">u4",
                                        "<u8", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int order = 0; order < 8; order++) {
            us_images images;
            if ((size_t)(types[t][2] - '0') * COUNT * EACH + 200 > sizeof file.at) continue;
            make(types[t], order & 1, order & 2);
            if (order & 4) gzip(&file);
            open_good(&images);
            assert_int_equal(images.layout, order & 2 ? US_LAYOUT_NCHW : US_LAYOUT_NHWC);
            assert_int_equal(images.planar, (order & 2) != 0);
            expect_pixels(&images, types[t]);
            us_images_close(&images);
        }
}

/* One image of numbers of a type; the rest of it is 0. */
static void with_number(const char *type, double value) {
    npy(&file, type, "(5, 6, 3)");
    add_number(type, value);
    for (int i = 1; i < EACH; i++)
        add_number(type, 0);
}

static void what_comes_of_numbers(void **state) {
    (void)state;
    static const struct {
        const char *type;
        double value;
        us_pixel pixel;
    } cases[] = {
        {"<u2", 255, US_PIXEL_UINT8},        {"<u2", 256, US_PIXEL_FLOAT32},
        {"<u2", 65535, US_PIXEL_FLOAT32},    {"<i2", -1, US_PIXEL_FLOAT32},
        {"|i1", -128, US_PIXEL_FLOAT32},     {"|i1", 127, US_PIXEL_UINT8},
        {"<i8", 16777216, US_PIXEL_FLOAT32}, {"<f2", 6.103515625e-05, US_PIXEL_FLOAT32},
        {"<f8", 0.5, US_PIXEL_FLOAT32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int packed = 0; packed < 2; packed++) {
            us_images images;
            with_number(cases[i].type, cases[i].value);
            if (packed) gzip(&file);
            open_good(&images);
            assert_int_equal(images.pixel, cases[i].pixel);
            assert_true(images.lowest == fmin(0, cases[i].value));
            assert_true(images.highest == fmax(0, cases[i].value));
            double first = images.pixel == US_PIXEL_UINT8 ? *(const unsigned char *)images.pixels
                                                          : (double)*(const float *)images.pixels;
            assert_true(first == cases[i].value);
            us_images_close(&images);
        }
    npy(&file, "<f2", "(5, 6, 3)"); /* the smallest number of float16 */
    bytes_add(&file, "\1\0", 2);
    bytes_fill(&file, 0, 2 * (EACH - 1));
    us_images images;
    open_good(&images);
    assert_true(images.highest == ldexp(1, -24));
    us_images_close(&images);
}

static void what_would_be_lost(void **state) {
    (void)state;
    with_number("<i8", 16777217);
    expect_bad("int64 from 0 to 16777217", "neither uint8 nor float32");
    with_number("<i4", -20000000);
    expect_bad("int32 from -20000000 to 0", "scale the values");
    npy(&file, "<u8", "(5, 6, 3)");
    bytes_fill(&file, 0xff, 8 * EACH);
    expect_bad("uint64 from", "scale the values");
    with_number("<f8", 1e300);
    expect_bad("image 0", "not finite as float32");
    with_number("<f8", -1e39);
    expect_bad("image 0", "above 3.4e38");
    with_number(">f8", (double)NAN);
    expect_bad("image 0", "not finite");
    npy(&file, "<f2", "(5, 6, 3)");
    bytes_fill(&file, 0x7c, 2 * EACH);
    expect_bad("image 0", "not finite");
}

/* A single image, and one whose first axis is not its number, in Fortran order. */
static void fortran_singles(void **state) {
    (void)state;
    us_images images;
    npy_begin(&file, 1, "{'descr': '|u1', 'fortran_order': True, 'shape': (5, 6, 3), }");
    for (int c = 0; c < CHANNELS; c++)
        for (int x = 0; x < WIDTH; x++)
            for (int y = 0; y < HEIGHT; y++)
                bytes_fill(&file, y * 18 + x * 3 + c, 1);
    open_good(&images);
    assert_int_equal(images.layout, US_LAYOUT_HWC);
    for (int i = 0; i < EACH; i++)
        assert_int_equal(((const unsigned char *)images.pixels)[i], i);
    us_images_close(&images);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_and_order),
        cmocka_unit_test(what_comes_of_numbers),
        cmocka_unit_test(what_would_be_lost),
        cmocka_unit_test(fortran_singles),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
