/* SPDX-License-Identifier: MIT */
/* Defects drawn into images, against the host: engine/ops/defects.h word for word, in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "ops/defects.h"
#include "selftest/selftest.h"

static const uint64_t SEED = 0x0123456789abcdefULL;
enum { SUBSTREAM = 7, SLOTS = US_DEFECTS_AN_IMAGE, POINTS = US_DEFECT_BOUNDARY };

static const double PI = 3.14159265358979323846;

typedef enum outline { RECTANGLE, ELLIPSE, RAGGED } outline;

#define EVERY                                                                                      \
    { 1, 1, 1, 1, 1, 1, 1 }

typedef struct defect_case {
    const char *what;
    us_shape shape;
    int n, room;
    us_defects_settings settings;
} defect_case;

#define ONLY(kind, most)                                                                           \
    {                                                                                              \
        .shares = {[US_DEFECT_##kind] = 2}, .share = 1, .more = most, .smallest = 0.1,             \
        .largest = 0.7, .visible = 0.5                                                             \
    }

static const defect_case cases[] = {
    {"cut and paste", {3, 33, 31}, 17, 0, ONLY(CUT_PASTE, 0)},
    {"scars", {1, 40, 37}, 17, 0, ONLY(SCAR, 0.5)},
    {"patches", {3, 33, 31}, 33, 128, ONLY(PATCH, 0.4)},
    {"patches of one image", {1, 16, 20}, 1, 0, ONLY(PATCH, 1)},
    {"seamless patches", {3, 33, 31}, 33, 0, ONLY(SEAMLESS, 0.4)},
    {"lines", {1, 64, 48}, 17, 0, ONLY(LINE, 1)},
    {"blobs", {5, 40, 37}, 17, 0, ONLY(BLOB, 1)},
    {"shades", {3, 40, 37}, 17, 128, ONLY(SHADE, 0.5)},
    {"all kinds", {3, 7, 5}, 17, 0, {EVERY, 0.6, 0.4, 0.02, 0.4, 0.05}},
    {"all kinds", {1, 48, 50}, 50, 0, {{1, 2, 3, 4, 5, 6, 7}, 0.8, 0.4, 0.02, 0.5, 0.5}},
    {"one pixel", {1, 1, 1}, 33, 0, {EVERY, 1, 1, 0.02, 0.4, 0.5}},
    {"one image of one pixel", {3, 1, 1}, 1, 0, {EVERY, 1, 1, 0.02, 0.4, 0.5}},
    {"no image", {3, 7, 5}, 17, 0, {EVERY, 0, 1, 0.02, 0.4, 0.5}},
};

enum { CASES = sizeof cases / sizeof *cases };

/* One defect. */
typedef struct defect {
    const defect_case *c;
    const double *x; /* [channels][height][width][n] */
    int image, number;
    uint32_t w[32];
    int kind;
    outline outline;
    double y, x_centre, tilt, ry, rx, edge, phases[3];
    int points; /* of a line */
    double line[US_DEFECT_LINE_POINTS][2];
    int source, source_y, source_x, quarters;
    double strength, offset, gain;
    bool matched, tinted;
    double around[POINTS][2]; /* from the centre */
} defect;

static double u(const defect *d, int i) {
    return (double)(d->w[i] >> 8) / 16777216;
}

static int m(const defect *d, int i, int count) {
    return (int)((uint64_t)d->w[i] * (uint64_t)count >> 32);
}

static double b(const defect *d, int i, double low, double high) {
    return low + (high - low) * u(d, i);
}

static double e(const defect *d, int i, double low, double high) {
    return low * pow(high / low, u(d, i));
}

static bool exists(defect *d) {
    const us_defects_settings *s = &d->c->settings;
    for (int i = 0; i < 8; i++)
        us_random_words(SEED, US_STREAM_DEFECT, SUBSTREAM, (uint64_t)(8 * SLOTS * d->image + i),
                        d->w + 4 * i);
    if (u(d, 0) >= s->share) return false;
    for (int i = 0; i < 8; i++)
        us_random_words(SEED, US_STREAM_DEFECT, SUBSTREAM,
                        (uint64_t)(8 * (SLOTS * d->image + d->number) + i), d->w + 4 * i);
    return d->number == 0 || u(d, 0) < s->more;
}

static int kind_of(const defect *d) {
    const double *shares = d->c->settings.shares;
    double sum = 0, until = 0;
    for (int k = 0; k < US_DEFECT_KINDS; k++)
        sum += shares[k];
    for (int k = 0; k < US_DEFECT_KINDS; k++) {
        until += shares[k];
        if (u(d, 1) < until / sum) return k;
    }
    return US_DEFECT_KINDS - 1;
}

