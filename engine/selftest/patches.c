/* SPDX-License-Identifier: MIT */
/* Patches of normalised images, step by step as engine/ops/patches.h says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/patches.h"
#include "selftest/selftest.h"

typedef struct patch_case {
    us_shape image;
    int n;
    us_patch_settings settings;
    int scale;
} patch_case;

static const patch_case cases[] = {
    {{1, 16, 16}, 17, {true, 5, 4, 2, 1, 1, false}, 0},
    {{3, 7, 5}, 5, {true, 3, 3, 2, 2, 1, false}, 1},
    {{1, 1, 1}, 1, {false, 3, 2, 1, 1, 1, false}, 0},
    {{5, 9, 8}, 1, {false, 0, 2, 4, 3, 1, false}, 2},
    {{3, 12, 9}, 33, {true, 17, 8, 3, 1, 3, false}, 0},
    {{1, 33, 20}, 17, {true, 0, 5, 1, 1, 2, false}, 0},
    {{1, 32, 32}, 17, {true, 0, 5, 8, 3, 1, true}, 0},
    {{3, 7, 5}, 5, {true, 0, 2, 4, 3, 1, true}, 0},
    {{1, 1, 1}, 1, {false, 0, 3, 1, 1, 1, true}, 0},
    {{5, 9, 13}, 33, {false, 0, 3, 2, 2, 1, true}, 0},
};
enum { CASES = sizeof cases / sizeof *cases };

static int mirrored(int i, int size) {
    while (size > 1 && (i < 0 || i >= size))
        i = i < 0 ? -i : 2 * (size - 1) - i;
    return size == 1 ? 0 : i;
}

/* Intensities of an image, or what the logarithm makes of them. */
static void take_logarithms(const patch_case *wanted, double *image) {
    const int values = (int)us_shape_size(wanted->image);
    double mean = 0;
    for (int i = 0; i < values; i++) {
        image[i] = fmax(0, (image[i] + 1) / 2);
        mean += image[i] / values;
    }
    for (int i = 0; i < values && wanted->settings.logarithm; i++)
        image[i] = log(image[i] / (mean + 1e-6) + 0.1);
}

/* One image after that, [channels][height][width]; room is as large. */
static void normalise(const patch_case *wanted, double *image, double *room) {
    const us_shape shape = wanted->image;
    const int values = (int)us_shape_size(shape), reach = wanted->settings.window / 2;
    const int pixels = shape.height * shape.width;
    double squares = 0;
    for (int i = 0; i < values; i++) {
        const int y = i % pixels / shape.width, x = i % shape.width, plane = i / pixels * pixels;
        double sum = 0;
        for (int v = -reach; v <= reach; v++)
            for (int u = -reach; u <= reach; u++)
                sum += image[plane + mirrored(y + v, shape.height) * shape.width +
                             mirrored(x + u, shape.width)];
        room[i] = image[i] - sum / ((2 * reach + 1) * (2 * reach + 1));
        if (wanted->settings.window == 0) room[i] = image[i];
        squares += room[i] * room[i] / values;
    }
    for (int i = 0; i < values; i++)
        image[i] = room[i] / sqrt(squares + 1e-12);
}

/* The features of an image, to every n-th place. */
static void take(const patch_case *wanted, const double *image, double *features) {
    const us_patch_settings *s = &wanted->settings;
    const us_shape shape = wanted->image, out = us_patches_shape(s, shape);
    const int side = s->side, dilation = s->dilation << wanted->scale;
    for (int f = 0; f < out.channels; f++)
        for (int i = 0; i < out.height; i++)
            for (int j = 0; j < out.width; j++) {
                const int tap = f % (side * side);
                const double middle = (s->step - 1 - (side - 1) * dilation) / 2.0;
                const int y = i * s->step + (int)floor(middle) + tap / side * dilation;
                const int x = j * s->step + (int)floor(middle) + tap % side * dilation;
                features[((f * out.height + i) * out.width + j) * wanted->n] =
                    image[(f / (side * side) * shape.height + mirrored(y, shape.height)) *
                              shape.width +
                          mirrored(x, shape.width)];
            }
}

