/* SPDX-License-Identifier: MIT */
#include "jobs/shown_images.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/photograph_pool.h"
#include "data/photographs.h"
#include "jobs/evaluate_maps.h"
#include "jobs/pictures.h"

/* ---- opening ---- */

static unseen_status open_array(const unseen_evaluate_options *options, us_shown_images *shown,
                                unseen_error *error) {
    const us_layout layout = options->layout ? us_layout_find(options->layout) : US_LAYOUT_AUTO;
    const us_layout_request request = {.layout = layout,
                                       .when = layout == US_LAYOUT_AUTO ? US_LAYOUT_OF_ITS_RANK
                                                                        : US_LAYOUT_ALWAYS};
    us_range range;
    US_TRY(us_images_open(options->data, &request, &shown->images, error));
    US_TRY(us_images_range(&shown->images, &range, error));
    const us_images *images = &shown->images;
    shown->ends = us_range_get(range);
    shown->shape =
        (us_shape){.channels = images->channels, .height = images->height, .width = images->width};
    shown->ids = (us_ids){.path = options->data, .what = "images", .count = images->count};
    return UNSEEN_OK;
}

static unseen_status open_photographs(const char *path, int64_t scores, us_shown_images *shown,
                                      unseen_error *error) {
    us_photographs_request request = {.list.split = NULL};
    US_TRY(us_photographs_list(path, &request, &shown->set, error));
    if (shown->set.count != scores) { /* a list, of which the rows of the test were scored */
        us_file_set_close(&shown->set);
        request.list.split = "test";
        US_TRY(us_photographs_list(path, &request, &shown->set, error));
    }
    US_TRY(us_photograph_start(error));
    shown->shape = (us_shape){
        .channels = 3, .height = US_PICTURE_LARGEST_SIDE, .width = US_PICTURE_LARGEST_SIDE};
    return us_file_set_ids(&shown->set, "images", &shown->ids, error);
}

static unseen_status join(const us_ids *scores, us_shown_images *shown, unseen_error *error) {
    us_join joined;
    us_ids images = shown->ids;
    if (!scores->names || scores->numbers) images.names = NULL; /* places, as of an array */
    US_TRY(us_ids_join(&images, scores, &joined, error));
    shown->places = joined.order;
    return UNSEEN_OK;
}

unseen_status us_shown_images_open(const unseen_evaluate_options *options, const us_ids *scores,
                                   us_shown_images *shown, unseen_error *error) {
    bool photographs;
    *shown = (us_shown_images){0};
    US_TRY(us_photographs_are(options->data, &photographs, error));
    US_TRY(photographs ? open_photographs(options->data, scores->count, shown, error)
                       : open_array(options, shown, error));
    US_TRY(join(scores, shown, error));
    if (!options->maps) return UNSEEN_OK;
    US_TRY(us_evaluate_open_maps(options->maps, &shown->maps, &shown->size, error));
    if (shown->maps.header.dims[0] == shown->ids.count) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: %lld maps for the %lld images of %s",
                   options->maps, (long long)shown->maps.header.dims[0],
                   (long long)shown->ids.count, options->data);
}

void us_shown_images_close(us_shown_images *shown) {
    if (shown->maps.data) us_array_close(&shown->maps);
    if (shown->images.path) us_images_close(&shown->images);
    us_file_set_close(&shown->set);
    us_ids_release(&shown->ids);
    free(shown->places);
    *shown = (us_shown_images){0};
}

/* ---- pixels ---- */

/* From any layout and range to planes of -1 to 1. */
static void normalise(const us_shown_images *shown, const void *pixels, bool is_float, bool planar,
                      float *out) {
    const us_shape shape = shown->shape;
    const size_t plane = (size_t)shape.height * (size_t)shape.width;
    const us_range_ends ends = shown->ends;
    for (size_t p = 0; p < plane; p++)
        for (size_t c = 0; c < (size_t)shape.channels; c++) {
            const size_t at = planar ? c * plane + p : p * (size_t)shape.channels + c;
            const double value =
                is_float ? ((const float *)pixels)[at] : ((const unsigned char *)pixels)[at];
            out[c * plane + p] = (float)(2 * (value - ends.black) / (ends.white - ends.black) - 1);
        }
}

/* The chosen photographs as a set of their own, in the order of their names, as sets are. */
static unseen_status choose(const us_shown_images *shown, const int64_t *images, int count,
                            us_file_set *set, int *ranks, unseen_error *error) {
    *set = (us_file_set){.kind = shown->set.kind, .path = shown->set.path};
    if (shown->set.base && !(set->base = strdup(shown->set.base)))
        return us_fail_memory(error, "a path");
    for (int64_t i = 0; i < shown->set.count; i++)
        for (int k = 0; k < count; k++) {
            if (images[k] != i) continue;
            if (!set->count || strcmp(set->files[set->count - 1].name, shown->set.files[i].name))
                US_TRY(us_file_set_add(set, &shown->set.files[i], error));
            ranks[k] = (int)set->count - 1;
        }
    return UNSEEN_OK;
}

