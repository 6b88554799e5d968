/* SPDX-License-Identifier: MIT */
#include "data/layout.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CHANNELS = 16, THIN = 4 };

const char *const us_layout_names[] = {"auto", "NHWC", "NCHW", "NHW", "HWC", "CHW", "HW", NULL};
enum { LAYOUTS = sizeof us_layout_names / sizeof *us_layout_names - 1 };

us_layout us_layout_find(const char *name) {
    for (int i = 0; i < LAYOUTS; i++)
        if (strcmp(us_layout_names[i], name) == 0) return (us_layout)i;
    return US_LAYOUT_AUTO;
}

unseen_status us_layout_check(const char *name, unseen_error *error) {
    if (us_layout_find(name) != US_LAYOUT_AUTO || strcmp(name, "auto") == 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "the layout '%s' is not known; expected auto, NHWC, NCHW, NHW, HWC, CHW or HW",
                   name);
}

static int rank_of(us_layout layout) {
    return (int)strlen(us_layout_names[layout]);
}

static us_layout_reading read_as(const us_array_header *header, us_layout layout) {
    us_layout_reading reading = {layout, 1, 1, 1, 1};
    for (int i = 0; i < header->rank; i++) {
        int64_t *axis = NULL;
        switch (us_layout_names[layout][i]) {
        case 'N':
            axis = &reading.count;
            break;
        case 'H':
            axis = &reading.height;
            break;
        case 'W':
            axis = &reading.width;
            break;
        default:
            axis = &reading.channels;
        }
        *axis = header->dims[i];
    }
    return reading;
}

/* Whether channels can be made into the config's, as the image loader does it. */
static bool is_possible(const us_layout_reading *reading, const us_layout_request *request) {
    return reading->channels == request->channels || reading->channels == 1 ||
           (reading->channels == 3 && request->channels == 1);
}

static bool is_exact(const us_layout_reading *reading, const us_layout_request *request) {
    return reading->channels == request->channels && reading->height == request->height &&
           reading->width == request->width;
}

/* Images of a few rows or columns, such as an axis of channels taken for one makes. */
static bool is_thin(const us_layout_reading *reading) {
    return reading->height <= THIN || reading->width <= THIN;
}

/* The same images: a single grey one with and without its axis of channels, or one plane. */
static bool is_same(const us_layout_reading *a, const us_layout_reading *b) {
    bool planar = (a->layout == US_LAYOUT_NCHW || a->layout == US_LAYOUT_CHW) !=
                  (b->layout == US_LAYOUT_NCHW || b->layout == US_LAYOUT_CHW);
    return a->count == b->count && a->height == b->height && a->width == b->width &&
           a->channels == b->channels && (!planar || a->channels == 1);
}

/* Keeps of the readings those that `wanted` holds for; says how many different ones that are. */
static int keep(us_layout_reading *readings, int *count, const us_layout_request *request,
                bool (*wanted)(const us_layout_reading *, const us_layout_request *)) {
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (!wanted(&readings[i], request)) continue;
        bool known = false;
        for (int k = 0; k < kept; k++)
            known = known || is_same(&readings[k], &readings[i]);
        if (!known) readings[kept++] = readings[i];
    }
    if (kept > 0) *count = kept;
    return kept;
}

/* What nobody would mean: thin images in other channels than the config's. */
static bool is_plausible(const us_layout_reading *reading, const us_layout_request *request) {
    bool possible = reading->channels <= MAX_CHANNELS && is_possible(reading, request);
    return possible && (!is_thin(reading) || reading->channels == request->channels);
}

static bool is_grey_set(const us_layout_reading *reading, const us_layout_request *request) {
    return reading->layout == US_LAYOUT_NHW && request->channels == 1 && !is_thin(reading);
}

/* Images in channels that can only be refused, but that are better refused as such. */
static bool is_readable(const us_layout_reading *reading, const us_layout_request *request) {
    (void)request;
    return reading->channels <= MAX_CHANNELS;
}

