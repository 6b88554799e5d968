/* SPDX-License-Identifier: MIT */
/* Images varied at random, against the host: engine/ops/augmentation.h says what is done and which
 * random numbers decide it. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "ops/augmentation.h"
#include "selftest/selftest.h"

static const uint64_t AUGMENTATION_SEED = 0x123456789abcdef0ULL;
enum { AUGMENTATION_SUBSTREAM = 9 };

#define AS_IT_IS .zoom = {1, 1}

typedef struct augmentation_case {
    const char *what;
    us_augmentation_settings settings[3];
    int count;
    us_shape shape;
    int n, room;
} augmentation_case;

static const augmentation_case augmentation_cases[] = {
    {"flips", {{AS_IT_IS, .flip = 0.5}}, 1, {3, 7, 5}, 17, 0},
    {"shifts", {{AS_IT_IS, .shift = 0.4}}, 1, {3, 7, 5}, 33, 128},
    {"shifts of a least length",
     {{AS_IT_IS, .shift = 0.4, .least_shift = 0.2}},
     1,
     {1, 9, 11},
     17,
     0},
    {"quarter turns", {{AS_IT_IS, .quarter_turns = 0.8, .flip = 0.5}}, 1, {5, 7, 7}, 33, 0},
    {"upside down", {{AS_IT_IS, .quarter_turns = 0.5}}, 1, {3, 7, 5}, 17, 0},
    {"rotations", {{AS_IT_IS, .rotation = 180}}, 1, {3, 13, 11}, 17, 0},
    {"zoom", {{.zoom = {0.3, 3}}}, 1, {3, 9, 8}, 17, 0},
    {"windows",
     {{.zoom = {0.5, 2}, .shift = 0.3, .rotation = 40, .quarter_turns = 0.5, .flip = 0.5}},
     1,
     {3, 12, 12},
     33,
     0},
    {"blur", {{AS_IT_IS, .blur = 2}}, 1, {3, 7, 5}, 17, 0},
    {"brightness and contrast",
     {{AS_IT_IS, .colour = 0.7, .brightness = 0.4, .contrast = 0.9}},
     1,
     {1, 7, 5},
     33,
     0},
    {"colours",
     {{AS_IT_IS, .colour = 0.8, .brightness = 0.4, .contrast = 0.4, .saturation = 1, .hue = 0.5,
       .grey = 0.2}},
     1,
     {3, 7, 5},
     33,
     128},
    {"noise", {{AS_IT_IS, .noise = 0.3}}, 1, {3, 7, 5}, 17, 0},
    {"cut-outs", {{AS_IT_IS, .cutout = 0.9}}, 1, {3, 16, 13}, 33, 0},
    {"everything",
     {{.flip = 0.5,
       .quarter_turns = 0.3,
       .rotation = 20,
       .zoom = {0.8, 1.4},
       .shift = 0.2,
       .blur = 1,
       .colour = 0.8,
       .brightness = 0.4,
       .contrast = 0.4,
       .saturation = 0.4,
       .hue = 0.1,
       .grey = 0.2,
       .noise = 0.1,
       .cutout = 0.5}},
     1,
     {3, 10, 9},
     17,
     0},
    {"one of three",
     {{AS_IT_IS, .noise = 0.3}, {AS_IT_IS, .cutout = 0.9}, {.zoom = {2, 3}, .blur = 1}},
     3,
     {5, 9, 19},
     33,
     0},
    {"one pixel",
     {{.zoom = {0.5, 2}, .shift = 0.5, .rotation = 30, .blur = 1, .noise = 0.1}},
     1,
     {1, 1, 1},
     1,
     0},
};

enum { AUGMENTATION_CASES = sizeof augmentation_cases / sizeof *augmentation_cases };

/* An image [channel][height][width], what is drawn for it, and a place for the next. */
typedef struct image {
    const augmentation_case *wanted;
    const us_augmentation_settings *settings;
    us_shape shape;
    int number;
    uint32_t w[20];
    double *values, *next;
} image;

