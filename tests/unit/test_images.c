/* SPDX-License-Identifier: MIT */
/* Image files: what is read, and that every fault is named. */
#include "../data_files.h"

#include <math.h>
#include <sys/stat.h>

#include "data/images.h"

static bytes file;

/* Of the config's input: grey, unless a test sets another one. */
static us_layout_request request;

static int grey(void **state) {
    (void)state;
    request = (us_layout_request){.channels = 1, .height = 28, .width = 28};
    return 0;
}

static void set_input(int channels, int height, int width) {
    request = (us_layout_request){.channels = channels, .height = height, .width = width};
}

static void open_good(us_images *images) {
    unseen_error error = {0};
    write_file(file.at, file.size);
    if (us_images_open(test_path, &request, images, &error) != UNSEEN_OK)
        fail_msg("%s", error.message);
    assert_string_equal(images->path, test_path);
}

/* Opening fails as bad input with a message that has the path and both parts. */
static void expect_path(const char *path, const char *part, const char *other) {
    us_images images;
    unseen_error error = {0};
    unseen_status status = us_images_open(path, &request, &images, &error);
    if (status == UNSEEN_OK) fail_msg("accepted, instead of \"%s\"", part);
    assert_int_equal(status, UNSEEN_BAD_INPUT);
    assert_int_equal(error.status, UNSEEN_BAD_INPUT);
    assert_contains(error.message, path);
    assert_contains(error.message, part);
    assert_contains(error.message, other);
    assert_null(images.pixels);
    us_images_close(&images);
}

static void expect_bad(const char *part, const char *other) {
    write_file(file.at, file.size);
    expect_path(test_path, part, other);
}

static void expect_shape(const us_images *images, int64_t count, int height, int width,
                         int channels) {
    assert_int_equal(images->count, count);
    assert_int_equal(images->height, height);
    assert_int_equal(images->width, width);
    assert_int_equal(images->channels, channels);
}

static void npy_uint8(void **state) {
    (void)state;
    us_images images;
    set_input(3, 3, 5);
    npy(&file, "|u1", "(2, 3, 5, 3)");
    for (int i = 0; i < 90; i++)
        bytes_fill(&file, i, 1);
    open_good(&images);
    expect_shape(&images, 2, 3, 5, 3);
    assert_int_equal(images.pixel, US_PIXEL_UINT8);
    assert_int_equal(us_images_image_bytes(&images), 45);
    for (int i = 0; i < 90; i++)
        assert_int_equal(((const unsigned char *)images.pixels)[i], i);
    assert_true(images.lowest == 0 && images.highest == 89);
    us_images_close(&images);
    assert_null(images.pixels);
    us_images_close(&images);
}

static void npy_without_channels(void **state) {
    (void)state;
    us_images images;
    npy(&file, "|u1", "(7, 3, 5)");
    bytes_fill(&file, 1, 105);
    open_good(&images);
    expect_shape(&images, 7, 3, 5, 1);
    us_images_close(&images);
}

static void npy_dict_spellings(void **state) {
    (void)state;
    static const char *const dicts[] = {
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), }",
        "{'shape': (1, 2, 2), 'fortran_order': False, 'descr': '|u1'}",
        "{\"fortran_order\":False,\"descr\":\"<u1\",\"shape\":(1,2,2,)}",
        "{'shape': (1L, 2L, 2L), 'descr': 'u1', 'fortran_order': False}",
        " { 'descr' :\t'>u1' , 'fortran_order' : False ,\n'shape' : ( 1 , 2 , 2 ) , } ",
    };
    for (int version = 1; version <= 3; version++) {
        for (size_t i = 0; i < sizeof dicts / sizeof dicts[0]; i++) {
            us_images images;
            npy_begin(&file, version, dicts[i]);
            bytes_add(&file, "\1\2\3\4", 4);
            open_good(&images);
            expect_shape(&images, 1, 2, 2, 1);
            assert_memory_equal(images.pixels, "\1\2\3\4", 4);
            us_images_close(&images);
        }
    }
}

