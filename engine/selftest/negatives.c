/* SPDX-License-Identifier: MIT */
/* What negatives are made by: corrupted images, and codes matched to real ones, against the host.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ops/corruption.h"
#include "ops/lanes.h"
#include "ops/random_codes.h"
#include "selftest/selftest.h"

static const uint64_t SEED = 0xfedcba9876543210ULL;
enum { SUBSTREAM = 11 };

/* ---- corrupted images ---- */

typedef struct corruption_case {
    const char *what;
    unsigned kinds;
    us_shape shape;
    int n, room;
    int noise_begin, corrupted_begin;
    bool normal;
} corruption_case;

#define ONLY(kind) (1u << US_CORRUPTION_##kind)

enum { ALL = (1u << US_CORRUPTION_KINDS) - 1 };

static const corruption_case corruption_cases[] = {
    {"noise", ONLY(NOISE), {3, 7, 5}, 17, 0, 0, 0, false},
    {"cutout", ONLY(CUTOUT), {3, 33, 31}, 17, 0, 0, 0, false},
    {"paste", ONLY(PASTE), {3, 33, 31}, 33, 128, 0, 0, false},
    {"paste within one image", ONLY(PASTE), {1, 16, 20}, 1, 0, 0, 0, false},
    {"crop", ONLY(CROP), {3, 33, 31}, 17, 0, 0, 0, false},
    {"rotate", ONLY(ROTATE), {5, 7, 7}, 17, 0, 0, 0, false},
    {"upside down", ONLY(ROTATE), {3, 7, 5}, 17, 0, 0, 0, false},
    {"blur", ONLY(BLUR), {3, 40, 37}, 17, 0, 0, 0, false},
    {"two kinds", ONLY(CUTOUT) | ONLY(BLUR), {1, 9, 9}, 33, 0, 0, 0, false},
    {"one pixel", ALL, {1, 1, 1}, 33, 0, 0, 0, false},
    {"one image", ALL, {3, 7, 5}, 1, 0, 0, 0, false},
    {"noise images", ALL, {3, 7, 5}, 17, 128, 0, 17, false},
    {"normal noise images", ALL, {5, 7, 5}, 17, 0, 0, 17, true},
    {"some of each", ALL, {3, 24, 24}, 50, 0, 5, 13, false},
    {"none", ALL, {3, 7, 5}, 17, 0, 17, 17, false},
};

enum { CORRUPTION_CASES = sizeof corruption_cases / sizeof *corruption_cases };

/* The batch as it was, and the words that decide about one image of it. */
typedef struct subject {
    const corruption_case *wanted;
    const double *x;
    uint32_t a[4], b[4];
    int image;
} subject;

static double pixel(const subject *s, int image, int c, int y, int x) {
    const us_shape shape = s->wanted->shape;
    return s->x[((size_t)(c * shape.height + y) * (size_t)shape.width + (size_t)x) *
                    (size_t)s->wanted->n +
                (size_t)image];
}

static int below(uint32_t word, int count) {
    return (int)((uint64_t)word * (uint64_t)count >> 32);
}

static double unit(uint32_t word) {
    return (double)(word >> 8) / 16777216;
}

static double within_range(double v) {
    return fmin(fmax(v, -1), 1);
}

static double random_normal(const subject *s, int c, int y, int x) {
    const us_shape shape = s->wanted->shape;
    const int value = ((s->image * shape.channels + c) * shape.height + y) * shape.width + x;
    return (double)us_random_normal(SEED, US_STREAM_CORRUPTION, SUBSTREAM + 1, (uint64_t)value);
}

static double noise_image(const subject *s, int c, int y, int x) {
    const us_shape shape = s->wanted->shape;
    const int value = ((s->image * shape.channels + c) * shape.height + y) * shape.width + x;
    if (s->wanted->normal) return within_range(random_normal(s, c, y, x));
    return 2 * (double)us_random_uniform(SEED, US_STREAM_CORRUPTION, SUBSTREAM + 1,
                                         (uint64_t)value) -
           1;
}

/* Along one axis: the rectangle's length, and where it starts in the image and in its source. */
typedef struct span {
    int length, to, from;
} span;