static int below(uint32_t word, int count) {
    return (int)((uint64_t)word * (uint64_t)count >> 32);
}

static double unit(uint32_t word) {
    return (double)(word >> 8) / 16777216;
}

static double either_way(uint32_t word) {
    return 2 * unit(word) - 1;
}

static double between(uint32_t word, double least, double most) {
    return copysign(least + fabs(either_way(word)) * (most - least), either_way(word));
}

static void swap(image *i) {
    double *values = i->values;
    i->values = i->next;
    i->next = values;
}

static double value(const image *i, int c, int y, int x) {
    return i->values[(c * i->shape.height + y) * i->shape.width + x];
}

static int mirrored(int i, int size) {
    while (size > 1 && (i < 0 || i >= size))
        i = i < 0 ? -i : 2 * (size - 1) - i;
    return size > 1 ? i : 0;
}

/* ---- the window ---- */

static double whole_steps(uint32_t word, int least, int most) {
    if (least == 0) return below(word, 2 * most + 1) - most;
    const int d = below(word, 2 * (most - least + 1)), size = least + d / 2;
    return d % 2 ? -size : size;
}

static double offset(const image *i, uint32_t word, bool whole, double share, int size) {
    const us_augmentation_settings *s = i->settings;
    if (whole)
        return whole_steps(word, (int)lround(s->least_shift * size), (int)lround(s->shift * size));
    return between(word, s->least_shift * size, (s->shift + fmax(0, 1 - share) / 2) * size);
}

/* Bilinear, of the image and its mirror images. */
static double look(const image *i, int c, double y, double x) {
    const int low_y = (int)floor(y), low_x = (int)floor(x);
    double sum = 0;
    for (int a = low_y; a <= low_y + 1; a++)
        for (int b = low_x; b <= low_x + 1; b++)
            sum += (1 - fabs(y - a)) * (1 - fabs(x - b)) *
                   value(i, c, mirrored(a, i->shape.height), mirrored(b, i->shape.width));
    return sum;
}

static void mirror(image *i) {
    if (unit(i->w[1]) >= i->settings->flip) return;
    const us_shape shape = i->shape;
    for (int k = 0; k < shape.channels * shape.height; k++)
        for (int x = 0; x < shape.width; x++)
            i->next[k * shape.width + x] = i->values[k * shape.width + shape.width - 1 - x];
    swap(i);
}

static void move_window(image *i) {
    const us_augmentation_settings *s = i->settings;
    const us_shape shape = i->shape;
    const double pi = acos(-1), tilt = between(i->w[4], s->least_rotation, s->rotation) * pi / 180;
    const double share = 1 / s->zoom[1] + unit(i->w[5]) * (1 / s->zoom[0] - 1 / s->zoom[1]);
    const bool whole = share == 1 && tilt == 0;
    const double down = offset(i, i->w[6], whole, share, shape.height);
    const double right = offset(i, i->w[7], whole, share, shape.width);
    int quarters = 0;
    if (unit(i->w[2]) < s->quarter_turns)
        quarters = shape.height == shape.width ? 1 + below(i->w[3], 3) : 2;
    const double angle = tilt + quarters * pi / 2, c = cos(angle), si = sin(angle);
    const double middle_y = (shape.height - 1) / 2.0, middle_x = (shape.width - 1) / 2.0;
    for (int k = 0, at = 0; k < shape.channels; k++)
        for (int y = 0; y < shape.height; y++)
            for (int x = 0; x < shape.width; x++, at++) {
                const double dy = y - middle_y, dx = x - middle_x;
                i->next[at] = look(i, k, middle_y + down + share * (c * dy + si * dx),
                                   middle_x + right + share * (c * dx - si * dy));
            }
    swap(i);
}

/* ---- the rest ---- */

