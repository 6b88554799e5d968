/* SPDX-License-Identifier: MIT */
#include "data/photograph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/photograph_jpeg.h"
#include "data/photograph_vips.h"
#include "data/resample.h"

#if UNSEEN_VIPS

/* A photograph on its way. */
typedef struct decoding {
    const us_photograph_file *file;
    const us_photograph_form *form;
    int lines_read;
    us_jpeg *jpeg; /* a plain one, else NULL, and: */
    us_vips_image *image;
    us_vips_about about;     /* of the image as it is read now */
    us_resample_shape shape; /* in the orientation that it is stored in */
    int top, left;           /* of the result in the form, upright */
    float *row;
    us_resampler *resampler;
} decoding;

static bool is_turned(const decoding *d) {
    return d->about.orientation >= 5;
}

static void swap_axes(us_resample_shape *s) {
    *s = (us_resample_shape){.in_height = s->in_height,
                             .in_width = s->in_width,
                             .channels = s->channels,
                             .top = s->left,
                             .left = s->top,
                             .window_height = s->window_width,
                             .window_width = s->window_height,
                             .height = s->width,
                             .width = s->height};
}

/* A side of an image that is scaled, whole pixels of `most` at the most. */
static int scaled(double side, double scale, int most) {
    const double size = floor(side * scale + 0.5);
    return size < 1 ? 1 : size > most ? most : (int)size;
}

/* What of the photograph goes where. Windows are in the middle, so that only turning matters to
 * them, and mirroring does not. */
static void plan(decoding *d) {
    const us_photograph_form *form = d->form;
    const double height = is_turned(d) ? d->about.width : d->about.height;
    const double width = is_turned(d) ? d->about.height : d->about.width;
    const double down = form->height / height, across = form->width / width;
    us_resample_shape shape = {.in_height = d->about.height,
                               .in_width = d->about.width,
                               .channels = form->channels,
                               .window_height = height,
                               .window_width = width,
                               .height = form->height,
                               .width = form->width};
    if (form->fit == US_FIT_PAD) {
        shape.height = scaled(height, fmin(down, across), form->height);
        shape.width = scaled(width, fmin(down, across), form->width);
    } else if (form->fit == US_FIT_CROP) {
        shape.window_height = form->height / fmax(down, across);
        shape.window_width = form->width / fmax(down, across);
        shape.top = (height - shape.window_height) / 2;
        shape.left = (width - shape.window_width) / 2;
    }
    d->top = (form->height - shape.height) / 2;
    d->left = (form->width - shape.width) / 2;
    if (is_turned(d)) swap_axes(&shape);
    d->shape = shape;
}

/* A JPEG can be read at a half, a quarter or an eighth of its size, which is much quicker: at the
 * smallest that is still twice as fine as the result. */
static unseen_status reopen_shrunk(decoding *d, unseen_error *error) {
    us_resample_shape *shape = &d->shape;
    const double ratio =
        fmin(shape->window_height / shape->height, shape->window_width / shape->width);
    int shrink = 8;
    while (shrink > 1 && ratio / shrink < 2)
        shrink /= 2;
    if (shrink == 1 || d->about.format != US_PHOTOGRAPH_JPEG) return UNSEEN_OK;
    const double height = d->about.height, width = d->about.width;
    us_jpeg_close(d->jpeg);
    d->jpeg = NULL;
    us_vips_close(d->image);
    US_TRY(us_vips_open(d->file, shrink, &d->image, &d->about, error));
    shape->in_height = d->about.height;
    shape->in_width = d->about.width;
    shape->top *= d->about.height / height;
    shape->window_height *= d->about.height / height;
    shape->left *= d->about.width / width;
    shape->window_width *= d->about.width / width;
    return UNSEEN_OK;
}

/* ---- values ---- */

