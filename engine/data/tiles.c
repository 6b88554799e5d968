/* SPDX-License-Identifier: MIT */
#include "data/tiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Windows along an axis. */
static int64_t count_along(int length, int window, double overlap) {
    const double step = fmax(1, floor(window * (1 - overlap)));
    return length <= window ? 1 : (int64_t)ceil((length - window) / step) + 1;
}

static int start_along(int length, int window, int64_t count, int64_t i) {
    if (count == 1) return -((window - length) / 2);
    return (int)((i * (length - window) * 2 + count - 1) / (2 * (count - 1)));
}

static int64_t columns_of(const us_tiling *tiling, int64_t image) {
    return count_along(tiling->sizes[image][1], tiling->form.width, tiling->form.overlap);
}

unseen_status us_tiling_create(int64_t count, const us_tile_form *form, us_tiling *tiling,
                               unseen_error *error) {
    *tiling = (us_tiling){.form = *form,
                          .count = count,
                          .sizes = calloc((size_t)count, sizeof *tiling->sizes),
                          .first = calloc((size_t)count + 1, sizeof *tiling->first)};
    if (tiling->sizes && tiling->first) return UNSEEN_OK;
    us_tiling_release(tiling);
    return us_fail_memory(error, "windows of images");
}

void us_tiling_release(us_tiling *tiling) {
    free(tiling->sizes);
    free(tiling->first);
    *tiling = (us_tiling){0};
}

unseen_status us_tiling_finish(us_tiling *tiling, const char *path, unseen_error *error) {
    for (int64_t i = 0; i < tiling->count; i++) {
        const int64_t rows =
            count_along(tiling->sizes[i][0], tiling->form.height, tiling->form.overlap);
        tiling->first[i + 1] = tiling->first[i] + rows * columns_of(tiling, i);
        if (tiling->first[i + 1] > INT32_MAX)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: more than %d windows of %dx%d: a smaller /input/overlap, a larger "
                           "input or fewer images are needed",
                           path, INT32_MAX, tiling->form.height, tiling->form.width);
    }
    return UNSEEN_OK;
}

int64_t us_tiling_image(const us_tiling *tiling, int64_t window) {
    int64_t low = 0, high = tiling->count - 1;
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (tiling->first[middle] <= window)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

us_window_place us_tiling_place(const us_tiling *tiling, int64_t image, int64_t k) {
    const int *size = tiling->sizes[image];
    const int64_t columns = columns_of(tiling, image);
    const int64_t rows = us_tiling_windows(tiling, image) / columns;
    return (us_window_place){.top = start_along(size[0], tiling->form.height, rows, k / columns),
                             .left =
                                 start_along(size[1], tiling->form.width, columns, k % columns)};
}

static int within(int place, int length) {
    return place < 0 ? 0 : place >= length ? length - 1 : place;
}

void us_tiling_cut(const us_tiling *tiling, int64_t image, int64_t k, const void *pixels,
                   size_t pixel_bytes, void *window) {
    const int *size = tiling->sizes[image];
    const us_window_place place = us_tiling_place(tiling, image, k);
    char *out = window;
    for (int y = 0; y < tiling->form.height; y++) {
        const char *row = (const char *)pixels +
                          (size_t)within(place.top + y, size[0]) * (size_t)size[1] * pixel_bytes;
        if (size[1] >= tiling->form.width) {
            const size_t bytes = (size_t)tiling->form.width * pixel_bytes;
            memcpy(out, row + (size_t)place.left * pixel_bytes, bytes);
            out += bytes;
            continue;
        }
        for (int x = 0; x < tiling->form.width; x++, out += pixel_bytes)
            memcpy(out, row + (size_t)within(place.left + x, size[1]) * pixel_bytes, pixel_bytes);
    }
}