static void blur_along(image *i, double deviation, int radius, int down, int right) {
    const us_shape shape = i->shape;
    for (int c = 0, at = 0; c < shape.channels; c++)
        for (int y = 0; y < shape.height; y++)
            for (int x = 0; x < shape.width; x++, at++) {
                double sum = 0, weights = 0;
                for (int d = -radius; d <= radius; d++) {
                    const double weight = exp(-d * d / (2 * deviation * deviation));
                    sum += weight * value(i, c, mirrored(y + d * down, shape.height),
                                          mirrored(x + d * right, shape.width));
                    weights += weight;
                }
                i->next[at] = sum / weights;
            }
    swap(i);
}

static void blur(image *i) {
    double most = 0;
    for (int a = 0; a < i->wanted->count; a++)
        most = fmax(most, i->wanted->settings[a].blur);
    const double deviation = unit(i->w[14]) * i->settings->blur;
    if (deviation < 0.05) return;
    blur_along(i, deviation, (int)ceil(3 * most), 0, 1);
    blur_along(i, deviation, (int)ceil(3 * most), 1, 0);
}

static double within_range(double v) {
    return fmin(fmax(v, -1), 1);
}

/* To YIQ and back, of which both matrices are the standard's, rounded. */
static void change_colour(const image *i, double amount, double rgb[3]) {
    const us_augmentation_settings *s = i->settings;
    const double angle = amount * either_way(i->w[12]) * s->hue * 2 * acos(-1);
    double saturation = 1 + amount * either_way(i->w[11]) * s->saturation;
    if (unit(i->w[13]) < s->grey) saturation = 0;
    const double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    const double in_phase = 0.595716 * rgb[0] - 0.274453 * rgb[1] - 0.321263 * rgb[2];
    const double quadrature = 0.211456 * rgb[0] - 0.522591 * rgb[1] + 0.311135 * rgb[2];
    const double a = saturation * (cos(angle) * in_phase - sin(angle) * quadrature);
    const double b = saturation * (sin(angle) * in_phase + cos(angle) * quadrature);
    rgb[0] = luma + 0.956296 * a + 0.621024 * b;
    rgb[1] = luma - 0.272122 * a - 0.647381 * b;
    rgb[2] = luma - 1.106989 * a + 1.704615 * b;
}

static void colour(image *i) {
    const us_augmentation_settings *s = i->settings;
    const us_shape shape = i->shape;
    const int plane = shape.height * shape.width;
    const double amount = unit(i->w[8]) < s->colour;
    const double brightness = 1 + amount * either_way(i->w[9]) * s->brightness;
    const double contrast = 1 + amount * either_way(i->w[10]) * s->contrast;
    for (int p = 0; p < plane; p++) {
        double v[8];
        for (int c = 0; c < shape.channels; c++) {
            const double bright = (i->values[c * plane + p] + 1) / 2 * brightness;
            v[c] = 2 * ((bright - 0.5) * contrast + 0.5) - 1;
        }
        if (shape.channels == 3) change_colour(i, amount, v);
        for (int c = 0; c < shape.channels; c++)
            i->values[c * plane + p] = within_range(v[c]);
    }
}

static void add_noise(image *i) {
    const size_t size = us_shape_size(i->shape);
    for (size_t v = 0; v < size; v++) {
        const uint64_t index = (UINT64_C(1) << 63) + ((uint64_t)US_AUGMENT_OTHER_VIEW << 48) +
                               (uint64_t)i->number * size + v;
        const double normal = (double)us_random_normal(AUGMENTATION_SEED, US_STREAM_AUGMENTATION,
                                                       AUGMENTATION_SUBSTREAM, index);
        i->values[v] =
            within_range(i->values[v] + 2 * unit(i->w[15]) * i->settings->noise * normal);
    }
}

