/* SPDX-License-Identifier: MIT */
#include "ops/patches.h"

#include <stdlib.h>

#include "base/arithmetic.h"

enum { LEAST_ROWS = 64 /* of an item */, MOST_SPLITS = 256 /* that an item adds up */ };

struct us_patches {
    us_kernel *intensity, *log, *mean, *squares, *add;
    us_kernel *gather[US_PATCHES_MAX_SCALES];
    us_kernel *halve, *texture;          /* NULL: no textures */
    us_buffer *a, *b, *c, *sums, *parts; /* c: of the mean along one axis; NULL: no window */
    us_buffer *cells;                    /* textures; a and b are octaves then */
    us_shape image, features;
    bool logarithm;
    int octaves; /* 0: no textures */
    int rows;    /* of the batch, of an item */
    size_t lane_groups;
};

us_shape us_patches_shape(const us_patch_settings *settings, us_shape image) {
    const int values = settings->textures ? 1 + 2 * settings->scales : 1;
    return (us_shape){image.channels * values * settings->side * settings->side,
                      us_divide_up(image.height, settings->step),
                      us_divide_up(image.width, settings->step)};
}

static unseen_status create_kernel(us_device *device, const us_patches *p, int batch,
                                   const us_patch_settings *s, int scale, const char *name,
                                   us_kernel **kernel, unseen_error *error) {
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    return us_kernel_create(
        &build, "patches", name, kernel, error,
        "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DROWS=%d -DRADIUS=%d -DLOGARITHM=%d "
        "-DDARKEST=0.1f -DSIDE=%d -DSTEP=%d -DDILATION=%d -DROWS_OF_CELLS=%d "
        "-DCOLUMNS_OF_CELLS=%d -DOCTAVES=%d -DLEAST_ENERGY=1e-5f",
        p->image.channels, p->image.height, p->image.width, batch, p->rows, s->window / 2,
        s->logarithm, s->side, s->step, s->dilation << scale, p->features.height, p->features.width,
        p->octaves);
}

static unseen_status create_kernels(us_device *device, us_patches *p, int batch,
                                    const us_patch_settings *s, unseen_error *error) {
    const char *const names[] = {"patch_intensity", "patch_log",     "patch_add",
                                 "patch_mean",      "patch_squares", NULL};
    const char *const of_textures[] = {"patch_intensity", "patch_log",       "patch_add",
                                       "texture_halve",   "texture_measure", NULL};
    us_kernel **const kernels[] = {&p->intensity, &p->log, &p->add, &p->mean, &p->squares};
    us_kernel **const texture_kernels[] = {&p->intensity, &p->log, &p->add, &p->halve, &p->texture};
    for (int i = 0; names[i]; i++)
        US_TRY(create_kernel(device, p, batch, s, 0, s->textures ? of_textures[i] : names[i],
                             s->textures ? texture_kernels[i] : kernels[i], error));
    if (s->textures)
        return create_kernel(device, p, batch, s, 0, "texture_gather", &p->gather[0], error);
    for (int i = 0; i < s->scales; i++)
        US_TRY(create_kernel(device, p, batch, s, i, "patch_gather", &p->gather[i], error));
    return UNSEEN_OK;
}

static unseen_status create_buffers(us_device *device, us_patches *p, int batch,
                                    const us_patch_settings *settings, unseen_error *error) {
    const size_t values = us_shape_size(p->image), row = (size_t)batch * sizeof(float);
    const size_t splits = (size_t)us_divide_up((int64_t)values, p->rows);
    US_TRY(us_buffer_create(device, values * row, "normalised images", &p->a, error));
    US_TRY(us_buffer_create(device, splits * row, "sums of images", &p->sums, error));
    US_TRY(us_buffer_create(device, splits * row, "sums of images", &p->parts, error));
    if (settings->textures) {
        const size_t cells =
            us_shape_size(p->features) / (size_t)settings->side / (size_t)settings->side;
        US_TRY(us_buffer_create(device, cells * row, "textures", &p->cells, error));
        return us_buffer_create(device, values * row, "an octave of images", &p->b, error);
    }
    if (settings->window == 0) return UNSEEN_OK;
    US_TRY(us_buffer_create(device, values * row, "normalised images", &p->b, error));
    return us_buffer_create(device, values * row, "local means", &p->c, error);
}