static span draw_span(uint32_t length, uint32_t to, uint32_t from, int size) {
    const int least = size / 8 > 1 ? size / 8 : 1, most = size / 2 > least ? size / 2 : least;
    span s = {.length = least + below(length, most - least + 1)};
    s.to = below(to, size - s.length + 1);
    s.from = below(from, size - s.length + 1);
    return s;
}

static bool is_in(span s, int i) {
    return i >= s.to && i < s.to + s.length;
}

static double rectangle(const subject *s, bool cutout, int c, int y, int x) {
    const us_shape shape = s->wanted->shape;
    const int n = s->wanted->n;
    const span rows = draw_span(s->a[1], s->a[3], s->b[2], shape.height);
    const span columns = draw_span(s->a[2], s->b[0], s->b[3], shape.width);
    if (!is_in(rows, y) || !is_in(columns, x)) return pixel(s, s->image, c, y, x);
    if (cutout) return 2 * unit(s->b[1]) - 1;
    int other = s->image;
    if (n > 1 && s->b[1] % 2) other = (s->image + 1 + below(s->b[1], n - 1)) % n;
    return pixel(s, other, c, y - rows.to + rows.from, x - columns.to + columns.from);
}

/* Linear between pixels, and constant beyond the outermost. */
static double between(const subject *s, int c, double y, double x) {
    const us_shape shape = s->wanted->shape;
    y = fmin(fmax(y, 0), shape.height - 1);
    x = fmin(fmax(x, 0), shape.width - 1);
    double sum = 0;
    for (int i = 0; i < shape.height; i++)
        for (int j = 0; j < shape.width; j++)
            if (fabs(y - i) < 1 && fabs(x - j) < 1)
                sum += (1 - fabs(y - i)) * (1 - fabs(x - j)) * pixel(s, s->image, c, i, j);
    return sum;
}

static double crop(const subject *s, int c, int y, int x) {
    const us_shape shape = s->wanted->shape;
    const double share = 0.4 + 0.4 * unit(s->a[1]);
    const double top = unit(s->a[3]) * (1 - share) * shape.height;
    const double left = unit(s->b[0]) * (1 - share) * shape.width;
    return between(s, c, top + (y + 0.5) * share - 0.5, left + (x + 0.5) * share - 0.5);
}

static double rotated(const subject *s, int c, int y, int x) {
    const int height = s->wanted->shape.height, width = s->wanted->shape.width;
    if (height != width) return pixel(s, s->image, c, height - 1 - y, x);
    /* A pixel of the result, turned back quarter by quarter. */
    for (int quarters = 1 + below(s->a[1], 3); quarters > 0; quarters--) {
        const int turned = width - 1 - y;
        y = x;
        x = turned;
    }
    return pixel(s, s->image, c, y, x);
}

static double blurred(const subject *s, int c, int y, int x) {
    const us_shape shape = s->wanted->shape;
    const int side = shape.height < shape.width ? shape.height : shape.width;
    const int radius = 1 + below(s->a[1], side / 12 > 1 ? side / 12 : 1);
    double sum = 0;
    int count = 0;
    for (int i = y - radius; i <= y + radius; i++)
        for (int j = x - radius; j <= x + radius; j++)
            if (i >= 0 && i < shape.height && j >= 0 && j < shape.width) {
                sum += pixel(s, s->image, c, i, j);
                count++;
            }
    return sum / count;
}

static double corrupted(const subject *s, int c, int y, int x) {
    unsigned kinds[US_CORRUPTION_KINDS];
    int count = 0;
    for (unsigned kind = 0; kind < US_CORRUPTION_KINDS; kind++)
        if (s->wanted->kinds >> kind & 1) kinds[count++] = kind;
    switch (kinds[below(s->a[0], count)]) {
    case US_CORRUPTION_NOISE:
        return within_range(pixel(s, s->image, c, y, x) +
                            (0.1 + 0.4 * unit(s->a[1])) * random_normal(s, c, y, x));
    case US_CORRUPTION_CUTOUT:
        return rectangle(s, true, c, y, x);
    case US_CORRUPTION_PASTE:
        return rectangle(s, false, c, y, x);
    case US_CORRUPTION_CROP:
        return crop(s, c, y, x);
    case US_CORRUPTION_ROTATE:
        return rotated(s, c, y, x);
    default:
        return blurred(s, c, y, x);
    }
}

