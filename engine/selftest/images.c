/* SPDX-License-Identifier: MIT */
/* Batches of images, scores and random codes against the host. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ops/image_batch.h"
#include "ops/pixel_score.h"
#include "ops/random_codes.h"
#include "selftest/reference.h"
#include "selftest/selftest.h"

/* ---- batches of images ---- */

typedef struct image_case {
    const char *what;
    bool is_float, select, shuffle;
    int count, height, width, channels; /* of the source */
    us_shape shape;
    int n, room;
    int parts;            /* that the source must be cut into; 0: as the device likes */
    us_image_place place; /* as if the device did not share the host's memory; IN_PLACE: as it is */
    us_fit fit;
    bool planar, clip;
} image_case;

static const image_case image_cases[] = {
    {.what = "bytes",
     .count = 40,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 17},
    {.what = "bytes, shuffled",
     .shuffle = true,
     .count = 40,
     .height = 64,
     .width = 64,
     .channels = 3,
     .shape = {3, 64, 64},
     .n = 33},
    {.what = "floats",
     .is_float = true,
     .shuffle = true,
     .count = 40,
     .height = 7,
     .width = 5,
     .channels = 1,
     .shape = {1, 7, 5},
     .n = 17,
     .room = 128},
    {.what = "selected",
     .select = true,
     .shuffle = true,
     .count = 60,
     .height = 9,
     .width = 33,
     .channels = 1,
     .shape = {1, 9, 33},
     .n = 5},
    {.what = "enlarged",
     .shuffle = true,
     .count = 20,
     .height = 7,
     .width = 5,
     .channels = 1,
     .shape = {3, 16, 12},
     .n = 17},
    {.what = "made smaller",
     .is_float = true,
     .select = true,
     .shuffle = true,
     .count = 20,
     .height = 16,
     .width = 12,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 3},
    {.what = "RGB to grey",
     .shuffle = true,
     .count = 20,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {1, 7, 5},
     .n = 17},
    {.what = "many channels",
     .shuffle = true,
     .count = 40,
     .height = 3,
     .width = 5,
     .channels = 5,
     .shape = {5, 3, 5},
     .n = 1},
    {.what = "one pixel",
     .shuffle = true,
     .count = 3,
     .height = 1,
     .width = 1,
     .channels = 1,
     .shape = {1, 1, 1},
     .n = 1},
    {.what = "in parts",
     .shuffle = true,
     .count = 900,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 33,
     .parts = 4},
    {.what = "float parts",
     .is_float = true,
     .select = true,
     .shuffle = true,
     .count = 900,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 33,
     .parts = 3},
    {.what = "resident",
     .shuffle = true,
     .count = 200,
     .height = 64,
     .width = 64,
     .channels = 3,
     .shape = {3, 64, 64},
     .n = 128,
     .place = US_IMAGES_RESIDENT},
    {.what = "resident in parts",
     .count = 900,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 33,
     .parts = 4,
     .place = US_IMAGES_RESIDENT},
    {.what = "streamed",
     .select = true,
     .shuffle = true,
     .count = 40000,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 33,
     .place = US_IMAGES_STREAMED},
    {.what = "streamed, shuffled",
     .shuffle = true,
     .count = 700,
     .height = 64,
     .width = 64,
     .channels = 3,
     .shape = {3, 64, 64},
     .n = 500,
     .place = US_IMAGES_STREAMED},
    {.what = "padded",
     .shuffle = true,
     .count = 20,
     .height = 7,
     .width = 5,
     .channels = 1,
     .shape = {3, 16, 12},
     .n = 17,
     .fit = US_FIT_PAD},
    {.what = "cut",
     .is_float = true,
     .select = true,
     .shuffle = true,
     .count = 20,
     .height = 16,
     .width = 6,
     .channels = 3,
     .shape = {3, 7, 9},
     .n = 3,
     .fit = US_FIT_PAD},
    {.what = "cropped to the middle of rows",
     .shuffle = true,
     .count = 20,
     .height = 7,
     .width = 18,
     .channels = 3,
     .shape = {3, 9, 11},
     .n = 17,
     .fit = US_FIT_CROP},
    {.what = "cropped to the middle of columns",
     .is_float = true,
     .count = 20,
     .height = 31,
     .width = 5,
     .channels = 1,
     .shape = {1, 7, 5},
     .n = 1,
     .fit = US_FIT_CROP},
    {.what = "planes",
     .shuffle = true,
     .count = 40,
     .height = 64,
     .width = 64,
     .channels = 3,
     .shape = {3, 64, 64},
     .n = 33,
     .planar = true},
    {.what = "planes to grey",
     .shuffle = true,
     .count = 20,
     .height = 16,
     .width = 12,
     .channels = 3,
     .shape = {1, 7, 5},
     .n = 17,
     .planar = true},
    {.what = "float planes in parts",
     .is_float = true,
     .select = true,
     .count = 900,
     .height = 7,
     .width = 5,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 33,
     .parts = 3,
     .planar = true,
     .clip = true},
    {.what = "clipped",
     .is_float = true,
     .count = 20,
     .height = 16,
     .width = 12,
     .channels = 3,
     .shape = {3, 7, 5},
     .n = 17,
     .clip = true},
};

