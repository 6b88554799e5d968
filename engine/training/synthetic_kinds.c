/* SPDX-License-Identifier: MIT */
#include "training/synthetic_kinds.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum {
    PASTE,    /* a rectangle of another image, elsewhere */
    SCAR,     /* a rectangle of the image itself, elsewhere */
    LINE,     /* a straight line of one colour */
    PATCH,    /* a rectangle of one colour */
    SHUFFLE,  /* some of its sixteen parts change places */
    INVERT,   /* a rectangle becomes its negative */
    NOISE,    /* Gaussian noise on all of it */
    BLUR,     /* the mean of a square around each pixel, mixed with it */
    WARP,     /* a smooth random displacement */
    ROTATE,   /* by 15 to 90 degrees, its surroundings mirrored */
    ZOOM,     /* a part of it, enlarged */
    SPLICE,   /* half of it is another image's */
    TURN,     /* upside down: mirrored, or turned by half a turn */
    NEGATIVE, /* all of it becomes its negative, its channels in another order */
    BLEND,    /* the mean of it and another image */
};
const char *const us_synthetic_names[US_SYNTHETIC_KINDS] = {
    [PASTE] = "paste",   [SCAR] = "scar",         [LINE] = "line",   [PATCH] = "patch",
    [INVERT] = "invert", [SHUFFLE] = "shuffle",   [NOISE] = "noise", [BLUR] = "blur",
    [WARP] = "warp",     [ROTATE] = "rotate",     [ZOOM] = "zoom",   [SPLICE] = "splice",
    [TURN] = "turn",     [NEGATIVE] = "negative", [BLEND] = "blend"};

typedef struct canvas {
    const us_synthetic_image *image;
    unsigned char *out;
    int kind;
    uint64_t drawn; /* random numbers so far */
} canvas;

/* ---- chance ---- */

enum { NUMBERS_OF_AN_IMAGE = 1 << 24 };

static double uniform(canvas *c) {
    return (double)us_random_uniform(c->image->seed, US_STREAM_SYNTHETIC, (uint32_t)c->kind,
                                     c->image->index * NUMBERS_OF_AN_IMAGE + c->drawn++);
}

static double normal(canvas *c) {
    return (double)us_random_normal(c->image->seed, US_STREAM_SYNTHETIC, (uint32_t)c->kind,
                                    c->image->index * NUMBERS_OF_AN_IMAGE + c->drawn++);
}

static int below(canvas *c, int n) {
    const int i = (int)(uniform(c) * n);
    return i < n ? i : n - 1;
}

static double between(canvas *c, double low, double high) {
    return low + (high - low) * uniform(c);
}

/* As often from 1 to 2 as from 2 to 4. */
static double ratio(canvas *c, double low, double high) {
    return low * pow(high / low, uniform(c));
}

/* ---- pixels ---- */

typedef struct rectangle {
    int top, left, height, width;
} rectangle;

static int side_of(canvas *c, int side, double low, double high) {
    const int n = (int)(side * ratio(c, low, high) + 0.5);
    return n < 1 ? 1 : n > side ? side : n;
}

static rectangle rectangle_of(canvas *c, double low, double high) {
    const us_synthetic_image *i = c->image;
    rectangle r = {.height = side_of(c, i->height, low, high),
                   .width = side_of(c, i->width, low, high)};
    r.top = below(c, i->height - r.height + 1);
    r.left = below(c, i->width - r.width + 1);
    return r;
}

static size_t place(const us_synthetic_image *i, int row, int column) {
    return ((size_t)row * (size_t)i->width + (size_t)column) * (size_t)i->channels;
}

static unsigned char as_byte(double value) {
    return value <= 0 ? 0 : value >= 255 ? 255 : (unsigned char)(value + 0.5);
}

static void copy_part(canvas *c, const unsigned char *from, int top, int left, rectangle to) {
    const us_synthetic_image *i = c->image;
    for (int y = 0; y < to.height; y++)
        memcpy(c->out + place(i, to.top + y, to.left), from + place(i, top + y, left),
               (size_t)to.width * (size_t)i->channels);
}

/* The image mirrored at its edges, between pixels on the line from one to the next. */
static int mirrored(int at, int side) {
    const int period = 2 * side;
    at = ((at % period) + period) % period;
    return at < side ? at : period - 1 - at;
}

static double value_at(const us_synthetic_image *i, double row, double column, int channel) {
    const int y = (int)floor(row), x = (int)floor(column);
    const double v = row - y, u = column - x;
    const int y0 = mirrored(y, i->height), y1 = mirrored(y + 1, i->height);
    const int x0 = mirrored(x, i->width), x1 = mirrored(x + 1, i->width);
    const unsigned char *p = i->normal + channel;
    return (1 - v) * ((1 - u) * p[place(i, y0, x0)] + u * p[place(i, y0, x1)]) +
           v * ((1 - u) * p[place(i, y1, x0)] + u * p[place(i, y1, x1)]);
}

