/* SPDX-License-Identifier: MIT */
/* Which axis is which: what is read without asking, and what is refused. */
#include "../data_files.h"

#include "data/layout.h"

static us_array_header shape(int rank, const int64_t *dims) {
    us_array_header header = {.rank = rank};
    memcpy(header.dims, dims, (size_t)rank * sizeof *dims);
    return header;
}

typedef struct layout_case {
    int channels, height, width; /* of the config */
    int rank;
    int64_t dims[5];
    const char *read;                 /* the layout; NULL: refused */
    int64_t count, rows, columns, in; /* what comes of it */
} layout_case;

static const layout_case cases[] = {
    /* what has always been read so */
    {3, 64, 64, 4, {9, 64, 64, 3}, "NHWC", 9, 64, 64, 3},
    {3, 64, 64, 4, {9, 20, 30, 3}, "NHWC", 9, 20, 30, 3},
    {3, 64, 64, 4, {9, 20, 30, 1}, "NHWC", 9, 20, 30, 1},
    {1, 28, 28, 4, {9, 20, 30, 3}, "NHWC", 9, 20, 30, 3},
    {1, 28, 28, 3, {9, 20, 30}, "NHW", 9, 20, 30, 1},
    {3, 64, 64, 3, {9, 20, 30}, "NHW", 9, 20, 30, 1},
    {1, 28, 28, 3, {3, 28, 28}, "NHW", 3, 28, 28, 1},
    {1, 28, 28, 3, {3, 100, 120}, "NHW", 3, 100, 120, 1},
    {4, 28, 28, 4, {9, 20, 30, 4}, "NHWC", 9, 20, 30, 4},
    {1, 16, 3, 3, {9, 16, 3}, "NHW", 9, 16, 3, 1},
    /* channels that the loader refuses, so that it says so */
    {3, 64, 64, 4, {9, 20, 30, 4}, "NHWC", 9, 20, 30, 4},
    /* channels first */
    {3, 64, 64, 4, {9, 3, 64, 64}, "NCHW", 9, 64, 64, 3},
    {3, 64, 64, 4, {9, 3, 20, 30}, "NCHW", 9, 20, 30, 3},
    {1, 28, 28, 4, {9, 1, 28, 28}, "NCHW", 9, 28, 28, 1},
    {1, 28, 28, 4, {9, 3, 20, 30}, "NCHW", 9, 20, 30, 3},
    {3, 64, 64, 4, {9, 3, 3, 64}, "NCHW", 9, 3, 64, 3},
    /* single images */
    {3, 64, 64, 3, {64, 64, 3}, "HWC", 1, 64, 64, 3},
    {3, 64, 64, 3, {3, 64, 64}, "CHW", 1, 64, 64, 3},
    {3, 64, 64, 3, {480, 640, 3}, "HWC", 1, 480, 640, 3},
    {3, 64, 64, 3, {64, 64, 1}, "HWC", 1, 64, 64, 1},
    {1, 28, 28, 3, {28, 28, 1}, "HWC", 1, 28, 28, 1},
    {1, 28, 28, 3, {1, 28, 28}, "NHW", 1, 28, 28, 1},
    {1, 28, 28, 2, {28, 28}, "HW", 1, 28, 28, 1},
    {3, 64, 64, 2, {64, 64}, "HW", 1, 64, 64, 1},
    /* the config's own size and channels decide */
    {3, 3, 5, 4, {9, 3, 5, 3}, "NHWC", 9, 3, 5, 3},
    {3, 5, 3, 4, {9, 3, 5, 3}, "NCHW", 9, 5, 3, 3},
    /* doubt */
    {1, 64, 64, 3, {64, 64, 3}, NULL, 0, 0, 0, 0},
    {1, 28, 28, 3, {480, 640, 3}, NULL, 0, 0, 0, 0},
    {3, 64, 64, 3, {3, 100, 120}, NULL, 0, 0, 0, 0},
    {3, 64, 64, 4, {9, 3, 20, 3}, NULL, 0, 0, 0, 0},
    {3, 3, 3, 4, {9, 3, 3, 3}, NULL, 0, 0, 0, 0},
    {1, 28, 28, 3, {100, 120, 1}, NULL, 0, 0, 0, 0},
    {1, 28, 28, 2, {60000, 784}, NULL, 0, 0, 0, 0},
    {1, 28, 28, 2, {100, 120}, NULL, 0, 0, 0, 0},
    {3, 64, 64, 4, {9, 17, 20, 30}, NULL, 0, 0, 0, 0},
    {3, 64, 64, 1, {64}, NULL, 0, 0, 0, 0},
    {3, 64, 64, 5, {1, 2, 3, 4, 5}, NULL, 0, 0, 0, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

static us_layout_request ask(const layout_case *c, const char *layout, int when) {
    return (us_layout_request){.layout = us_layout_find(layout),
                               .when = when,
                               .channels = c->channels,
                               .height = c->height,
                               .width = c->width};
}

static void automatic(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const layout_case *c = &cases[i];
        us_array_header header = shape(c->rank, c->dims);
        us_layout_request request = ask(c, "auto", US_LAYOUT_ALWAYS);
        us_layout_reading reading;
        unseen_error error = {0};
        unseen_status status = us_layout_read(&header, &request, "a.npy", &reading, &error);
        char what[300];
        snprintf(what, sizeof what, "%s as %dx%dx%d: %s", us_array_shape_text(&header).text,
                 c->channels, c->height, c->width,
                 status == UNSEEN_OK ? us_layout_names[reading.layout] : "refused");
        if ((status == UNSEEN_OK) != (c->read != NULL)) fail_msg("%s", what);
        if (!c->read) {
            assert_int_equal(status, UNSEEN_BAD_INPUT);
            assert_contains(error.message, us_array_shape_text(&header).text);
            continue;
        }
        if (strcmp(us_layout_names[reading.layout], c->read) != 0 || reading.count != c->count ||
            reading.height != c->rows || reading.width != c->columns || reading.channels != c->in)
            fail_msg("%s", what);
    }
}

static void doubt_names_the_option(void **state) {
    (void)state;
    us_array_header header = shape(3, (int64_t[]){64, 64, 3});
    us_layout_request request = {.channels = 1, .height = 64, .width = 64};
    us_layout_reading reading;
    unseen_error error = {0};
    assert_int_equal(us_layout_read(&header, &request, "a.npy", &reading, &error),
                     UNSEEN_BAD_INPUT);
    assert_contains(error.message, "a.npy: its shape (64, 64, 3) can be read as NHW or HWC");
    assert_contains(error.message, "--layout");
    header = shape(2, (int64_t[]){100, 784});
    assert_int_equal(us_layout_read(&header, &request, "a.npy", &reading, &error),
                     UNSEEN_BAD_INPUT);
    assert_contains(error.message, "--layout HW");
}

static void read_so(const layout_case *c, const char *layout, int when, const char *expected) {
    us_array_header header = shape(c->rank, c->dims);
    us_layout_request request = ask(c, layout, when);
    us_layout_reading reading;
    unseen_error error = {0};
    if (us_layout_read(&header, &request, "a.npy", &reading, &error) != UNSEEN_OK)
        fail_msg("%s", error.message);
    assert_string_equal(us_layout_names[reading.layout], expected);
}

static void named(void **state) {
    (void)state;
    us_layout_reading reading;
    unseen_error error = {0};
    const layout_case grey = {1, 64, 64, 3, {64, 64, 3}, NULL, 0, 0, 0, 0};
    const layout_case set = {1, 64, 64, 4, {9, 64, 64, 1}, NULL, 0, 0, 0, 0};
    const layout_case flat = {1, 64, 64, 2, {100, 120}, NULL, 0, 0, 0, 0};
    read_so(&grey, "NHW", US_LAYOUT_ALWAYS, "NHW");
    read_so(&grey, "HWC", US_LAYOUT_ALWAYS, "HWC");
    read_so(&grey, "HWC", US_LAYOUT_OF_ITS_RANK, "HWC");
    read_so(&grey, "HWC", US_LAYOUT_IN_DOUBT, "HWC");
    read_so(&flat, "HW", US_LAYOUT_ALWAYS, "HW");
    read_so(&flat, "HW", US_LAYOUT_IN_DOUBT, "HW");
    read_so(&set, "HWC", US_LAYOUT_OF_ITS_RANK, "NHWC");
    read_so(&set, "NCHW", US_LAYOUT_IN_DOUBT, "NHWC");
    /* of another rank, or with too many channels */
    us_array_header header = shape(4, set.dims);
    us_layout_request request = ask(&set, "HWC", US_LAYOUT_ALWAYS);
    assert_int_equal(us_layout_read(&header, &request, "a.npy", &reading, &error),
                     UNSEEN_BAD_INPUT);
    assert_contains(error.message, "cannot be read as HWC (--layout, /input/layout)");
    request = ask(&set, "NCHW", US_LAYOUT_ALWAYS);
    assert_int_equal(us_layout_read(&header, &request, "a.npy", &reading, &error),
                     UNSEEN_BAD_INPUT);
    assert_contains(error.message, "read as NCHW, has 64 channels");
    /* a hint that is none of the readings in question is none */
    header = shape(3, grey.dims);
    request = ask(&grey, "CHW", US_LAYOUT_IN_DOUBT);
    assert_int_equal(us_layout_read(&header, &request, "a.npy", &reading, &error),
                     UNSEEN_BAD_INPUT);
    assert_int_equal(us_layout_check("HWC", &error), UNSEEN_OK);
    assert_int_equal(us_layout_check("WHC", &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "'WHC'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic),
        cmocka_unit_test(doubt_names_the_option),
        cmocka_unit_test(named),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