/* Any length of the header, so that the floats lie on any alignment. */
static void npy_unaligned(void **state) {
    (void)state;
    static const char dict[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2)}";
    for (size_t spaces = 0; spaces < 9; spaces++) {
        us_images images;
        unsigned char head[10] = "\x93NUMPY\1\0";
        float values[2] = {0.25f, 0.75f};
        head[8] = (unsigned char)(sizeof dict - 1 + spaces);
        file.size = 0;
        bytes_add(&file, head, 10);
        bytes_add(&file, dict, sizeof dict - 1);
        bytes_fill(&file, ' ', spaces);
        bytes_add(&file, values, sizeof values);
        open_good(&images);
        assert_int_equal((uintptr_t)images.pixels % 4, 0);
        assert_memory_equal(images.pixels, values, sizeof values);
        us_images_close(&images);
    }
}

static void npy_floats(const float *values) {
    set_input(1, 1, 2);
    npy(&file, "<f4", "(3, 1, 2, 1)");
    bytes_add(&file, values, 6 * sizeof *values);
}

static void expect_no_range(const float *values, const char *part, const char *other) {
    us_images images;
    us_range range;
    unseen_error error = {0};
    npy_floats(values);
    open_good(&images);
    assert_int_equal(us_images_range(&images, &range, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, test_path);
    assert_contains(error.message, part);
    assert_contains(error.message, other);
    us_images_close(&images);
}

static void float_ranges(void **state) {
    (void)state;
    static const struct {
        float values[6];
        us_range range;
        int clipped;
    } cases[] = {{{0, 1, 0.5f, 0, 0, 0}, US_RANGE_UNIT, 0},
                 {{0, 0, 0, 0, 0, 0}, US_RANGE_UNIT, 0},
                 {{0.5f, 0.5f, 1, 1, 1, 1}, US_RANGE_UNIT, 0},
                 {{0, 1.0000001f, 0, 0, 0, 0}, US_RANGE_UNIT, 1},
                 {{-1e-6f, 1.0009f, 0, 0, 1.0005f, 0}, US_RANGE_UNIT, 3},
                 {{0, 1, 0, 0, 0, -0.125f}, US_RANGE_SIGNED, 0},
                 {{-1, 1, 0, 0, 0, 0}, US_RANGE_SIGNED, 0},
                 {{-1.0000001f, 1.0000001f, 0, 0, 0, 0}, US_RANGE_SIGNED, 2},
                 {{0, 1, 16, 0, 0, 0}, US_RANGE_BYTE, 0},
                 {{0, 1, 0, 0, 0, 255}, US_RANGE_BYTE, 0},
                 {{-0.2f, 1, 0, 0, 0, 255.25f}, US_RANGE_BYTE, 2},
                 {{0, 1, 32768, 0, 0, 0}, US_RANGE_WORD, 0},
                 {{0, 65536, 0, 0, 0, 0}, US_RANGE_WORD, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        us_images images;
        us_range range;
        int64_t clipped;
        unseen_error error = {0};
        npy_floats(cases[i].values);
        open_good(&images);
        expect_shape(&images, 3, 1, 2, 1);
        assert_int_equal(images.pixel, US_PIXEL_FLOAT32);
        assert_int_equal(us_images_image_bytes(&images), 8);
        assert_int_equal(us_images_range(&images, &range, &error), UNSEEN_OK);
        assert_int_equal(range, cases[i].range);
        assert_int_equal(us_images_clip(&images, us_range_get(range), "", &clipped, &error),
                         UNSEEN_OK);
        assert_int_equal(clipped, cases[i].clipped);
        us_images_close(&images);
    }
}

static void values_without_a_range(void **state) {
    (void)state;
    /* a white of 1 that was brightened is not taken for one of 255 */
    expect_no_range((float[]){0, 1, 0, 0, 1.0625f, 0}, "from 0 to 1.0625", "image is number 2");
    expect_no_range((float[]){0, 1, 2, 0, 0, 0}, "from 0 to 2", "image is number 1");
    expect_no_range((float[]){0, 1, 2, -1, 0, 0}, "from -1 to 2", "0..255");
    expect_no_range((float[]){0, 256, 2, 0, 0, 0}, "from 0 to 256", "image is number 0");
    expect_no_range((float[]){0, 4095, 2, 0, 0, 0}, "from 0 to 4095", "/input/range");
    expect_no_range((float[]){0, 65535, 2, 0, 0, -100}, "from -100 to 65535", "image is number 2");
    /* images of 0..255 are no reason to call the dark ones wrong */
    expect_no_range((float[]){0, 9, 200, 0, 300, 0}, "from 0 to 300", "image is number 2");
    npy_floats((float[]){0, 1, 0, 0, NAN, 0});
    expect_bad("image 2", "not finite");
    npy_floats((float[]){NAN, 1, 0, 0, 0, 0});
    expect_bad("image 0", "not finite");
    npy_floats((float[]){0, 1, 0, -INFINITY, 0, 0});
    expect_bad("image 1", "not finite");
}

static void values_beyond_given_ends(void **state) {
    (void)state;
    us_images images;
    int64_t clipped;
    unseen_error error = {0};
    npy_floats((float[]){0, 1, -0.0009f, 0, 1.1f, 0});
    open_good(&images);
    assert_int_equal(
        us_images_clip(&images, us_range_get(US_RANGE_UNIT), "as told", &clipped, &error),
        UNSEEN_BAD_INPUT);
    assert_contains(error.message, "does not fit 0..1 (as told)");
    assert_contains(error.message, "image is number 2");
    us_images_close(&images);
    set_input(1, 2, 2);
    npy(&file, "|u1", "(2, 2, 2)");
    bytes_add(&file, "\0\1\0\0\0\2\0\0", 8);
    open_good(&images);
    assert_int_equal(
        us_images_clip(&images, us_range_get(US_RANGE_UNIT), "as told", &clipped, &error),
        UNSEEN_BAD_INPUT);
    assert_contains(error.message, "from 0 to 2");
    assert_contains(error.message, "image is number 1");
    us_images_close(&images);
}

static void npy_types(void **state) {
    (void)state;
    static const struct {
        const char *type, *part, *other;
    } cases[] = {
        {"<f16", "float128", "save it as float32: np.save('float32.npy', np.load('"},
        {">f16", "big-endian float128", "astype('<f4')"},
        {"|O", "pickled objects are never loaded", "'|O'"},
        {"|V12", "structured", "'|V12'"},
        {"<U3", "text", "'<U3'"},
        {"|S3", "text", "'|S3'"},
        {"<c8", "complex", "'<c8'"},
        {"<M8[ns]", "not a type of numbers", "'<M8[ns]'"},
        {"<u3", "not a type of numbers", "'<u3'"},
        {"<u", "not a type of numbers", "'<u'"},
        {"", "not a type of numbers", "''"},
        {"<", "not a type of numbers", "'<'"},
        {"<f4x", "not a type of numbers", "'<f4x'"},
        {"<u18446744073709551617", "not a type of numbers", "u18446744073709551617"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        npy(&file, cases[i].type, "(1, 1, 1)");
        const char *size = strpbrk(cases[i].type, "1248");
        bytes_fill(&file, 0, !size ? 1 : strcmp(size, "16") == 0 ? 16 : (size_t)(*size - '0'));
        expect_bad(cases[i].part, cases[i].other);
    }
    npy_begin(&file, 1,
              "{'descr': [('a', '<f4'), ('b', '|u1')], 'fortran_order': False, 'shape': (1,)}");
    expect_bad("structured", "plain array");
}

static void npy_shapes(void **state) {
    (void)state;
    static const struct {
        const char *shape, *part, *other;
        size_t bytes; /* that follow the header; 0: 4 */
    } cases[] = {
        {"(0, 64, 64, 3)", "(0, 64, 64, 3)", "at least 1", 0},
        {"(5, 0, 64, 3)", "(5, 0, 64, 3)", "at least 1", 0},
        {"(0, 4611686018427387904, 4611686018427387904)", "nothing in it", "at least 1", 0},
        {"(4294967296, 4294967296, 4)", "4294967296", "larger than any memory", 0},
        {"(9223372036854775807,)", "9223372036854775807", "larger than any memory", 0},
        {"(9223372036854775808, 1, 1)", "a dimension", "larger than any memory", 0},
        {"(99999999999999999999999, 1, 1)", "a dimension", "larger than any memory", 0},
        {"(-1, 64, 64, 3)", "negative dimension", "", 0},
        {"()", "()", "(number, height, width)", 1},
        {"(4,)", "(4,)", "(number, height, width)", 0},
        {"(2, 2)", "(2, 2)", "(number, height, width)", 0},
        {"(1, 1, 2, 2, 1)", "(1, 1, 2, 2, 1)", "(number, height, width)", 0},
        {"(2, 17, 20, 30)", "(2, 17, 20, 30)", "channels are at most 16", 20400},
        {"(4)", "expected ','", "byte", 0},
        {"(4 4)", "expected ',' or ')'", "found '4'", 0},
        {"(,)", "expected a dimension", "found ','", 0},
        {"(4, x)", "expected a dimension", "found 'x'", 0},
        {"(4, 2.0)", "expected ',' or ')'", "found '.'", 0},
        {"[4, 2]", "expected a shape in parentheses", "found '['", 0},
        {"(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", "more than 32", "",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        npy(&file, "|u1", cases[i].shape);
        bytes_fill(&file, 0, cases[i].bytes ? cases[i].bytes : 4);
        expect_bad(cases[i].part, cases[i].other);
    }
}

static void npy_damaged_dicts(void **state) {
    (void)state;
    static const struct {
        const char *dict, *part;
    } cases[] = {
        {"", "expected '{'"},
        {"{", "expected a key in quotes, found its end"},
        {"{}", "no key 'descr'"},
        {"{'descr': '|u1', 'shape': (1, 2, 2)}", "no key 'fortran_order'"},
        {"{'descr': '|u1', 'fortran_order': False}", "no key 'shape'"},
        {"{'descr': '|u1', 'descr': '|u1'}", "repeated key 'descr'"},
        {"{'strides': (1,)}", "unknown key 'strides'"},
        {"{'descr' '|u1'}", "expected ':'"},
        {"{'descr': '|u1' 'shape': (1,)}", "expected ',' or '}'"},
        {"{'descr': '|u1', 'fortran_order': 0}", "True or False"},
        {"{'descr': '|u1', 'fortran_order': Falsely}", "True or False"},
        {"{'descr': 5}", "expected a type"},
        {"{'descr': '\\x00'}", "expected a type"},
        {"{'descr': '|u1", "expected a type"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2)} x", "spaces after '}'"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2)", "expected ',' or '}'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        npy_begin(&file, 1, cases[i].dict);
        bytes_fill(&file, 0, 4);
        expect_bad("damaged .npy header", cases[i].part);
    }
}

static void sizes(void **state) {
    (void)state;
    npy(&file, "|u1", "(2, 3, 5)");
    bytes_fill(&file, 0, 29);
    expect_bad("truncated", "takes 158 bytes, and 157 are there");
    bytes_fill(&file, 0, 2);
    expect_bad("too long", "takes 158 bytes, and 159 are there");
    file.size = 100;
    expect_bad("truncated", "header is 118 bytes long, and only 90 are there");
    file.size = 9;
    expect_bad("truncated", "only 9 are there");
    file.size = 3;
    expect_bad("truncated", "only 3 are there");
    file.size = 0;
    expect_bad("empty", "");
    npy(&file, "|u1", "(2, 3, 5)");
    file.at[6] = 4;
    expect_bad("version 4.0", "1.0, 2.0 and 3.0");
    file.at[6] = 2; /* the length now has four bytes, two of them text */
    expect_bad("header is", "bytes long");
    file.at[6] = 0;
    expect_bad("version 0.0", "");
    file.at[6] = 1;
    file.at[7] = 1;
    expect_bad("version 1.1", "");

    idx_begin(&file, 8, 3, (uint32_t[]){2, 3, 5});
    bytes_fill(&file, 0, 29);
    expect_bad("truncated", "takes 46 bytes, and 45 are there");
    bytes_fill(&file, 0, 2);
    expect_bad("too long", "takes 46 bytes, and 47 are there");
    file.size = 15;
    expect_bad("truncated", "takes 16 bytes, and only 15 are there");
    file.size = 3;
    expect_bad("truncated", "only 3 are there");
}

static void idx(void **state) {
    (void)state;
    us_images images;
    idx_begin(&file, 8, 3, (uint32_t[]){2, 3, 5});
    for (int i = 0; i < 30; i++)
        bytes_fill(&file, i, 1);
    open_good(&images);
    expect_shape(&images, 2, 3, 5, 1);
    assert_int_equal(((const unsigned char *)images.pixels)[29], 29);
    us_images_close(&images);
    idx_begin(&file, 8, 4, (uint32_t[]){1, 2, 2, 3});
    bytes_fill(&file, 9, 12);
    open_good(&images);
    expect_shape(&images, 1, 2, 2, 3);
    us_images_close(&images);

    idx_begin(&file, 8, 3, (uint32_t[]){0, 28, 28});
    expect_bad("(0, 28, 28)", "at least 1");
    idx_begin(&file, 8, 3, (uint32_t[]){UINT32_MAX, UINT32_MAX, UINT32_MAX});
    expect_bad("(4294967295, 4294967295, 4294967295)", "larger than any memory");
    idx_begin(&file, 8, 1, (uint32_t[]){4});
    bytes_fill(&file, 0, 4);
    expect_bad("(4,)", "(number, height, width)");
    idx_begin(&file, 8, 0, NULL);
    expect_bad("0 dimensions", "1 to 4");
    idx_begin(&file, 7, 1, (uint32_t[]){4});
    expect_bad("00 00 07 01", "0x07");
}

static void gzipped(void **state) {
    (void)state;
    us_images images;
    static bytes plain;
    idx_begin(&plain, 8, 3, (uint32_t[]){20, 30, 50});
    for (int i = 0; i < 30000; i++)
        bytes_fill(&plain, i * i >> 7, 1);
    file = plain;
    gzip(&file);
    open_good(&images);
    expect_shape(&images, 20, 30, 50, 1);
    assert_memory_equal(images.pixels, plain.at + 16, 30000);
    us_images_close(&images);

    bytes packed = file;
    bytes_add(&file, "junk", 4);
    expect_bad("other bytes follow", "damaged gzip");
    file = packed;
    file.size -= 4;
    expect_bad("truncated", "checksum");
    file = packed;
    file.at[file.size - 6] ^= 1;
    expect_bad("damaged gzip", "incorrect data check");
    file = packed;
    file.size /= 2;
    expect_bad("truncated", "takes 30016 bytes when unpacked, and ");
    file.size = 2;
    expect_bad("truncated", "nothing can be unpacked");
    file.size = 1;
    expect_bad("neither", " 1f");

    file = plain; /* two members in a row are one stream */
    file.size = 1000;
    gzip(&file);
    packed = file;
    file.size = 0;
    bytes_add(&file, plain.at + 1000, plain.size - 1000);
    gzip(&file);
    bytes_add(&packed, file.at, file.size);
    file = packed;
    open_good(&images);
    assert_memory_equal(images.pixels, plain.at + 16, 30000);
    us_images_close(&images);

    npy_floats((float[]){0, 1, 0, 0.5f, 0, 0});
    gzip(&file);
    open_good(&images);
    expect_shape(&images, 3, 1, 2, 1);
    us_images_close(&images);

    file.size = 0;
    gzip(&file);
    expect_bad("unpacks to an empty file", "");
    file.size = 0;
    bytes_add(&file, "some text", 9);
    gzip(&file);
    expect_bad("unpacks to neither", "");
}

/* A small file that claims, or unpacks to, much is refused without the memory that it asks for. */
static void gzip_bombs(void **state) {
    (void)state;
    idx_begin(&file, 8, 3, (uint32_t[]){1000000, 1000, 1000});
    gzip(&file);
    expect_bad("takes 1000000000016 bytes when unpacked", "packed bytes can hold");
    idx_begin(&file, 8, 3, (uint32_t[]){1, 2, 2});
    bytes_fill(&file, 0, 60000);
    gzip(&file);
    expect_bad("too long", "takes 20 bytes when unpacked, and at least");
    idx_begin(&file, 8, 3, (uint32_t[]){256, 16, 16});
    bytes part = file; /* 256 * 256 bytes, and as many again in further members */
    bytes_fill(&part, 0, 60000);
    gzip(&part);
    bytes more = {.size = 0};
    bytes_fill(&more, 0, 60000);
    gzip(&more);
    bytes_add(&part, more.at, more.size);
    file = part;
    expect_bad("too long", "takes 65552 bytes when unpacked, and at least 65553");
}

static void other_files(void **state) {
    (void)state;
    char path[320];
    snprintf(path, sizeof path, "%s/absent.npy", test_folder);
    expect_path(path, "No such file", "");
    expect_path(test_folder, "folder", "");
    file.size = 0;
    bytes_add(&file, "PK\3\4 and so on", 14);
    expect_bad("archive", "");
    file.size = 0;
    bytes_add(&file, "\x89PNG\r\n", 6);
    expect_bad("89 50 4e 47", "PNG");
    file.size = 0;
    bytes_add(&file, "\x80\4K\1.", 5);
    expect_bad("pickle", "never loaded");
    file.size = 0;
    bytes_add(&file, "1", 1);
    expect_bad("the bytes 31;", "from .npy and IDX files");
}

/* kB of memory that is not backed by files. */
static long anonymous_memory(void) {
    char line[256];
    long found = -1;
    FILE *stream = fopen("/proc/self/status", "r");
    if (!stream) return -1;
    while (fgets(line, sizeof line, stream))
        if (sscanf(line, "RssAnon: %ld", &found) == 1) break;
    fclose(stream);
    return found;
}

static void large_is_mapped(void **state) {
    (void)state;
    us_images images;
    unseen_error error = {0};
    npy(&file, "|u1", "(140001, 64, 64, 3)");
    write_file(file.at, file.size);
    assert_int_equal(truncate(test_path, 128 + (off_t)140001 * 12288), 0);
    long before = anonymous_memory();
    if (before < 0) skip();
    assert_int_equal(us_images_open(test_path, &request, &images, &error), UNSEEN_OK);
    expect_shape(&images, 140001, 64, 64, 3);
    const unsigned char *pixels = images.pixels;
    int64_t sum = 0;
    for (int64_t n = 0; n < images.count; n += 1000)
        sum += pixels[(size_t)n * 12288];
    assert_int_equal(sum + pixels[(size_t)140001 * 12288 - 1], 0);
    assert_true(anonymous_memory() - before < 2048);
    us_images_close(&images);
}

/* One more than an int holds; the file is sparse. */
static void too_many_images(void **state) {
    (void)state;
    set_input(1, 1, 1);
    npy(&file, "|u1", "(2147483648, 1, 1)");
    write_file(file.at, file.size);
    assert_int_equal(truncate(test_path, 128 + (off_t)2147483648), 0);
    expect_path(test_path, "more images than the 2147483647", "(2147483648, 1, 1)");
    npy(&file, "|u1", "(1, 65536, 32768)");
    write_file(file.at, file.size);
    assert_int_equal(truncate(test_path, 128 + (off_t)2147483648), 0);
    expect_path(test_path, "more than 2147483647 values in each image", "");
}

static void fashion_mnist(void **state) {
    (void)state;
    us_images images;
    unseen_error error = {0};
    const char *path = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
    if (access(path, R_OK) != 0) skip();
    if (us_images_open(path, &request, &images, &error) != UNSEEN_OK) fail_msg("%s", error.message);
    expect_shape(&images, 10000, 28, 28, 1);
    const unsigned char *pixels = images.pixels;
    uint64_t sum = 0;
    for (size_t i = 0; i < 7840000; i++)
        sum += pixels[i];
    /* the test split's published mean is 0.2868 of 255 */
    assert_true(fabs((double)sum / 7840000 / 255 - 0.2868) < 1e-3);
    us_images_close(&images);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(npy_uint8, grey),
        cmocka_unit_test_setup(npy_without_channels, grey),
        cmocka_unit_test_setup(npy_dict_spellings, grey),
        cmocka_unit_test_setup(npy_unaligned, grey),
        cmocka_unit_test_setup(float_ranges, grey),
        cmocka_unit_test_setup(values_without_a_range, grey),
        cmocka_unit_test_setup(values_beyond_given_ends, grey),
        cmocka_unit_test_setup(npy_types, grey),
        cmocka_unit_test_setup(npy_shapes, grey),
        cmocka_unit_test_setup(npy_damaged_dicts, grey),
        cmocka_unit_test_setup(sizes, grey),
        cmocka_unit_test_setup(idx, grey),
        cmocka_unit_test_setup(gzipped, grey),
        cmocka_unit_test_setup(gzip_bombs, grey),
        cmocka_unit_test_setup(other_files, grey),
        cmocka_unit_test_setup(large_is_mapped, grey),
        cmocka_unit_test_setup(too_many_images, grey),
        cmocka_unit_test_setup(fashion_mnist, grey),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
