/* SPDX-License-Identifier: MIT */
/* Images of an array, cut into windows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/images.h"
#include "data/npy.h"

/* What the windows depend on. */
static unseen_status key_of(const us_images *images, const us_tile_form *form, us_digest_text *key,
                            unseen_error *error) {
    struct stat about;
    const char *file = us_images_file(images);
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return us_fail_memory(error, "windows of images");
    if (stat(file, &about) != 0) {
        us_digest_end(stream);
        return us_fail(error, UNSEEN_FAILURE, "%s: cannot inspect: %s", file, strerror(errno));
    }
    /* What an archive was unpacked to is touched whenever it is used. */
    if (file != images->path) about.st_mtim = (struct timespec){0};
    const int64_t numbers[] = {
        (int64_t)about.st_dev, (int64_t)about.st_ino, about.st_size, about.st_mtim.tv_sec,
        about.st_mtim.tv_nsec, images->layout,        form->height,  form->width};
    us_digest_add(stream, "windows of an array", 20);
    us_digest_add(stream, numbers, sizeof numbers);
    us_digest_add(stream, &form->overlap, sizeof form->overlap);
    *key = us_digest_end(stream);
    return UNSEEN_OK;
}

/* An image with its channels innermost. */
static const void *interleaved(const us_images *images, int64_t image, char *room) {
    const size_t bytes = us_images_pixel_bytes(images), channels = (size_t)images->channels;
    const char *pixels =
        (const char *)images->pixels + (size_t)image * us_images_image_bytes(images);
    if (!images->planar) return pixels;
    const size_t plane = (size_t)images->height * (size_t)images->width;
    for (size_t p = 0; p < plane; p++)
        for (size_t c = 0; c < channels; c++)
            memcpy(room + (p * channels + c) * bytes, pixels + (c * plane + p) * bytes, bytes);
    return room;
}

static unseen_status write_windows(const us_images *images, const us_tiling *tiling, FILE *stream,
                                   unseen_error *error) {
    const size_t pixel_bytes = us_images_pixel_bytes(images) * (size_t)images->channels;
    const size_t bytes = (size_t)tiling->form.height * (size_t)tiling->form.width * pixel_bytes;
    const int64_t dims[] = {tiling->first[tiling->count], tiling->form.height, tiling->form.width,
                            images->channels};
    char header[US_NPY_HEADER];
    us_npy_write_header(images->pixel == US_PIXEL_UINT8 ? "|u1" : "<f4", 4, dims, header);
    fwrite(header, 1, sizeof header, stream);
    char *room = malloc(us_images_image_bytes(images)), *window = malloc(bytes);
    for (int64_t i = 0; room && window && i < images->count; i++) {
        const void *pixels = interleaved(images, i, room);
        for (int64_t k = 0; k < us_tiling_windows(tiling, i); k++) {
            us_tiling_cut(tiling, i, k, pixels, pixel_bytes, window);
            fwrite(window, 1, bytes, stream);
        }
    }
    const bool reserved = room && window;
    free(room);
    free(window);
    if (!reserved) return us_fail_memory(error, "windows of images");
    US_TRY(us_images_check(images, error));
    if (fflush(stream) == 0 && !ferror(stream)) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE, "%s: cannot keep its windows: %s", images->path,
                   strerror(errno));
}

static unseen_status make(const us_images *images, const us_tiling *tiling,
                          const us_digest_text *key, us_fitted_file *file, unseen_error *error) {
    const size_t bytes = (size_t)tiling->form.height * (size_t)tiling->form.width *
                         us_images_pixel_bytes(images) * (size_t)images->channels;
    US_TRY(us_fitted_begin(key, US_NPY_HEADER + (size_t)tiling->first[tiling->count] * bytes, file,
                           error));
    const int descriptor = dup(file->writer.descriptor);
    FILE *stream = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    unseen_status status = stream ? write_windows(images, tiling, stream, error)
                                  : us_fail_memory(error, "windows of images");
    if (stream)
        fclose(stream);
    else if (descriptor >= 0)
        close(descriptor);
    if (status == UNSEEN_OK) return us_fitted_commit(file, error);
    us_fitted_abandon(file);
    return status;
}

static unseen_status replace(us_images *images, us_tiling *tiling, us_fitted_file *file,
                             unseen_error *error) {
    const us_layout_request layout = {.layout = US_LAYOUT_NHWC,
                                      .when = US_LAYOUT_ALWAYS,
                                      .channels = images->channels,
                                      .height = tiling->form.height,
                                      .width = tiling->form.width};
    us_images cut;
    US_TRY(us_images_open_fitted(images->path, file, &layout, &cut, error));
    if (cut.count != tiling->first[tiling->count]) {
        us_fail(error, UNSEEN_BAD_INPUT, "%s: damaged: remove it", us_images_file(&cut));
        us_images_close(&cut);
        return UNSEEN_BAD_INPUT;
    }
    cut.tiling = *tiling;
    *tiling = (us_tiling){0};
    us_images_close(images);
    *images = cut;
    return UNSEEN_OK;
}

unseen_status us_images_cut(us_images *images, const us_tile_form *form, unseen_error *error) {
    us_tiling tiling;
    us_digest_text key;
    us_fitted_file file = {0};
    if (images->height == form->height && images->width == form->width) return UNSEEN_OK;
    US_TRY(key_of(images, form, &key, error));
    US_TRY(us_tiling_create(images->count, form, &tiling, error));
    for (int64_t i = 0; i < images->count; i++) {
        tiling.sizes[i][0] = images->height;
        tiling.sizes[i][1] = images->width;
    }
    unseen_status status = us_tiling_finish(&tiling, images->path, error);
    if (status == UNSEEN_OK && !us_fitted_find(&key, &file))
        status = make(images, &tiling, &key, &file, error);
    if (status == UNSEEN_OK) status = replace(images, &tiling, &file, error);
    us_fitted_close(&file);
    us_tiling_release(&tiling);
    return status;
}