unseen_status us_patches_create(us_device *device, us_shape image, int batch,
                                const us_patch_settings *settings, us_patches **out,
                                unseen_error *error) {
    *out = NULL;
    us_patches *p = calloc(1, sizeof *p);
    if (!p) return us_fail_memory(error, "patches");
    p->image = image;
    p->features = us_patches_shape(settings, image);
    p->logarithm = settings->logarithm;
    p->octaves = settings->textures ? settings->scales : 0;
    p->rows = us_divide_up((int64_t)us_shape_size(image), MOST_SPLITS);
    if (p->rows < LEAST_ROWS) p->rows = LEAST_ROWS;
    p->lane_groups = (size_t)us_device_vectors(&device->facts, batch);
    unseen_status status = create_kernels(device, p, batch, settings, error);
    if (status == UNSEEN_OK) status = create_buffers(device, p, batch, settings, error);
    if (status == UNSEEN_OK)
        *out = p;
    else
        us_patches_destroy(p);
    return status;
}

void us_patches_destroy(us_patches *p) {
    if (!p) return;
    us_kernel *const kernels[] = {p->intensity, p->log,   p->mean,   p->squares,
                                  p->add,       p->halve, p->texture};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        us_kernel_destroy(kernels[i]);
    for (int i = 0; i < US_PATCHES_MAX_SCALES; i++)
        us_kernel_destroy(p->gather[i]);
    us_buffer *const buffers[] = {p->a, p->b, p->c, p->sums, p->parts, p->cells};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
    free(p);
}

static const size_t *rows_of(const us_patches *p, size_t rows, size_t groups[3]) {
    groups[0] = p->lane_groups;
    groups[1] = (rows + (size_t)p->rows - 1) / (size_t)p->rows;
    groups[2] = 1;
    return groups;
}

static us_buffer *normalised(const us_patches *p) {
    return p->b ? p->b : p->a;
}

/* Octave by octave, from a to b and back. */
static unseen_status measure_textures(us_patches *p, unseen_error *error) {
    const size_t channels = (size_t)p->image.channels;
    const size_t cells = (size_t)p->features.height * (size_t)p->features.width;
    us_buffer *octave = p->a, *next = p->b;
    int height = p->image.height, width = p->image.width;
    size_t groups[3];
    for (int o = 0; o < p->octaves; o++) {
        if (o > 0) {
            const int halved[2] = {us_divide_up(height, 2), us_divide_up(width, 2)};
            rows_of(p, channels * (size_t)halved[0] * (size_t)halved[1], groups);
            US_TRY(us_kernel_run(p->halve, groups, error, "biib", octave, height, width, next));
            us_buffer *const last = octave;
            octave = next;
            next = last;
            height = halved[0];
            width = halved[1];
        }
        rows_of(p, channels * cells, groups);
        US_TRY(
            us_kernel_run(p->texture, groups, error, "biiib", octave, o, height, width, p->cells));
    }
    return UNSEEN_OK;
}

unseen_status us_patches_prepare(us_patches *p, us_buffer *x, unseen_error *error) {
    size_t groups[3];
    rows_of(p, us_shape_size(p->image), groups);
    if (p->logarithm) US_TRY(us_kernel_run(p->intensity, groups, error, "bb", x, p->sums));
    US_TRY(us_kernel_run(p->log, groups, error, "bbb", x, p->sums, p->a));
    if (p->octaves > 0) return measure_textures(p, error);
    if (p->b) {
        US_TRY(us_kernel_run(p->mean, groups, error, "bbib", p->a, p->a, 0, p->c));
        US_TRY(us_kernel_run(p->mean, groups, error, "bbib", p->c, p->a, 1, p->b));
    }
    return us_kernel_run(p->squares, groups, error, "bb", normalised(p), p->parts);
}

unseen_status us_patches_gather(us_patches *p, int scale, us_buffer *features,
                                unseen_error *error) {
    size_t groups[3];
    rows_of(p, us_shape_size(p->features), groups);
    if (p->octaves > 0) return us_kernel_run(p->gather[0], groups, error, "bb", p->cells, features);
    return us_kernel_run(p->gather[scale], groups, error, "bbb", normalised(p), p->parts, features);
}

unseen_status us_patches_add(us_patches *p, us_buffer *distances, double weight, us_buffer *map,
                             bool begins, unseen_error *error) {
    size_t groups[3];
    const size_t cells = (size_t)p->features.height * (size_t)p->features.width;
    return us_kernel_run(p->add, rows_of(p, cells, groups), error, "bfbi", distances, weight, map,
                         (int32_t)begins);
}