static void expect_corrupted(const corruption_case *wanted, const double *x, const double *base,
                             double *out) {
    const us_shape shape = wanted->shape;
    for (int j = 0; j < wanted->n; j++) {
        subject s = {.wanted = wanted, .x = x, .image = j};
        us_random_words(SEED, US_STREAM_CORRUPTION, SUBSTREAM, 2 * (uint64_t)j, s.a);
        us_random_words(SEED, US_STREAM_CORRUPTION, SUBSTREAM, 2 * (uint64_t)j + 1, s.b);
        size_t i = (size_t)j;
        for (int c = 0; c < shape.channels; c++)
            for (int y = 0; y < shape.height; y++)
                for (int column = 0; column < shape.width; column++, i += (size_t)wanted->n)
                    out[i] = j < wanted->noise_begin       ? base[i]
                             : j < wanted->corrupted_begin ? noise_image(&s, c, y, column)
                                                           : corrupted(&s, c, y, column);
    }
}

static unseen_status run_corruption(us_selftest *test, int number, unseen_error *error) {
    const corruption_case *wanted = &corruption_cases[number];
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    us_test_values values[3] = {{0}}; /* x, base, out */
    us_corruption *corruption = NULL;
    unseen_status status;
    for (int i = 0; i < 3; i++)
        US_CHECK(us_test_values_create(test, us_shape_size(wanted->shape), wanted->n, batch,
                                       &values[i], error));
    us_test_values_random(test, &values[0], 0.5, 0);
    us_test_values_random(test, &values[1], 0.5, 0);
    for (int i = 0; i < 3; i++)
        US_CHECK(us_test_values_upload(&values[i], (float)(i + 2), error));
    US_CHECK(us_corruption_create(test->device, wanted->kinds, wanted->normal, wanted->shape, batch,
                                  &corruption, error));
    const us_corruption_args args = {
        .x = values[0].device,
        .base = wanted->noise_begin > 0 ? values[1].device : NULL,
        .out = values[2].device,
        .n = wanted->n,
        .noise_begin = wanted->noise_begin,
        .corrupted_begin = wanted->corrupted_begin,
        .seed = SEED,
        .substream = SUBSTREAM,
    };
    US_CHECK(us_corruption_run(corruption, &args, error));
    expect_corrupted(wanted, values[0].host, values[1].host, values[2].host);
    status = us_test_values_compare(test, &values[2], "corruption", wanted->what, wanted->shape,
                                    1e-5, 1, true, error);

done:
    us_corruption_destroy(corruption);
    for (int i = 0; i < 3; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

/* ---- codes matched to real ones ---- */

typedef struct match_case {
    us_shape shape;
    int n, room;
} match_case;

static const match_case match_cases[] = {
    {{3, 7, 5}, 17, 0},
    {{5, 1, 1}, 1, 128},
    {{1, 7, 5}, 2, 0},
    {{48, 1, 1}, 33, 128},
};

enum { MATCH_CASES = sizeof match_cases / sizeof *match_cases };

static unseen_status run_match(us_selftest *test, int number, unseen_error *error) {
    const match_case *wanted = &match_cases[number];
    const size_t features = us_shape_size(wanted->shape), n = (size_t)wanted->n;
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    us_test_values real = {0}, values = {0};
    us_matched_codes *codes = NULL;
    unseen_status status;
    US_CHECK(us_test_values_create(test, features, wanted->n, batch, &real, error));
    US_CHECK(us_test_values_create(test, features, wanted->n, batch, &values, error));
    us_test_values_random(test, &real, 1, 0);
    US_CHECK(us_test_values_upload(&real, 3, error));
    US_CHECK(us_test_values_upload(&values, 2, error));
    US_CHECK(us_matched_codes_create(test->device, wanted->shape, batch, &codes, error));
    US_CHECK(us_matched_codes_draw(codes, real.device, values.device, wanted->n, 0.5f, SEED,
                                   SUBSTREAM, error));
    for (size_t f = 0; f < features; f++) {
        uint32_t words[4];
        us_random_words(SEED, US_STREAM_NOISE, SUBSTREAM, f, words);
        const size_t shift = (size_t)below(words[0], wanted->n);
        for (size_t j = 0; j < n; j++)
            values.host[f * n + j] = 0.5 * real.host[f * n + (j + shift) % n];
    }
    status = us_test_values_compare(test, &values, "random codes", "matched", wanted->shape, 0,
                                    1e-3, true, error);

done:
    us_matched_codes_destroy(codes);
    us_test_values_destroy(&real);
    us_test_values_destroy(&values);
    return status;
}

/* ---- images moved between batches ---- */

typedef struct lanes_case {
    const char *what;
    us_shape shape;
    int from_n, to_n; /* images that there is room for */
    int from_first, to_first, n;
    bool last;
} lanes_case;

static const lanes_case lanes_cases[] = {
    {"first", {3, 7, 5}, 17, 51, 0, 0, 17, false},
    {"middle", {3, 7, 5}, 17, 51, 0, 17, 17, false},
    {"last", {3, 7, 5}, 17, 51, 0, 34, 17, true},
    {"out of", {3, 7, 5}, 51, 17, 17, 0, 17, true},
    {"one image", {1, 1, 1}, 1, 3, 0, 1, 1, true},
    {"a number", {1, 1, 1}, 128, 384, 0, 256, 128, true},
    {"replaced", {5, 9, 7}, 33, 33, 3, 20, 9, false},
    {"none", {3, 3, 3}, 4, 4, 0, 2, 0, false},
};

enum { LANES_CASES = sizeof lanes_cases / sizeof *lanes_cases };

/* All lanes of both batches are compared, so the values have no padding of their own. */
static unseen_status run_lanes(us_selftest *test, int number, unseen_error *error) {
    const lanes_case *wanted = &lanes_cases[number];
    const size_t features = us_shape_size(wanted->shape);
    const int from_batch = us_device_pad(&test->device->facts, wanted->from_n),
              to_batch = us_device_pad(&test->device->facts, wanted->to_n);
    us_test_values from = {0}, to = {0};
    us_lanes *lanes = NULL;
    unseen_status status;
    US_CHECK(us_test_values_create(test, features, from_batch, from_batch, &from, error));
    US_CHECK(us_test_values_create(test, features, to_batch, to_batch, &to, error));
    us_test_values_random(test, &from, 1, 0);
    us_test_values_random(test, &to, 1, 0);
    US_CHECK(us_test_values_upload(&from, 0, error));
    US_CHECK(us_test_values_upload(&to, 0, error));
    US_CHECK(us_lanes_create(test->device, wanted->shape, from_batch, to_batch, &lanes, error));
    US_CHECK(us_lanes_copy(lanes,
                           &(us_lanes_args){.from = from.device,
                                            .to = to.device,
                                            .from_first = wanted->from_first,
                                            .to_first = wanted->to_first,
                                            .n = wanted->n,
                                            .last = wanted->last},
                           error));
    for (size_t f = 0; f < features; f++) {
        double *row = to.host + f * (size_t)to_batch + wanted->to_first;
        for (int i = 0; i < wanted->n; i++)
            row[i] = from.host[f * (size_t)from_batch + (size_t)(wanted->from_first + i)];
        for (int i = wanted->n; wanted->last && i < to_batch - wanted->to_first; i++)
            row[i] = 0;
    }
    status = us_test_values_compare(test, &to, "lanes", wanted->what, wanted->shape, 0, 1e-3, false,
                                    error);

done:
    us_lanes_destroy(lanes);
    us_test_values_destroy(&from);
    us_test_values_destroy(&to);
    return status;
}

const us_selftest_group us_selftest_lanes = {"lanes", LANES_CASES, run_lanes};
const us_selftest_group us_selftest_corruptions = {"corruption", CORRUPTION_CASES, run_corruption};
const us_selftest_group us_selftest_matches = {"matched codes", MATCH_CASES, run_match};