enum { IMAGE_CASES = sizeof image_cases / sizeof *image_cases, EPOCH = 2 };
static const uint64_t IMAGE_SEED = 0x123456789abcdefULL;

static double stored(const image_case *wanted, const void *pixels, uint32_t image, int y, int x,
                     int c) {
    const size_t width = (size_t)wanted->width, channels = (size_t)wanted->channels;
    const size_t plane = (size_t)wanted->height * width, pixel = (size_t)y * width + (size_t)x;
    const size_t i = (size_t)image * plane * channels +
                     (wanted->planar ? (size_t)c * plane + pixel : pixel * channels + (size_t)c);
    const double value = wanted->is_float ? (double)((const float *)pixels)[i]
                                          : (double)((const unsigned char *)pixels)[i];
    return wanted->clip ? fmin(fmax(value, 0), 1) : value;
}

static double in_channel(const image_case *wanted, const void *pixels, uint32_t image, int y, int x,
                         int c) {
    if (wanted->channels == wanted->shape.channels) return stored(wanted, pixels, image, y, x, c);
    if (wanted->channels == 1) return stored(wanted, pixels, image, y, x, 0);
    return 0.299 * stored(wanted, pixels, image, y, x, 0) +
           0.587 * stored(wanted, pixels, image, y, x, 1) +
           0.114 * stored(wanted, pixels, image, y, x, 2);
}

/* Where i of `size` pixels lies among the `used` ones in the middle of `from` pixels: the pixel
 * before and how far beyond it. */
static int place(int i, int size, int from, double used, double *beyond) {
    const double position = fmax((from - used) / 2 + (i + 0.5) * used / size - 0.5, 0);
    *beyond = position - floor(position);
    return (int)position;
}

static double resized(const image_case *wanted, const void *pixels, uint32_t image, int y, int x,
                      int c) {
    double down, right, rows = wanted->height, columns = wanted->width;
    if (wanted->fit == US_FIT_CROP) {
        const double ratio = fmin(rows / wanted->shape.height, columns / wanted->shape.width);
        rows = ratio * wanted->shape.height;
        columns = ratio * wanted->shape.width;
    }
    const int y0 = place(y, wanted->shape.height, wanted->height, rows, &down);
    const int x0 = place(x, wanted->shape.width, wanted->width, columns, &right);
    const int y1 = y0 + 1 < wanted->height ? y0 + 1 : y0;
    const int x1 = x0 + 1 < wanted->width ? x0 + 1 : x0;
    const double top = (1 - right) * in_channel(wanted, pixels, image, y0, x0, c) +
                       right * in_channel(wanted, pixels, image, y0, x1, c);
    const double low = (1 - right) * in_channel(wanted, pixels, image, y1, x0, c) +
                       right * in_channel(wanted, pixels, image, y1, x1, c);
    return (1 - down) * top + down * low;
}