/* A pixel of an octave: the mean of 2 x 2 of the one before, or of those there are. */
static double at_octave(const double *plane, us_shape shape, int octave, int y, int x) {
    if (octave == 0) return plane[y * shape.width + x];
    int height = shape.height, width = shape.width;
    for (int o = 1; o < octave; o++) {
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
    double sum = 0;
    int count = 0;
    for (int v = 2 * y; v < 2 * y + 2 && v < height; v++)
        for (int u = 2 * x; u < 2 * x + 2 && u < width; u++, count++)
            sum += at_octave(plane, shape, octave - 1, v, u);
    return sum / count;
}

/* A value of a cell: 0 its mean, then the energies along x and y of each octave. */
static double texture(const double *plane, const patch_case *wanted, int value, int row,
                      int column) {
    const us_shape shape = wanted->image;
    const int octave = value > 0 ? (value - 1) / 2 : 0, along_y = value > 0 && value % 2 == 0;
    const int part = wanted->settings.step >> octave;
    int height = shape.height, width = shape.width, count = 0;
    for (int o = 0; o < octave; o++) {
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
    double sum = 0;
    for (int y = row * part; y < (row + 1) * part && y < height; y++)
        for (int x = column * part; x < (column + 1) * part && x < width; x++, count++) {
            const double here = at_octave(plane, shape, octave, y, x);
            const int v = along_y && y + 1 < height ? y + 1 : y;
            const int u = !along_y && x + 1 < width ? x + 1 : x;
            const double change = at_octave(plane, shape, octave, v, u) - here;
            sum += value == 0 ? here : change * change;
        }
    return value == 0 ? sum / count : 0.5 * log(sum / count + 1e-5);
}

static void take_textures(const patch_case *wanted, const double *image, double *features) {
    const us_patch_settings *s = &wanted->settings;
    const us_shape shape = wanted->image, out = us_patches_shape(s, shape);
    const int taps = s->side * s->side, values = 1 + 2 * s->scales, reach = (s->side - 1) / 2;
    for (int f = 0; f < out.channels; f++)
        for (int i = 0; i < out.height; i++)
            for (int j = 0; j < out.width; j++) {
                const int row = i + f % taps / s->side - reach, column = j + f % s->side - reach;
                features[((f * out.height + i) * out.width + j) * wanted->n] = texture(
                    image + f / taps / values * shape.height * shape.width, wanted,
                    f / taps % values, mirrored(row, out.height), mirrored(column, out.width));
            }
}

static unseen_status expect(const patch_case *wanted, const us_test_values *images,
                            us_test_values *features, unseen_error *error) {
    const size_t values = us_shape_size(wanted->image);
    double *image = malloc(values * sizeof *image), *room = malloc(values * sizeof *room);
    unseen_status status = image && room ? UNSEEN_OK : us_fail_memory(error, "the self-test");
    for (int j = 0; status == UNSEEN_OK && j < wanted->n; j++) {
        for (size_t i = 0; i < values; i++)
            image[i] = images->host[i * (size_t)wanted->n + (size_t)j];
        take_logarithms(wanted, image);
        if (wanted->settings.textures) {
            take_textures(wanted, image, features->host + j);
            continue;
        }
        normalise(wanted, image, room);
        take(wanted, image, features->host + j);
    }
    free(image);
    free(room);
    return status;
}

static unseen_status run_case(us_selftest *test, int number, unseen_error *error) {
    const patch_case *wanted = &cases[number];
    const us_shape out = us_patches_shape(&wanted->settings, wanted->image);
    const int batch = us_device_pad(&test->device->facts, wanted->n);
    us_test_values images = {0}, features = {0};
    us_patches *patches = NULL;
    unseen_status status;
    US_CHECK(us_test_values_create(test, us_shape_size(wanted->image), wanted->n, batch, &images,
                                   error));
    US_CHECK(us_test_values_create(test, us_shape_size(out), wanted->n, batch, &features, error));
    us_test_values_random(test, &images, 0.4, 0.1);
    US_CHECK(us_test_values_upload(&images, 0, error));
    US_CHECK(
        us_patches_create(test->device, wanted->image, batch, &wanted->settings, &patches, error));
    US_CHECK(us_patches_prepare(patches, images.device, error));
    US_CHECK(us_patches_gather(patches, wanted->scale, features.device, error));
    US_CHECK(expect(wanted, &images, &features, error));
    US_CHECK(us_test_values_compare(test, &features, "patches",
                                    wanted->settings.textures    ? "textures"
                                    : wanted->settings.logarithm ? "log"
                                                                 : "plain",
                                    wanted->image, 2e-5, 1e-2, false, error));
done:
    us_patches_destroy(patches);
    us_test_values_destroy(&images);
    us_test_values_destroy(&features);
    return status;
}

const us_selftest_group us_selftest_patches = {"patches", CASES, run_case};