static void draw_size(defect *d) {
    const us_defects_settings *s = &d->c->settings;
    const us_shape shape = d->c->shape;
    const double side = sqrt((double)shape.height * shape.width);
    double a = side / 2 * e(d, 4, s->smallest, s->largest), q = exp(b(d, 5, -1.2, 1.2));
    if (d->kind == US_DEFECT_BLOB) {
        a = side / 2 * e(d, 4, 0.012, 0.1);
        q = exp(b(d, 5, -0.9, 0.9));
    }
    d->ry = fmax(a * sqrt(q), 0.5);
    d->rx = fmax(a / sqrt(q), 0.5);
    if (d->kind == US_DEFECT_SCAR) {
        d->ry = fmax(side * b(d, 4, 0.02, 0.06), 0.5);
        d->rx = fmax(side * b(d, 5, 0.004, 0.02), 0.5);
    }
    if (d->kind == US_DEFECT_LINE) d->rx = fmax(0.4, side * b(d, 4, 0.001, 0.004));
    if (d->kind != US_DEFECT_LINE) return;
    const double length = side * b(d, 5, 0.015, 0.06);
    double direction = 2 * PI * u(d, 21);
    d->points = 3 + m(d, 20, 7);
    d->line[0][0] = d->y;
    d->line[0][1] = d->x_centre;
    for (int i = 1; i < d->points; i++) {
        if (i > 1) direction += b(d, 20 + i, -0.7, 0.7);
        d->line[i][0] = d->line[i - 1][0] + length * sin(direction);
        d->line[i][1] = d->line[i - 1][1] + length * cos(direction);
    }
}

static void draw_outline(defect *d) {
    const double r = fmin(d->ry, d->rx);
    const bool odd = d->w[7] % 2;
    d->edge = 1;
    switch (d->kind) {
    case US_DEFECT_SCAR:
        d->tilt = PI * u(d, 6);
        break;
    case US_DEFECT_PATCH:
    case US_DEFECT_SEAMLESS:
        d->outline = (outline)m(d, 7, d->kind == US_DEFECT_PATCH ? 3 : 2);
        d->tilt = odd ? PI * u(d, 6) : 0;
        d->edge = e(d, 8, 1, fmax(1.01, r / 4));
        break;
    case US_DEFECT_SHADE:
        d->outline = (outline)m(d, 7, 3);
        d->tilt = odd ? PI * u(d, 6) : 0;
        d->edge = e(d, 8, 1, fmax(1.01, r));
        break;
    case US_DEFECT_BLOB:
        d->outline = ELLIPSE;
        d->tilt = PI * u(d, 6);
        d->edge = e(d, 8, 1, fmax(1.01, r));
        break;
    default:
        break;
    }
    for (int i = 0; i < 3; i++)
        d->phases[i] = 2 * PI * u(d, 20 + i);
}

static void draw_content(defect *d) {
    const int n = d->c->n;
    d->strength = d->gain = 1;
    d->source = d->image;
    d->source_y = m(d, 14, d->c->shape.height);
    d->source_x = m(d, 15, d->c->shape.width);
    d->quarters = m(d, 16, 8) > 4 ? m(d, 16, 8) - 4 : 0;
    const bool patch = d->kind == US_DEFECT_PATCH || d->kind == US_DEFECT_SEAMLESS;
    if (patch && n > 1 && u(d, 13) < 0.7) d->source = (d->image + 1 + m(d, 19, n - 1)) % n;
    if (d->kind == US_DEFECT_CUT_PASTE) {
        d->gain = b(d, 10, 0.9, 1.1);
        d->offset = b(d, 12, -0.2, 0.2);
    } else if (d->kind == US_DEFECT_SCAR) {
        d->gain = b(d, 10, 0.8, 1.2);
        d->offset = b(d, 12, -0.3, 0.3);
    } else if (d->kind == US_DEFECT_PATCH) {
        d->offset = b(d, 12, -0.25, 0.25);
        d->matched = u(d, 11) < 0.6;
        d->strength = b(d, 9, 0.5, 1);
    } else if (d->kind == US_DEFECT_LINE) {
        d->gain = u(d, 10) < 0.8 ? b(d, 11, 0.3, 0.85) : b(d, 11, 1.15, 1.6);
    } else if (d->kind == US_DEFECT_BLOB) {
        d->gain = u(d, 10) < 0.8 ? b(d, 11, 0.25, 0.85) : b(d, 11, 1.15, 1.7);
    } else if (d->kind == US_DEFECT_SHADE) {
        d->gain = u(d, 10) < 0.65 ? b(d, 11, 0.4, 0.88) : b(d, 11, 1.12, 1.6);
    }
    d->tinted = d->kind >= US_DEFECT_LINE && d->c->shape.channels > 1 && u(d, 17) < 0.5;
}