static double padded(const image_case *wanted, const us_image_source *source, uint32_t image, int y,
                     int x, int c) {
    y -= (wanted->shape.height - wanted->height) / 2;
    x -= (wanted->shape.width - wanted->width) / 2;
    if (y < 0 || y >= wanted->height || x < 0 || x >= wanted->width) return source->black;
    return in_channel(wanted, source->pixels, image, y, x, c);
}

static void expect_images(const image_case *wanted, const us_image_source *source,
                          const uint32_t *selection, int64_t selected, int64_t first,
                          us_test_values *values) {
    const us_shape shape = wanted->shape;
    for (int j = 0; j < wanted->n; j++) {
        uint32_t index = (uint32_t)(first + j);
        if (wanted->shuffle)
            index =
                us_random_permute(IMAGE_SEED, US_STREAM_SHUFFLE, EPOCH, (uint32_t)selected, index);
        if (selection) index = selection[index];
        for (int c = 0; c < shape.channels; c++)
            for (int y = 0; y < shape.height; y++)
                for (int x = 0; x < shape.width; x++) {
                    const double v = wanted->fit == US_FIT_PAD
                                         ? padded(wanted, source, index, y, x, c)
                                         : resized(wanted, source->pixels, index, y, x, c);
                    const int row = (c * shape.height + y) * shape.width + x;
                    values->host[row * wanted->n + j] =
                        2 * (v - source->black) / (source->white - source->black) - 1;
                }
    }
}

/* Numbers that look like no regular pattern. */
static void *make_pixels(const image_case *wanted, size_t count) {
    if (wanted->is_float) {
        float *floats = malloc(count * sizeof *floats);
        for (size_t i = 0; floats && i < count; i++)
            floats[i] = (float)(i * 7919 % 1009) / (wanted->clip ? 900 : 1008);
        return floats;
    }
    unsigned char *bytes = malloc(count);
    for (size_t i = 0; bytes && i < count; i++)
        bytes[i] = (unsigned char)(i * 7919 % 1009);
    return bytes;
}

/* Changes the device's facts for one store, as the case wants. */
static unseen_status create_store(us_selftest *test, const image_case *wanted,
                                  const us_image_source *source, us_image_store **store,
                                  unseen_error *error) {
    us_device_facts *facts = &test->device->facts;
    const us_device_facts before = *facts;
    const size_t pixel = wanted->is_float ? sizeof(float) : 1;
    const uint64_t image =
        (uint64_t)wanted->height * (uint64_t)wanted->width * (uint64_t)wanted->channels * pixel;
    const uint64_t total = image * (uint64_t)wanted->count;
    if (wanted->parts)
        facts->largest_allocation_bytes =
            image * (uint64_t)((wanted->count + wanted->parts - 1) / wanted->parts);
    if (wanted->place != US_IMAGES_IN_PLACE) facts->is_cpu = false;
    if (wanted->place == US_IMAGES_STREAMED)
        facts->memory_bytes = test->device->allocated_bytes + total;
    unseen_status status = us_image_store_create(test->device, source, store, error);
    *facts = before;
    return status;
}

static unseen_status check_images(us_selftest *test, const image_case *wanted,
                                  const us_image_source *source, const uint32_t *selection,
                                  int64_t selected, us_test_values *values, unseen_error *error) {
    us_image_store *store;
    us_image_loader *loader;
    US_TRY(create_store(test, wanted, source, &store, error));
    unseen_status status = us_image_loader_create(store, selection, selected, wanted->shape,
                                                  values->batch, &loader, error);
    const us_image_batch_args args = {
        .out = values->device,
        .first = selected - wanted->n,
        .n = wanted->n,
        .shuffle = wanted->shuffle,
        .seed = IMAGE_SEED,
        .epoch = EPOCH,
    };
    if (status == UNSEEN_OK) status = us_image_batch_load(loader, &args, error);
    expect_images(wanted, source, selection, selected, args.first, values);
    if (status == UNSEEN_OK)
        status = us_test_values_compare(test, values, "image batch", wanted->what, wanted->shape,
                                        1e-5, 1, true, error);
    us_image_loader_destroy(loader);
    us_image_store_destroy(store);
    return status;
}