static void cut_out(image *i) {
    const us_shape shape = i->shape;
    const double height = unit(i->w[16]) * i->settings->cutout * shape.height;
    const double width = unit(i->w[17]) * i->settings->cutout * shape.width;
    for (int c = 0, at = 0; c < shape.channels; c++)
        for (int y = 0; y < shape.height; y++)
            for (int x = 0; x < shape.width; x++, at++)
                if (fabs(y + 0.5 - unit(i->w[18]) * shape.height) < height / 2 &&
                    fabs(x + 0.5 - unit(i->w[19]) * shape.width) < width / 2)
                    i->values[at] = 0;
}

/* ---- a batch ---- */

static void draw(image *i) {
    const uint64_t first = ((uint64_t)US_AUGMENT_OTHER_VIEW << 48) + 8 * (uint64_t)i->number;
    for (uint64_t k = 0; k < 5; k++)
        us_random_words(AUGMENTATION_SEED, US_STREAM_AUGMENTATION, AUGMENTATION_SUBSTREAM,
                        first + k, i->w + 4 * k);
    i->settings = &i->wanted->settings[below(i->w[0], i->wanted->count)];
}

static void expect_augmented(const augmentation_case *wanted, const double *x, double *out,
                             double *room) {
    const size_t size = us_shape_size(wanted->shape), n = (size_t)wanted->n;
    image i = {.wanted = wanted, .shape = wanted->shape, .values = room, .next = room + size};
    bool coloured = false;
    for (int a = 0; a < wanted->count; a++)
        coloured = coloured || wanted->settings[a].colour > 0 || wanted->settings[a].grey > 0;
    for (size_t j = 0; j < n; j++) {
        i.number = (int)j;
        for (size_t v = 0; v < size; v++)
            i.values[v] = x[v * n + j];
        draw(&i);
        mirror(&i);
        move_window(&i);
        blur(&i);
        if (coloured) colour(&i);
        if (i.settings->noise > 0) add_noise(&i);
        cut_out(&i);
        for (size_t v = 0; v < size; v++)
            out[v * n + j] = i.values[v];
    }
}

static unseen_status run_augmentation(us_selftest *test, int number, unseen_error *error) {
    const augmentation_case *wanted = &augmentation_cases[number];
    const size_t size = us_shape_size(wanted->shape);
    const int batch =
        us_device_pad(&test->device->facts, wanted->room > wanted->n ? wanted->room : wanted->n);
    us_test_values x = {0}, out = {0};
    us_augmentation *augmentation = NULL;
    unseen_status status = UNSEEN_OK;
    double *room = malloc(2 * size * sizeof *room);
    if (!room) return us_fail_memory(error, "the self-test");
    US_CHECK(us_test_values_create(test, size, wanted->n, batch, &x, error));
    US_CHECK(us_test_values_create(test, size, wanted->n, batch, &out, error));
    us_test_values_random(test, &x, 0.4, 0);
    for (size_t v = 0; v < size * (size_t)wanted->n; v++)
        x.host[v] = within_range(x.host[v]);
    US_CHECK(us_test_values_upload(&x, 3, error));
    US_CHECK(us_test_values_upload(&out, 2, error));
    US_CHECK(us_augmentation_create(test->device, wanted->settings, wanted->count, wanted->shape,
                                    batch, &augmentation, error));
    const us_augmentation_args args = {.x = x.device,
                                       .out = out.device,
                                       .n = wanted->n,
                                       .seed = AUGMENTATION_SEED,
                                       .substream = AUGMENTATION_SUBSTREAM,
                                       .purpose = US_AUGMENT_OTHER_VIEW};
    US_CHECK(us_augmentation_run(augmentation, &args, error));
    expect_augmented(wanted, x.host, out.host, room);
    status = us_test_values_compare(test, &out, "augmentation", wanted->what, wanted->shape, 3e-5,
                                    1, true, error);

done:
    us_augmentation_destroy(augmentation);
    us_test_values_destroy(&x);
    us_test_values_destroy(&out);
    free(room);
    return status;
}

const us_selftest_group us_selftest_augmentations = {"augmentation", AUGMENTATION_CASES,
                                                     run_augmentation};