static double gain_of(const defect *d, int c) {
    if (!d->tinted) return d->gain;
    const int channels = d->c->shape.channels;
    const uint64_t index =
        ((uint64_t)1 << 32) + (uint64_t)((SLOTS * d->image + d->number) * channels + c);
    return d->gain *
           (0.8 + 0.4 * (double)us_random_uniform(SEED, US_STREAM_DEFECT, SUBSTREAM, index));
}

static void draw_around(defect *d) {
    const double enlarged = 1 + (d->edge / 2 + 1.5) / fmin(d->ry, d->rx);
    for (int i = 0; i < POINTS; i++) {
        double p = sin(2 * PI * i / POINTS), q = cos(2 * PI * i / POINTS);
        if (d->outline == RECTANGLE) {
            const double t = i % 8 / 4.0 - 1;
            const double square[4][2] = {{-1, t}, {t, 1}, {1, -t}, {-t, -1}};
            p = square[i / 8][0];
            q = square[i / 8][1];
        }
        p *= d->ry * enlarged;
        q *= d->rx * enlarged;
        d->around[i][0] = p * cos(d->tilt) - q * sin(d->tilt);
        d->around[i][1] = p * sin(d->tilt) + q * cos(d->tilt);
    }
}

static int mirrored(int i, int size) {
    while (size > 1 && (i < 0 || i >= size))
        i = i < 0 ? -i : 2 * (size - 1) - i;
    return size > 1 ? i : 0;
}

static double pixel(const defect *d, const double *x, int image, int c, int y, int column) {
    const us_shape shape = d->c->shape;
    return x[((size_t)(c * shape.height + mirrored(y, shape.height)) * (size_t)shape.width +
              (size_t)mirrored(column, shape.width)) *
                 (size_t)d->c->n +
             (size_t)image];
}

static double bilinear(const defect *d, int image, int c, double y, double column) {
    const int top = (int)floor(y), left = (int)floor(column);
    double sum = 0;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            sum += (1 - fabs(y - top - i)) * (1 - fabs(column - left - j)) *
                   pixel(d, d->x, image, c, top + i, left + j);
    return sum;
}

/* From the defect's centre to its source. */
static void turn(const defect *d, double *y, double *x) {
    for (int i = 0; i < d->quarters; i++) {
        const double old = *y;
        *y = *x;
        *x = -old;
    }
    *y += d->source_y;
    *x += d->source_x;
}

static double difference(const defect *d, int c, int point) {
    double y = d->around[point][0], x = d->around[point][1];
    const double own = bilinear(d, d->image, c, d->y + y, d->x_centre + x);
    turn(d, &y, &x);
    return own - bilinear(d, d->source, c, y, x);
}

static double mean_difference(const defect *d, int c) {
    double sum = 0;
    for (int i = 0; i < POINTS; i++)
        sum += difference(d, c, i);
    return sum / POINTS;
}

/* By mean value coordinates, with angles as such. */
static double membrane(const defect *d, int c, double dy, double dx) {
    double sum = 0, total = 0;
    for (int i = 0; i < POINTS; i++) {
        double weight = 0;
        const double y = d->around[i][0] - dy, x = d->around[i][1] - dx;
        for (int k = -1; k <= 1; k += 2) {
            const int other = (i + k + POINTS) % POINTS;
            const double v = d->around[other][0] - dy, w = d->around[other][1] - dx;
            weight += tan(fabs(atan2(y * w - x * v, y * v + x * w)) / 2);
        }
        weight /= sqrt(y * y + x * x);
        sum += weight * difference(d, c, i);
        total += weight;
    }
    return sum / total;
}

static double distance(const defect *d, int y, int x) {
    if (d->kind == US_DEFECT_LINE) {
        double least = INFINITY;
        for (int i = 0; i + 1 < d->points; i++) {
            const double *from = d->line[i], *to = d->line[i + 1];
            const double vy = to[0] - from[0], vx = to[1] - from[1];
            double t = ((y - from[0]) * vy + (x - from[1]) * vx) / (vy * vy + vx * vx);
            t = fmin(fmax(t, 0), 1);
            least = fmin(least, hypot(y - from[0] - t * vy, x - from[1] - t * vx));
        }
        return least - d->rx;
    }
    const double dy = y - d->y, dx = x - d->x_centre;
    const double p = dy * cos(d->tilt) + dx * sin(d->tilt),
                 q = dx * cos(d->tilt) - dy * sin(d->tilt);
    if (d->outline == RECTANGLE) return fmax(fabs(p) - d->ry, fabs(q) - d->rx);
    const double r = fmin(d->ry, d->rx), a = p / d->ry, c = q / d->rx;
    double result = (hypot(a, c) - 1) * r;
    if (d->outline == RAGGED)
        result += 0.2 * r *
                  (sin(3 * a + 2 * c + d->phases[0]) + sin(3 * c - 2 * a + d->phases[1]) +
                   0.7 * sin(7 * a - 5 * c + d->phases[2]));
    return result;
}

