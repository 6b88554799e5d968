/* SPDX-License-Identifier: MIT */
#include "ops/patches.h"

#include <stdlib.h>

#include "base/arithmetic.h"

enum { LEAST_ROWS = 64 /* of an item */, MOST_SPLITS = 256 /* that an item adds up */ };

struct us_patches {
    us_kernel *intensity, *log, *mean, *squares, *add;
    us_kernel *gather[US_PATCHES_MAX_SCALES];
    us_buffer *a, *b, *c, *sums, *parts; /* c: of the mean along one axis; NULL: no window */
    us_shape image, features;
    bool logarithm;
    int rows; /* of the batch, of an item */
    size_t lane_groups;
};

us_shape us_patches_shape(const us_patch_settings *settings, us_shape image) {
    return (us_shape){image.channels * settings->side * settings->side,
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
        "-DDARKEST=0.1f -DSIDE=%d -DSTEP=%d -DDILATION=%d -DROWS_OF_CELLS=%d -DCOLUMNS_OF_CELLS=%d",
        p->image.channels, p->image.height, p->image.width, batch, p->rows, s->window / 2,
        s->logarithm, s->side, s->step, s->dilation << scale, p->features.height,
        p->features.width);
}

static unseen_status create_kernels(us_device *device, us_patches *p, int batch,
                                    const us_patch_settings *s, unseen_error *error) {
    const char *const names[] = {"patch_intensity", "patch_log", "patch_mean", "patch_squares",
                                 "patch_add"};
    us_kernel **const kernels[] = {&p->intensity, &p->log, &p->mean, &p->squares, &p->add};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        US_TRY(create_kernel(device, p, batch, s, 0, names[i], kernels[i], error));
    for (int i = 0; i < s->scales; i++)
        US_TRY(create_kernel(device, p, batch, s, i, "patch_gather", &p->gather[i], error));
    return UNSEEN_OK;
}

static unseen_status create_buffers(us_device *device, us_patches *p, int batch, bool window,
                                    unseen_error *error) {
    const size_t values = us_shape_size(p->image), row = (size_t)batch * sizeof(float);
    const size_t splits = (size_t)us_divide_up((int64_t)values, p->rows);
    US_TRY(us_buffer_create(device, values * row, "normalised images", &p->a, error));
    US_TRY(us_buffer_create(device, splits * row, "sums of images", &p->sums, error));
    US_TRY(us_buffer_create(device, splits * row, "sums of images", &p->parts, error));
    if (!window) return UNSEEN_OK;
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
    p->rows = us_divide_up((int64_t)us_shape_size(image), MOST_SPLITS);
    if (p->rows < LEAST_ROWS) p->rows = LEAST_ROWS;
    p->lane_groups = (size_t)us_device_vectors(&device->facts, batch);
    unseen_status status = create_kernels(device, p, batch, settings, error);
    if (status == UNSEEN_OK) status = create_buffers(device, p, batch, settings->window > 0, error);
    if (status == UNSEEN_OK)
        *out = p;
    else
        us_patches_destroy(p);
    return status;
}

void us_patches_destroy(us_patches *p) {
    if (!p) return;
    us_kernel *const kernels[] = {p->intensity, p->log, p->mean, p->squares, p->add};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        us_kernel_destroy(kernels[i]);
    for (int i = 0; i < US_PATCHES_MAX_SCALES; i++)
        us_kernel_destroy(p->gather[i]);
    us_buffer *const buffers[] = {p->a, p->b, p->c, p->sums, p->parts};
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

unseen_status us_patches_prepare(us_patches *p, us_buffer *x, unseen_error *error) {
    size_t groups[3];
    rows_of(p, us_shape_size(p->image), groups);
    if (p->logarithm) US_TRY(us_kernel_run(p->intensity, groups, error, "bb", x, p->sums));
    US_TRY(us_kernel_run(p->log, groups, error, "bbb", x, p->sums, p->a));
    if (p->b) {
        US_TRY(us_kernel_run(p->mean, groups, error, "bbib", p->a, p->a, 0, p->c));
        US_TRY(us_kernel_run(p->mean, groups, error, "bbib", p->c, p->a, 1, p->b));
    }
    return us_kernel_run(p->squares, groups, error, "bb", normalised(p), p->parts);
}

unseen_status us_patches_gather(us_patches *p, int scale, us_buffer *features,
                                unseen_error *error) {
    size_t groups[3];
    return us_kernel_run(p->gather[scale], rows_of(p, us_shape_size(p->features), groups), error,
                         "bbb", normalised(p), p->parts, features);
}

unseen_status us_patches_add(us_patches *p, us_buffer *distances, double weight, us_buffer *map,
                             bool begins, unseen_error *error) {
    size_t groups[3];
    const size_t cells = (size_t)p->features.height * (size_t)p->features.width;
    return us_kernel_run(p->add, rows_of(p, cells, groups), error, "bfbi", distances, weight, map,
                         (int32_t)begins);
}