static void put(canvas *c, int row, int column, double from_row, double from_column) {
    for (int k = 0; k < c->image->channels; k++)
        c->out[place(c->image, row, column) + (size_t)k] =
            as_byte(value_at(c->image, from_row, from_column, k));
}

/* ---- kinds ---- */

static void paste(canvas *c, const unsigned char *from, double low, double high) {
    const rectangle to = rectangle_of(c, low, high);
    const int top = below(c, c->image->height - to.height + 1);
    const int left = below(c, c->image->width - to.width + 1);
    copy_part(c, from, top, left, to);
}

static void choose_colour(canvas *c, unsigned char colour[16]) {
    for (int k = 0; k < 16; k++)
        colour[k] = (unsigned char)below(c, 256);
}

static void dot(canvas *c, int row, int column, const unsigned char *colour) {
    const us_synthetic_image *i = c->image;
    if (row < 0 || column < 0 || row >= i->height || column >= i->width) return;
    for (int k = 0; k < i->channels; k++)
        c->out[place(i, row, column) + (size_t)k] = colour[k % 16];
}

static void line(canvas *c) {
    const us_synthetic_image *i = c->image;
    const int side = i->height > i->width ? i->height : i->width;
    const int thickness = 1 + below(c, 1 + side / 24);
    const double row = between(c, 0, i->height), column = between(c, 0, i->width);
    const double angle = between(c, 0, 3.14159265358979), length = side * ratio(c, 0.2, 1);
    unsigned char colour[16];
    choose_colour(c, colour);
    for (double at = -length / 2; at < length / 2; at += 0.5)
        for (int y = 0; y < thickness; y++)
            for (int x = 0; x < thickness; x++)
                dot(c, (int)(row + at * sin(angle)) + y, (int)(column + at * cos(angle)) + x,
                    colour);
}

static void patch(canvas *c) {
    const rectangle to = rectangle_of(c, 0.1, 0.35);
    unsigned char colour[16];
    choose_colour(c, colour);
    for (int y = 0; y < to.height; y++)
        for (int x = 0; x < to.width; x++)
            dot(c, to.top + y, to.left + x, colour);
}

static void shuffle(canvas *c) {
    enum { SIDE = 4, PARTS = SIDE * SIDE };
    const us_synthetic_image *i = c->image;
    const int height = i->height / SIDE, width = i->width / SIDE, moved = 2 + below(c, 7);
    int order[PARTS];
    if (!height || !width) return;
    for (int k = 0; k < PARTS; k++)
        order[k] = k;
    for (int k = 0; k < moved; k++) {
        const int other = k + below(c, PARTS - k), kept = order[k];
        order[k] = order[other];
        order[other] = kept;
    }
    for (int k = 0; k < moved; k++) {
        const int to = order[k], from = order[(k + 1) % moved];
        copy_part(c, i->normal, from / SIDE * height, from % SIDE * width,
                  (rectangle){to / SIDE * height, to % SIDE * width, height, width});
    }
}

static void invert(canvas *c) {
    const us_synthetic_image *i = c->image;
    const rectangle to = rectangle_of(c, 0.15, 0.6);
    for (int y = 0; y < to.height; y++) {
        unsigned char *row = c->out + place(i, to.top + y, to.left);
        for (int x = 0; x < to.width * i->channels; x++)
            row[x] = (unsigned char)(255 - row[x]);
    }
}

static void add_noise(canvas *c) {
    const us_synthetic_image *i = c->image;
    const double deviation = ratio(c, 8, 50);
    const size_t values = (size_t)i->height * (size_t)i->width * (size_t)i->channels;
    for (size_t k = 0; k < values; k++)
        c->out[k] = as_byte(i->normal[k] + deviation * normal(c));
}

static void blur(canvas *c) {
    const us_synthetic_image *i = c->image;
    const int side = i->height < i->width ? i->height : i->width;
    const int radius = 1 + below(c, 1 + side / 20), channels = i->channels;
    const double share = between(c, 0.5, 1);
    for (int y = 0; y < i->height; y++)
        for (int x = 0; x < i->width; x++)
            for (int k = 0; k < channels; k++) {
                float sum = 0;
                for (int u = -radius; u <= radius; u++)
                    sum += i->normal[place(i, y, mirrored(x + u, i->width)) + (size_t)k];
                i->scratch[place(i, y, x) + (size_t)k] = sum / (float)(2 * radius + 1);
            }
    for (int y = 0; y < i->height; y++)
        for (int x = 0; x < i->width; x++)
            for (int k = 0; k < channels; k++) {
                const size_t at = place(i, y, x) + (size_t)k;
                float sum = 0;
                for (int v = -radius; v <= radius; v++)
                    sum += i->scratch[place(i, mirrored(y + v, i->height), x) + (size_t)k];
                c->out[at] =
                    as_byte(share * (double)sum / (2 * radius + 1) + (1 - share) * i->normal[at]);
            }
}