static void draw_pixel(const defect *d, int y, int x, double *out) {
    const us_shape shape = d->c->shape;
    const double alpha = d->strength * fmin(fmax(0.5 - distance(d, y, x) / d->edge, 0), 1);
    if (alpha <= 0) return;
    for (int c = 0; c < shape.channels; c++) {
        double *v = &out[((size_t)(c * shape.height + y) * (size_t)shape.width + (size_t)x) *
                             (size_t)d->c->n +
                         (size_t)d->image];
        double content = *v;
        if (d->kind < US_DEFECT_LINE) {
            double from_y = y - d->y, from_x = x - d->x_centre;
            turn(d, &from_y, &from_x);
            content = pixel(d, d->x, d->source, c, (int)from_y, (int)from_x);
        }
        if (d->kind == US_DEFECT_SEAMLESS) content += membrane(d, c, y - d->y, x - d->x_centre);
        if (d->matched) content += mean_difference(d, c);
        content = (content + 1) * gain_of(d, c) - 1 + d->offset;
        *v += alpha * (fmin(fmax(content, -1), 1) - *v);
    }
}

static void draw(const defect_case *c, const double *x, double *out, double *mask) {
    const us_shape shape = c->shape;
    const size_t n = (size_t)c->n, pixels = (size_t)shape.height * (size_t)shape.width;
    memcpy(out, x, us_shape_size(shape) * n * sizeof *out);
    for (int image = 0; image < c->n; image++)
        for (int number = 0; number < SLOTS; number++) {
            defect d = {.c = c, .x = x, .image = image, .number = number};
            if (!exists(&d)) continue;
            d.kind = kind_of(&d);
            d.y = m(&d, 2, shape.height);
            d.x_centre = m(&d, 3, shape.width);
            draw_size(&d);
            draw_outline(&d);
            draw_content(&d);
            draw_around(&d);
            for (int p = 0; p < shape.height * shape.width; p++)
                draw_pixel(&d, p / shape.width, p % shape.width, out);
        }
    for (size_t i = 0; i < pixels * n; i++) {
        double change = 0;
        for (size_t k = 0; k < (size_t)shape.channels; k++)
            change += fabs(out[k * pixels * n + i] - x[k * pixels * n + i]);
        mask[i] = fmin(change / shape.channels / c->settings.visible, 1);
    }
}

static unseen_status run_defects(us_selftest *test, int number, unseen_error *error) {
    const defect_case *c = &cases[number];
    const int batch = us_device_pad(&test->device->facts, c->room > c->n ? c->room : c->n);
    const us_shape plane = {1, c->shape.height, c->shape.width};
    us_test_values values[3] = {{0}}; /* x, out, mask */
    us_defects *defects = NULL;
    unseen_status status;
    for (int i = 0; i < 3; i++)
        US_CHECK(us_test_values_create(test, us_shape_size(i < 2 ? c->shape : plane), c->n, batch,
                                       &values[i], error));
    us_test_values_random(test, &values[0], 0.5, 0);
    for (size_t i = 0; i < values[0].rows * (size_t)c->n; i++)
        values[0].host[i] = fmin(fmax(values[0].host[i], -1), 1);
    for (int i = 0; i < 3; i++)
        US_CHECK(us_test_values_upload(&values[i], (float)(i + 2), error));
    US_CHECK(us_defects_create(test->device, US_PURPOSE_TRAINING, &c->settings, c->shape, batch,
                               &defects, error));
    const us_defects_args args = {
        .x = values[0].device,
        .out = values[1].device,
        .mask = values[2].device,
        .n = c->n,
        .seed = SEED,
        .substream = SUBSTREAM,
    };
    US_CHECK(us_defects_draw(defects, &args, error));
    draw(c, values[0].host, values[1].host, values[2].host);
    US_CHECK(us_test_values_compare(test, &values[1], "defects", c->what, c->shape, 1e-4, 1, true,
                                    error));
    status =
        us_test_values_compare(test, &values[2], "defects", "mask", plane, 2e-3, 1, true, error);

done:
    us_defects_destroy(defects);
    for (int i = 0; i < 3; i++)
        us_test_values_destroy(&values[i]);
    return status;
}

const us_selftest_group us_selftest_defects = {"defects", CASES, run_defects};