/* Line y, of those before `end`; lines are asked for from above. */
static unseen_status read_line(decoding *d, int y, int end, const void **line,
                               unseen_error *error) {
    if (!d->jpeg) return us_vips_line(d->image, y, end, line, error);
    while (d->lines_read <= y) {
        *line = us_jpeg_line(d->jpeg);
        d->lines_read++;
        /* Of a file that is not sound, libvips tells what is wrong. */
        if (!*line) return us_fail(error, UNSEEN_BAD_INPUT, "%s: damaged", d->file->path);
    }
    return UNSEEN_OK;
}

static float value_at(const us_vips_about *about, const void *line, int at) {
    return about->deep ? ((const uint16_t *)line)[at] : ((const unsigned char *)line)[at];
}

/* Masks may hold numbers of classes. */
static float to_mask(const decoding *d, float value, float white) {
    const float least = d->about.format == US_PHOTOGRAPH_JPEG ? white / 2 : 0;
    return value > least ? white : 0;
}

/* A line of the file in the form's channels and range. */
static void convert_line(const decoding *d, const void *line, float *row) {
    const us_vips_about *about = &d->about;
    const int bands = about->bands, channels = d->form->channels;
    const float white = about->deep ? 65535 : 255;
    const float scale = (d->form->value_bytes == 2 ? 65535 : 255) / white;
    for (int x = 0; x < about->width; x++) {
        float r = value_at(about, line, x * bands);
        float g = bands > 2 ? value_at(about, line, x * bands + 1) : r;
        float b = bands > 2 ? value_at(about, line, x * bands + 2) : r;
        if (d->form->mask) r = g = b = to_mask(d, fmaxf(r, fmaxf(g, b)), white);
        const float alpha = bands % 2 == 0 ? value_at(about, line, (x + 1) * bands - 1) / white : 1;
        float *out = row + x * channels;
        if (channels == 3) {
            out[0] = r * scale * alpha;
            out[1] = g * scale * alpha;
            out[2] = b * scale * alpha;
        } else {
            const float grey = bands > 2 ? 0.299f * r + 0.587f * g + 0.114f * b : r;
            out[0] = grey * scale * alpha;
        }
    }
}

static void store(const us_photograph_form *form, void *pixels, size_t at, float value) {
    const float most = form->value_bytes == 2 ? 65535 : 255;
    const long whole = lrintf(value < 0 ? 0 : value > most ? most : value);
    if (form->value_bytes == 2)
        ((uint16_t *)pixels)[at] = (uint16_t)whole;
    else
        ((unsigned char *)pixels)[at] = (unsigned char)whole;
}

/* Where the upright pixel (y, x) of `height` x `width` is stored; orientations are EXIF's. */
static size_t stored_place(int orientation, int y, int x, int height, int width) {
    const int up = height - 1 - y, left = width - 1 - x;
    const bool turned = orientation >= 5;
    int row = turned ? x : y, column = turned ? y : x;
    if (orientation == 3 || orientation == 4) row = up;
    if (orientation == 2 || orientation == 3) column = left;
    if (orientation == 6 || orientation == 7) row = left;
    if (orientation == 7 || orientation == 8) column = up;
    return (size_t)row * (size_t)(turned ? height : width) + (size_t)column;
}

static void put_upright(const decoding *d, const float *values, void *pixels) {
    const us_photograph_form *form = d->form;
    const int height = is_turned(d) ? d->shape.width : d->shape.height;
    const int width = is_turned(d) ? d->shape.height : d->shape.width;
    const size_t channels = (size_t)form->channels;
    memset(pixels, 0, us_photograph_bytes(form));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const size_t from = stored_place(d->about.orientation, y, x, height, width);
            const size_t to = (size_t)(y + d->top) * (size_t)form->width + (size_t)(x + d->left);
            for (size_t c = 0; c < channels; c++)
                store(form, pixels, to * channels + c, values[from * channels + c]);
        }
}

/* ---- the whole ---- */