static void warp(canvas *c) {
    const us_synthetic_image *i = c->image;
    const double side = i->height < i->width ? i->height : i->width;
    const double strength = side * ratio(c, 0.03, 0.12);
    double wave[2][3][4]; /* per axis, three waves: amplitude, frequencies, phase */
    for (int a = 0; a < 2; a++)
        for (int w = 0; w < 3; w++) {
            wave[a][w][0] = strength * normal(c) / sqrt(3);
            wave[a][w][1] = between(c, -3, 3) * 6.28318530717959 / i->height;
            wave[a][w][2] = between(c, -3, 3) * 6.28318530717959 / i->width;
            wave[a][w][3] = between(c, 0, 6.28318530717959);
        }
    for (int y = 0; y < i->height; y++)
        for (int x = 0; x < i->width; x++) {
            double moved[2] = {y, x};
            for (int a = 0; a < 2; a++)
                for (int w = 0; w < 3; w++)
                    moved[a] +=
                        wave[a][w][0] * sin(wave[a][w][1] * y + wave[a][w][2] * x + wave[a][w][3]);
            put(c, y, x, moved[0], moved[1]);
        }
}

static void rotate(canvas *c) {
    const us_synthetic_image *i = c->image;
    const double angle = (uniform(c) < 0.5 ? -1 : 1) * between(c, 15, 90) * 3.14159265358979 / 180;
    const double row = (i->height - 1) / 2.0, column = (i->width - 1) / 2.0;
    for (int y = 0; y < i->height; y++)
        for (int x = 0; x < i->width; x++)
            put(c, y, x, row + (y - row) * cos(angle) - (x - column) * sin(angle),
                column + (y - row) * sin(angle) + (x - column) * cos(angle));
}

static void zoom(canvas *c) {
    const us_synthetic_image *i = c->image;
    const double factor = between(c, 0.45, 0.85);
    const double top = uniform(c) * (1 - factor) * (i->height - 1);
    const double left = uniform(c) * (1 - factor) * (i->width - 1);
    for (int y = 0; y < i->height; y++)
        for (int x = 0; x < i->width; x++)
            put(c, y, x, top + factor * y, left + factor * x);
}

static void splice(canvas *c) {
    const us_synthetic_image *i = c->image;
    rectangle to = {0, 0, i->height, i->width};
    if (uniform(c) < 0.5) {
        to.top = i->height / 2;
        to.height -= to.top;
    } else {
        to.left = i->width / 2;
        to.width -= to.left;
    }
    copy_part(c, i->other, to.top, to.left, to);
}

static void turn(canvas *c) {
    const us_synthetic_image *i = c->image;
    const bool mirrored_too = uniform(c) < 0.5;
    for (int y = 0; y < i->height; y++)
        for (int x = 0; x < i->width; x++)
            memcpy(c->out + place(i, y, x),
                   i->normal + place(i, i->height - 1 - y, mirrored_too ? i->width - 1 - x : x),
                   (size_t)i->channels);
}

static void negative(canvas *c) {
    const us_synthetic_image *i = c->image;
    const size_t pixels = (size_t)i->height * (size_t)i->width, channels = (size_t)i->channels;
    const size_t moved = (size_t)below(c, i->channels);
    for (size_t p = 0; p < pixels; p++)
        for (size_t k = 0; k < channels; k++)
            c->out[p * channels + k] =
                (unsigned char)(255 - i->normal[p * channels + (k + moved) % channels]);
}

static void blend(canvas *c) {
    const us_synthetic_image *i = c->image;
    const size_t values = (size_t)i->height * (size_t)i->width * (size_t)i->channels;
    for (size_t k = 0; k < values; k++)
        c->out[k] = (unsigned char)((i->normal[k] + i->other[k] + 1) / 2);
}

bool us_synthetic_is_local(int kind) {
    return kind == PASTE || kind == SCAR || kind == LINE || kind == PATCH || kind == INVERT;
}

bool us_synthetic_is_moved(int kind) {
    return kind == SHUFFLE || kind == WARP || kind == ROTATE || kind == ZOOM || kind == SPLICE ||
           kind == TURN;
}

void us_synthetic_draw(const us_synthetic_image *image, int kind, unsigned char *out) {
    canvas c = {.image = image, .out = out, .kind = kind};
    memcpy(out, image->normal,
           (size_t)image->height * (size_t)image->width * (size_t)image->channels);
    switch (kind) {
    case PASTE:
        paste(&c, image->other, 0.12, 0.4);
        break;
    case SCAR:
        paste(&c, image->normal, 0.06, 0.5);
        break;
    case LINE:
        line(&c);
        break;
    case PATCH:
        patch(&c);
        break;
    case SHUFFLE:
        shuffle(&c);
        break;
    case INVERT:
        invert(&c);
        break;
    case NOISE:
        add_noise(&c);
        break;
    case BLUR:
        blur(&c);
        break;
    case WARP:
        warp(&c);
        break;
    case ROTATE:
        rotate(&c);
        break;
    case ZOOM:
        zoom(&c);
        break;
    case SPLICE:
        splice(&c);
        break;
    case TURN:
        turn(&c);
        break;
    case NEGATIVE:
        negative(&c);
        break;
    case BLEND:
        blend(&c);
        break;
    }
}