static unseen_status fail_doubt(const us_array_header *header, const us_layout_request *request,
                                const us_layout_reading *readings, int count, const char *path,
                                unseen_error *error) {
    char options[128] = "";
    size_t used = 0;
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(options + used, sizeof options - used, "%s%s",
                                 !i               ? ""
                                 : i == count - 1 ? " or "
                                                  : ", ",
                                 us_layout_names[readings[i].layout]);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its shape %s can be read as %s, and the config's input of %d channel%s of "
                   "%dx%d does not tell which: say it by --layout, as in --layout %s (N images, H "
                   "rows, W columns, C channels)",
                   path, us_array_shape_text(header).text, options, request->channels,
                   request->channels == 1 ? "" : "s", request->height, request->width,
                   us_layout_names[readings[0].layout]);
}

static unseen_status fail_shape(const us_array_header *header, const us_layout_request *request,
                                const char *path, unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its shape is %s; images for an input of %d channel%s have one of the "
                   "shapes (number, height, width, channels), (number, channels, height, width), "
                   "(number, height, width) or, of a single image, the same without the number; "
                   "channels are at most %d",
                   path, us_array_shape_text(header).text, request->channels,
                   request->channels == 1 ? "" : "s", MAX_CHANNELS);
}

/* Two axes may also be those of flattened images: only the config's own size leaves no doubt. */
static unseen_status read_plane(const us_array_header *header, const us_layout_request *request,
                                const char *path, us_layout_reading *reading, unseen_error *error) {
    *reading = read_as(header, US_LAYOUT_HW);
    bool hinted = request->when == US_LAYOUT_IN_DOUBT && request->layout == US_LAYOUT_HW;
    if (hinted || (reading->height == request->height && reading->width == request->width))
        return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its shape is %s: one grey image, which --layout HW says, or flattened "
                   "ones, to which np.reshape gives back (number, height, width)",
                   path, us_array_shape_text(header).text);
}

static unseen_status read_auto(const us_array_header *header, const us_layout_request *request,
                               const char *path, us_layout_reading *reading, unseen_error *error) {
    us_layout_reading readings[LAYOUTS];
    int count = 0;
    for (int i = US_LAYOUT_NHWC; i < LAYOUTS; i++)
        if (rank_of((us_layout)i) == header->rank)
            readings[count++] = read_as(header, (us_layout)i);
    if (header->rank == 2) return read_plane(header, request, path, reading, error);
    if (count == 0) return fail_shape(header, request, path, error);
    int found = keep(readings, &count, request, is_exact);
    if (found == 0) {
        /* Few shapes with four axes can be read in several ways; nothing decides between these. */
        found = keep(readings, &count, request, header->rank == 4 ? is_possible : is_plausible);
        if (found > 1 && keep(readings, &count, request, is_grey_set) == 1) found = 1;
        if (found == 0 && keep(readings, &count, request, is_readable) > 0) found = 1;
    }
    if (found == 0) return fail_shape(header, request, path, error);
    *reading = readings[0];
    if (found == 1) return UNSEEN_OK;
    for (int i = 0; i < count; i++) {
        if (request->when != US_LAYOUT_IN_DOUBT || readings[i].layout != request->layout) continue;
        *reading = readings[i];
        return UNSEEN_OK;
    }
    return fail_doubt(header, request, readings, count, path, error);
}

unseen_status us_layout_read(const us_array_header *header, const us_layout_request *request,
                             const char *path, us_layout_reading *reading, unseen_error *error) {
    bool fits = header->rank == rank_of(request->layout);
    bool asked = request->layout != US_LAYOUT_AUTO && request->when != US_LAYOUT_IN_DOUBT;
    if (!asked || (!fits && request->when == US_LAYOUT_OF_ITS_RANK))
        return read_auto(header, request, path, reading, error);
    const char *name = us_layout_names[request->layout];
    if (!fits)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape is %s, which cannot be read as %s (--layout, /input/layout): "
                       "that has %d axes",
                       path, us_array_shape_text(header).text, name, rank_of(request->layout));
    *reading = read_as(header, request->layout);
    if (reading->channels <= MAX_CHANNELS) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: its shape %s, read as %s, has %lld channels; 1 to %d are accepted", path,
                   us_array_shape_text(header).text, name, (long long)reading->channels,
                   MAX_CHANNELS);
}