static unseen_status resample(decoding *d, void *pixels, unseen_error *error) {
    int first, end;
    US_TRY(us_resampler_create(&d->shape, &d->resampler, error));
    d->row = malloc((size_t)d->about.width * (size_t)d->form->channels * sizeof *d->row);
    if (!d->row) return us_fail_memory(error, "a row of a photograph");
    us_resampler_rows(d->resampler, &first, &end);
    for (int y = first; y < end; y++) {
        const void *line;
        US_TRY(read_line(d, y, end, &line, error));
        convert_line(d, line, d->row);
        us_resampler_add(d->resampler, d->row);
    }
    put_upright(d, us_resampler_result(d->resampler), pixels);
    return UNSEEN_OK;
}

/* What has the form already is copied. */
static bool is_same(const decoding *d) {
    const us_vips_about *about = &d->about;
    const us_photograph_form *form = d->form;
    return !form->mask && about->height == form->height && about->width == form->width &&
           about->bands == form->channels && about->orientation == 1 &&
           form->value_bytes == (about->deep ? 2 : 1);
}

static unseen_status copy(decoding *d, void *pixels, unseen_error *error) {
    const size_t bytes = us_photograph_bytes(d->form) / (size_t)d->form->height;
    for (int y = 0; y < d->form->height; y++) {
        const void *line;
        US_TRY(read_line(d, y, d->form->height, &line, error));
        memcpy((char *)pixels + (size_t)y * bytes, line, bytes);
    }
    return UNSEEN_OK;
}

static unseen_status take_pixels(decoding *d, void *pixels, unseen_error *error) {
    return is_same(d) ? copy(d, pixels, error) : resample(d, pixels, error);
}

static void release(decoding *d) {
    us_resampler_destroy(d->resampler);
    free(d->row);
    us_jpeg_close(d->jpeg);
    us_vips_close(d->image);
    *d = (decoding){.file = d->file, .form = d->form};
}

unseen_status us_photograph_decode(const us_photograph_file *file, const us_photograph_form *form,
                                   void *pixels, unseen_error *error) {
    decoding d = {.file = file, .form = form};
    unseen_status status = UNSEEN_OK;
    if ((d.jpeg = us_jpeg_open(file, &d.about))) {
        plan(&d);
        status = reopen_shrunk(&d, error);
        if (status == UNSEEN_OK) status = take_pixels(&d, pixels, d.jpeg ? NULL : error);
        const bool again = status == UNSEEN_BAD_INPUT && d.jpeg;
        release(&d);
        if (!again) return status;
    }
    status = us_vips_open(file, 1, &d.image, &d.about, error);
    if (status == UNSEEN_OK) {
        plan(&d);
        status = reopen_shrunk(&d, error);
    }
    if (status == UNSEEN_OK) status = take_pixels(&d, pixels, error);
    release(&d);
    return status;
}

unseen_status us_photograph_look(const us_photograph_file *file, us_photograph_header *header,
                                 unseen_error *error) {
    us_vips_image *image;
    us_vips_about about;
    unseen_status status = us_vips_open(file, 1, &image, &about, error);
    us_vips_close(image);
    const bool turned = about.orientation >= 5;
    *header = (us_photograph_header){.height = turned ? about.width : about.height,
                                     .width = turned ? about.height : about.width,
                                     .colour = about.bands > 2,
                                     .deep = about.deep};
    return status;
}

#else

unseen_status us_photograph_start(unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "this program was built without libvips, which reads photographs: install "
                   "libvips-dev and build it again, or put the images into an array");
}

const char *us_photograph_library(void) {
    return "none";
}

unseen_status us_photograph_look(const us_photograph_file *file, us_photograph_header *header,
                                 unseen_error *error) {
    (void)file;
    (void)header;
    return us_photograph_start(error);
}

unseen_status us_photograph_decode(const us_photograph_file *file, const us_photograph_form *form,
                                   void *pixels, unseen_error *error) {
    (void)file;
    (void)form;
    (void)pixels;
    return us_photograph_start(error);
}

void us_photograph_end_thread(void) {}

#endif