static unseen_status run_images(us_selftest *test, int number, unseen_error *error) {
    const image_case *wanted = &image_cases[number];
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    const size_t values_each =
        (size_t)wanted->height * (size_t)wanted->width * (size_t)wanted->channels;
    us_image_source source = {
        .pixels = make_pixels(wanted, values_each * (size_t)wanted->count),
        .is_float = wanted->is_float,
        .planar = wanted->planar,
        .clip = wanted->clip,
        .count = wanted->count,
        .height = wanted->height,
        .width = wanted->width,
        .channels = wanted->channels,
        .black = 0,
        .white = wanted->is_float ? 1 : 255,
        .fit = wanted->fit,
    };
    /* Every image but the first, backwards. */
    const int64_t selected = wanted->select ? wanted->count - 1 : wanted->count;
    uint32_t *selection = calloc((size_t)wanted->count, sizeof *selection);
    us_test_values values = {0};
    unseen_status status = us_fail_memory(error, "the self-test");
    if (source.pixels && selection)
        status = us_test_values_create(test, us_shape_size(wanted->shape), wanted->n, batch,
                                       &values, error);
    for (int64_t i = 0; selection && i < selected; i++)
        selection[i] = (uint32_t)(wanted->count - 1 - i);
    if (status == UNSEEN_OK)
        status = check_images(test, wanted, &source, wanted->select ? selection : NULL, selected,
                              &values, error);
    us_test_values_destroy(&values);
    free(selection);
    free((void *)(uintptr_t)source.pixels);
    return status;
}

/* ---- scores ---- */

typedef struct score_case {
    const char *what;
    us_pixel_score_kind kind;
    int top_k;
    us_shape shape;
    int n;
} score_case;

static const score_case score_cases[] = {
    {"root of the sum", US_PIXEL_SCORE_ROOT_SUM, 0, {3, 7, 5}, 17},
    {"mean", US_PIXEL_SCORE_MEAN, 0, {5, 33, 31}, 1},
    {"maximum", US_PIXEL_SCORE_MAXIMUM, 0, {3, 7, 5}, 17},
    {"largest", US_PIXEL_SCORE_TOP_K, 5, {3, 7, 5}, 17},
    {"largest", US_PIXEL_SCORE_TOP_K, 100, {1, 33, 31}, 33},
    {"sum", US_PIXEL_SCORE_SUM, 0, {3, 7, 5}, 17},
    {"sum", US_PIXEL_SCORE_SUM, 0, {1, 1, 1}, 1},
    {"relative", US_PIXEL_SCORE_RELATIVE, 0, {3, 7, 5}, 17},
    {"relative", US_PIXEL_SCORE_RELATIVE, 0, {1, 1, 1}, 1},
    {"relative", US_PIXEL_SCORE_RELATIVE, 0, {5, 33, 31}, 33},
    {"largest of too few", US_PIXEL_SCORE_TOP_K, 9, {1, 1, 1}, 1},
};

enum { SCORE_CASES = sizeof score_cases / sizeof *score_cases };

static unseen_status check_score(us_selftest *test, const score_case *wanted,
                                 us_test_values values[3], us_pixel_score **score,
                                 unseen_error *error) {
    const us_shape shape = wanted->shape;
    const int batch = us_device_pad(&test->device->facts, wanted->n);
    for (int i = 0; i < 3; i++)
        US_TRY(us_test_values_create(test, i < 2 ? us_shape_size(shape) : 1, wanted->n, batch,
                                     &values[i], error));
    us_test_values_random(test, &values[0], 1, 0);
    us_test_values_random(test, &values[1], 1, 0);
    /* Equal errors must be told apart by number alone. */
    for (int j = 0; j < wanted->n; j++)
        for (size_t i = 0; i < values[0].rows; i += 3)
            values[0].host[i * (size_t)wanted->n + (size_t)j] =
                values[1].host[i * (size_t)wanted->n + (size_t)j] + 2;
    US_TRY(us_test_values_upload(&values[0], 1, error));
    US_TRY(us_test_values_upload(&values[1], 2, error));
    US_TRY(us_pixel_score_create(test->device, wanted->kind, wanted->top_k, shape, batch, score,
                                 error));
    US_TRY(us_pixel_score_run(*score, values[0].device, values[1].device, NULL, values[2].device,
                              error));
    double *errors = calloc((size_t)shape.height * (size_t)shape.width, sizeof *errors);
    if (!errors) return us_fail_memory(error, "the self-test");
    us_reference_pixel_score(wanted->kind, wanted->top_k, shape, wanted->n, values[0].host,
                             values[1].host, values[2].host, errors);
    free(errors);
    return us_test_values_compare(test, &values[2], "pixel score", wanted->what, shape, 1e-5, 1e-3,
                                  false, error);
}