static unseen_status decode(us_shown_images *shown, const int64_t *images, int count, int *ranks,
                            int descriptor, unseen_error *error) {
    const us_photograph_form form = {.height = shown->shape.height,
                                     .width = shown->shape.width,
                                     .channels = shown->shape.channels,
                                     .value_bytes = 1,
                                     .fit = US_FIT_PAD};
    us_file_set set;
    unseen_status status = choose(shown, images, count, &set, ranks, error);
    if (status == UNSEEN_OK)
        status = us_photographs_decode(&set, &form, descriptor, 0, NULL, error);
    us_file_set_close(&set);
    return status;
}

/* ---- handing out ---- */

typedef struct handing {
    us_shown_images *shown;
    const us_map_consumer *consumer;
    int descriptor; /* of decoded photographs */
    unsigned char *decoded;
    float *pixels, *map, *resized; /* of an image */
} handing;

static void take_map(const handing *h, int64_t image) {
    const us_shown_images *shown = h->shown;
    const size_t pixels = (size_t)shown->size.height * (size_t)shown->size.width;
    for (size_t p = 0; p < pixels; p++) {
        double value = 0;
        us_array_number(&shown->maps, (size_t)image * pixels + p, &value);
        h->map[p] = (float)value;
    }
    us_map_resize(h->map, shown->size, h->resized,
                  (us_map_size){shown->shape.height, shown->shape.width});
}

static unseen_status hand_out(const handing *h, int64_t place, int64_t image, int rank,
                              unseen_error *error) {
    us_shown_images *shown = h->shown;
    const us_images *images = &shown->images;
    const size_t bytes = us_shape_size(shown->shape);
    if (!shown->set.count) {
        const char *at =
            (const char *)images->pixels + (size_t)image * us_images_image_bytes(images);
        normalise(shown, at, images->pixel == US_PIXEL_FLOAT32, images->planar, h->pixels);
    } else {
        if (pread(h->descriptor, h->decoded, bytes, (off_t)rank * (off_t)bytes) != (ssize_t)bytes)
            return us_fail(error, UNSEEN_FAILURE, "%s: cannot keep its photographs",
                           shown->set.path);
        normalise(shown, h->decoded, false, false, h->pixels);
    }
    if (shown->maps.data) take_map(h, image);
    const us_mapped_image mapped = {
        .place = place, .map = shown->maps.data ? h->resized : NULL, .pixels = h->pixels};
    return h->consumer->take(h->consumer->user, &mapped, error);
}

static unseen_status reserve(handing *h, unseen_error *error) {
    const us_shown_images *shown = h->shown;
    const size_t plane = (size_t)shown->shape.height * (size_t)shown->shape.width;
    h->decoded = malloc(us_shape_size(shown->shape));
    h->pixels = malloc(us_shape_size(shown->shape) * sizeof *h->pixels);
    h->resized = malloc(plane * sizeof *h->resized);
    h->map = malloc(((size_t)shown->size.height * (size_t)shown->size.width + 1) * sizeof *h->map);
    return h->decoded && h->pixels && h->resized && h->map ? UNSEEN_OK
                                                           : us_fail_memory(error, "a picture");
}

unseen_status us_shown_images_show(void *user, const uint32_t *rows, int count,
                                   const us_map_consumer *consumer, unseen_error *error) {
    us_shown_images *shown = user;
    handing h = {.shown = shown, .consumer = consumer, .descriptor = -1};
    int64_t *images = malloc((size_t)count * sizeof *images);
    int *ranks = calloc((size_t)count, sizeof *ranks);
    unseen_status status =
        images && ranks ? reserve(&h, error) : us_fail_memory(error, "a picture");
    for (int k = 0; status == UNSEEN_OK && k < count; k++)
        images[k] = shown->places ? shown->places[rows[k]] : rows[k];
    if (status == UNSEEN_OK && shown->set.count) {
        shown->ends = us_range_get(US_RANGE_BYTE);
        h.descriptor = memfd_create("unseen", MFD_CLOEXEC);
        status = h.descriptor < 0 ? us_fail_memory(error, "photographs")
                                  : decode(shown, images, count, ranks, h.descriptor, error);
    }
    for (int k = 0; status == UNSEEN_OK && k < count; k++)
        status = hand_out(&h, k, images[k], ranks[k], error);
    if (status == UNSEEN_OK && !shown->set.count) status = us_images_check(&shown->images, error);
    if (h.descriptor >= 0) close(h.descriptor);
    free(images);
    free(ranks);
    free(h.decoded);
    free(h.pixels);
    free(h.resized);
    free(h.map);
    return status;
}
