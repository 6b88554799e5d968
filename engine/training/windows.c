/* SPDX-License-Identifier: MIT */
#include "training/windows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- which windows ---- */

static uint32_t selected(const uint32_t *selection, int64_t i) {
    return selection ? selection[i] : (uint32_t)i;
}

int64_t us_windows_count(const us_dataset *dataset, const uint32_t *selection, int64_t count) {
    int64_t windows = 0;
    for (int64_t i = 0; i < count; i++)
        windows += us_tiling_windows(&dataset->images.tiling, selected(selection, i));
    return windows;
}

unseen_status us_windows_select(const us_dataset *dataset, const uint32_t *selection, int64_t count,
                                uint32_t **windows, unseen_error *error) {
    const us_tiling *tiling = &dataset->images.tiling;
    const int64_t n = us_windows_count(dataset, selection, count);
    uint32_t *at = *windows = malloc((size_t)n * sizeof **windows);
    if (!at) return us_fail_memory(error, "a selection of windows");
    for (int64_t i = 0; i < count; i++) {
        const uint32_t image = selected(selection, i);
        for (int64_t w = tiling->first[image]; w < tiling->first[image + 1]; w++)
            *at++ = (uint32_t)w;
    }
    return UNSEEN_OK;
}

unseen_status us_windows_images(const us_dataset *dataset, const uint32_t *windows, int64_t n,
                                uint32_t **images, int64_t *count, unseen_error *error) {
    const us_tiling *tiling = &dataset->images.tiling;
    *images = malloc((size_t)tiling->count * sizeof **images);
    *count = 0;
    if (!*images) return us_fail_memory(error, "a selection of images");
    for (int64_t i = 0; i < n;) {
        const int64_t image = us_tiling_image(tiling, selected(windows, i));
        (*images)[(*count)++] = (uint32_t)image;
        i += us_tiling_windows(tiling, image);
    }
    return UNSEEN_OK;
}

/* ---- one score ---- */

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

double us_windows_join(double *values, int64_t n, int top) {
    const int64_t used = n < top ? n : top;
    double sum = 0;
    if (used == 1) {
        double largest = values[0];
        for (int64_t i = 1; i < n; i++)
            largest = fmax(largest, values[i]);
        return largest;
    }
    qsort(values, (size_t)n, sizeof *values, descending);
    for (int64_t i = 0; i < used; i++)
        sum += values[i];
    return sum / (double)used;
}

/* ---- one map ---- */

enum { SHOWN_LARGER = 4 };

us_shape us_windows_shown(const us_dataset *dataset, us_shape input) {
    if (!dataset->images.tiling.count) return input;
    return (us_shape){.channels = input.channels,
                      .height = SHOWN_LARGER * input.height,
                      .width = SHOWN_LARGER * input.width};
}

struct us_window_maps {
    const us_tiling *tiling;
    const uint32_t *selection;
    us_shape input, shown;
    us_map_consumer consumer, own;
    int64_t place, window; /* the image under way, among those selected, and its next window */
    float *map, *pixels;   /* sums, then means */
    uint32_t *counts;      /* of values in each place; of the map, which are those of the pixels */
};

/* The pixels of a whole image that lie in place i of `places` along an axis: at least one. */
static void extent(int i, int places, int length, int *begin, int *end) {
    *begin = (int)((int64_t)i * length / places);
    *end = (int)(((int64_t)(i + 1) * length + places - 1) / places);
    if (*end <= *begin) *end = *begin + 1;
}

/* The rows or columns of a window that lie in place i; false: none. */
static bool overlap(const int axis[4], int i, int *begin, int *end) {
    const int start = axis[0], window = axis[1], length = axis[2], places = axis[3];
    extent(i, places, length, begin, end);
    *begin -= start;
    *end -= start;
    if (*begin < 0) *begin = 0;
    if (*end > window) *end = window;
    return *begin < *end;
}