static unseen_status run_score(us_selftest *test, int number, unseen_error *error) {
    const score_case *wanted = &score_cases[number];
    us_test_values values[3] = {{0}};
    us_pixel_score *score = NULL;
    unseen_status status = check_score(test, wanted, values, &score, error);
    us_pixel_score_destroy(score);
    for (int i = 0; i < 3; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

/* ---- random codes ---- */

typedef struct code_case {
    const char *what;
    us_distribution distribution;
    us_shape shape;
    int n, room;
    bool added; /* to other values, as noise on images is */
} code_case;

static const code_case code_cases[] = {
    {"normal", US_DISTRIBUTION_NORMAL, {3, 7, 5}, 17, 0, false},
    {"rectified normal", US_DISTRIBUTION_RECTIFIED_NORMAL, {5, 1, 1}, 1, 128, false},
    {"uniform", US_DISTRIBUTION_UNIFORM, {1, 7, 5}, 33, 0, false},
    {"normal, added", US_DISTRIBUTION_NORMAL, {3, 7, 5}, 17, 128, true},
};

enum { CODE_CASES = sizeof code_cases / sizeof *code_cases };

static unseen_status run_codes(us_selftest *test, int number, unseen_error *error) {
    const code_case *wanted = &code_cases[number];
    const size_t features = us_shape_size(wanted->shape);
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    const float scale = 1.5f;
    const uint32_t substream = 7;
    us_random_codes *codes = NULL;
    us_test_values values = {0}, base = {0};
    unseen_status status;
    US_CHECK(us_test_values_create(test, features, wanted->n, batch, &values, error));
    US_CHECK(us_test_values_create(test, features, wanted->n, batch, &base, error));
    if (wanted->added) us_test_values_random(test, &base, 1, 0.5);
    US_CHECK(us_test_values_upload(&base, 3, error));
    US_CHECK(us_random_codes_create(test->device, wanted->distribution, wanted->shape, batch,
                                    &codes, error));
    US_CHECK(us_random_codes_draw(codes, wanted->added ? base.device : NULL, values.device,
                                  wanted->n, scale, IMAGE_SEED, substream, error));
    for (size_t f = 0; f < features; f++)
        for (size_t j = 0; j < (size_t)wanted->n; j++) {
            const uint64_t index = j * features + f;
            double v = (double)us_random_normal(IMAGE_SEED, US_STREAM_NOISE, substream, index);
            if (wanted->distribution == US_DISTRIBUTION_RECTIFIED_NORMAL) v = fmax(v, 0);
            if (wanted->distribution == US_DISTRIBUTION_UNIFORM)
                v = 2 * (double)us_random_uniform(IMAGE_SEED, US_STREAM_NOISE, substream, index) -
                    1;
            const size_t i = f * (size_t)wanted->n + j;
            values.host[i] = base.host[i] + (double)scale * v;
        }
    status = us_test_values_compare(test, &values, "random codes", wanted->what, wanted->shape,
                                    1e-5, 1e-3, true, error);

done:
    us_random_codes_destroy(codes);
    us_test_values_destroy(&values);
    us_test_values_destroy(&base);
    return status;
}

const us_selftest_group us_selftest_images = {"image batch", IMAGE_CASES, run_images};
const us_selftest_group us_selftest_pixel_scores = {"pixel score", SCORE_CASES, run_score};
const us_selftest_group us_selftest_random_codes = {"random codes", CODE_CASES, run_codes};