static void add_block(const us_window_maps *m, const us_mapped_image *from, const int rows[2],
                      const int columns[2], size_t place) {
    const size_t plane = (size_t)m->input.height * (size_t)m->input.width;
    const size_t shown = (size_t)m->shown.height * (size_t)m->shown.width;
    for (int y = rows[0]; y < rows[1]; y++)
        for (int x = columns[0]; x < columns[1]; x++) {
            const size_t at = (size_t)y * (size_t)m->input.width + (size_t)x;
            if (from->map) m->map[place] += from->map[at];
            for (size_t c = 0; from->pixels && c < (size_t)m->input.channels; c++)
                m->pixels[c * shown + place] += from->pixels[c * plane + at];
        }
    m->counts[place] += (uint32_t)((rows[1] - rows[0]) * (columns[1] - columns[0]));
}

static void add_window(const us_window_maps *m, int64_t image, const us_mapped_image *from) {
    const us_window_place at = us_tiling_place(m->tiling, image, m->window);
    const int *size = m->tiling->sizes[image];
    const int down[4] = {at.top, m->input.height, size[0], m->shown.height};
    const int across[4] = {at.left, m->input.width, size[1], m->shown.width};
    int rows[2], columns[2];
    for (int y = 0; y < m->shown.height; y++) {
        if (!overlap(down, y, &rows[0], &rows[1])) continue;
        for (int x = 0; x < m->shown.width; x++)
            if (overlap(across, x, &columns[0], &columns[1]))
                add_block(m, from, rows, columns, (size_t)y * (size_t)m->shown.width + (size_t)x);
    }
}

static void clear(us_window_maps *m) {
    const size_t shown = (size_t)m->shown.height * (size_t)m->shown.width;
    memset(m->map, 0, shown * sizeof *m->map);
    memset(m->counts, 0, shown * sizeof *m->counts);
    memset(m->pixels, 0, shown * (size_t)m->shown.channels * sizeof *m->pixels);
}

static unseen_status hand_out(us_window_maps *m, const us_mapped_image *last, unseen_error *error) {
    const size_t shown = (size_t)m->shown.height * (size_t)m->shown.width;
    for (size_t p = 0; p < shown; p++) {
        m->map[p] /= (float)m->counts[p];
        for (size_t c = 0; c < (size_t)m->shown.channels; c++)
            m->pixels[c * shown + p] /= (float)m->counts[p];
    }
    const us_mapped_image whole = {.place = m->place,
                                   .map = last->map ? m->map : NULL,
                                   .pixels = last->pixels ? m->pixels : NULL};
    unseen_status status = m->consumer.take(m->consumer.user, &whole, error);
    clear(m);
    return status;
}

static unseen_status take(void *user, const us_mapped_image *window, unseen_error *error) {
    us_window_maps *m = user;
    const int64_t image = selected(m->selection, m->place);
    add_window(m, image, window);
    if (++m->window < us_tiling_windows(m->tiling, image)) return UNSEEN_OK;
    US_TRY(hand_out(m, window, error));
    m->place++;
    m->window = 0;
    return UNSEEN_OK;
}

unseen_status us_window_maps_create(const us_dataset *dataset, const uint32_t *selection,
                                    us_shape input, const us_map_consumer *consumer,
                                    us_window_maps **out, unseen_error *error) {
    *out = NULL;
    us_window_maps *m = calloc(1, sizeof *m);
    if (!m) return us_fail_memory(error, "maps of windows");
    m->tiling = &dataset->images.tiling;
    m->selection = selection;
    m->input = input;
    m->shown = us_windows_shown(dataset, input);
    m->consumer = *consumer;
    m->own = (us_map_consumer){.take = take, .user = m, .pixels = consumer->pixels};
    const size_t shown = (size_t)m->shown.height * (size_t)m->shown.width;
    m->map = malloc(shown * sizeof *m->map);
    m->counts = malloc(shown * sizeof *m->counts);
    m->pixels = malloc(shown * (size_t)m->shown.channels * sizeof *m->pixels);
    if (!m->map || !m->counts || !m->pixels) {
        us_window_maps_destroy(m);
        return us_fail_memory(error, "maps of windows");
    }
    clear(m);
    *out = m;
    return UNSEEN_OK;
}

const us_map_consumer *us_window_maps_consumer(const us_window_maps *maps) {
    return &maps->own;
}

void us_window_maps_destroy(us_window_maps *maps) {
    if (!maps) return;
    free(maps->map);
    free(maps->counts);
    free(maps->pixels);
    free(maps);
}
