/* SPDX-License-Identifier: MIT */
#include "jobs/evaluate_maps.h"

#include <inttypes.h>
#include <stdlib.h>

#include "data/masks.h"
#include "evaluation/pixel_metrics.h"

typedef struct comparison {
    us_array maps;
    us_masks masks;
    us_map_size size; /* of maps */
    us_pixel_evaluation *evaluation;
    float *map, *resized;
    unsigned char *mask;
} comparison;

unseen_status us_evaluate_open_maps(const char *path, us_array *maps, us_map_size *size,
                                    unseen_error *error) {
    const us_array_header *header = &maps->header;
    US_TRY(us_array_open(path, maps, error));
    const int64_t *dims = header->dims;
    bool fits = header->format == US_ARRAY_NPY && header->kind == 'f' && header->item_bytes <= 8 &&
                (header->rank == 3 || (header->rank == 4 && dims[3] == 1)) && !header->fortran;
    if (!fits || dims[1] > INT32_MAX / dims[2])
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s of shape %s; maps are .npy of float16, float32 or float64, "
                       "(number, height, width) in C order",
                       path, us_array_type_text(header).text, us_array_shape_text(header).text);
    *size = (us_map_size){(int)dims[1], (int)dims[2]};
    return UNSEEN_OK;
}

static unseen_status reserve(comparison *c, unseen_error *error) {
    const size_t pixels = (size_t)c->masks.height * (size_t)c->masks.width;
    c->map = malloc((size_t)c->size.height * (size_t)c->size.width * sizeof *c->map);
    c->resized = malloc(pixels * sizeof *c->resized);
    c->mask = malloc(pixels);
    return c->map && c->resized && c->mask ? UNSEEN_OK : us_fail_memory(error, "a map");
}

static unseen_status compare(comparison *c, int64_t image, unseen_error *error) {
    const size_t pixels = (size_t)c->size.height * (size_t)c->size.width;
    const us_map_size size = {c->masks.height, c->masks.width};
    for (size_t p = 0; p < pixels; p++) {
        double value = 0;
        us_array_number(&c->maps, (size_t)image * pixels + p, &value);
        c->map[p] = (float)value;
    }
    us_map_resize(c->map, c->size, c->resized, size);
    us_masks_read(&c->masks, image, c->mask);
    const us_masked_map map = {c->resized, c->mask, size.height, size.width};
    return us_pixel_evaluation_add(c->evaluation, &map, error);
}

unseen_status us_evaluate_open_masks(const char *path, us_map_size size, const us_ids *ids,
                                     us_masks *masks, unseen_error *error) {
    const unseen_events silent = {0};
    const us_photographs_request request = {.height = size.height,
                                            .width = size.width,
                                            .channels = 1,
                                            .fit = US_FIT_RESIZE,
                                            .list = {.split = "test", .masks = true},
                                            .events = &silent};
    US_TRY(us_masks_open(path, &request, masks, error));
    return us_masks_match(masks, ids, error);
}

/* The names of photographs that maps are of; none where they are no photographs. */
static unseen_status name_by_data(const char *data, us_ids *ids, unseen_error *error) {
    const us_photographs_request request = {.list = {.split = "test"}};
    us_file_set set;
    bool photographs;
    US_TRY(us_photographs_are(data, &photographs, error));
    if (!photographs) return UNSEEN_OK;
    US_TRY(us_photographs_list(data, &request, &set, error));
    unseen_status status = us_file_set_ids(&set, "image", ids, error);
    us_file_set_close(&set);
    return status;
}

/* Whose maps these are; *ids is released by the caller, but where they are the scores'. */
static unseen_status name_maps(const unseen_evaluate_options *options, const us_ids *scores,
                               int64_t count, us_ids *ids, bool *borrowed, unseen_error *error) {
    *borrowed = scores && scores->names && !scores->numbers;
    if (*borrowed)
        *ids = *scores;
    else if (options->data)
        US_TRY(name_by_data(options->data, ids, error));
    if (ids->names && ids->count != count)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: %" PRId64 " maps, but %s has %" PRId64
                       " images: there must be one for each, in their order",
                       options->maps, count, ids->path, ids->count);
    if (!ids->names) *ids = (us_ids){.path = options->maps, .what = "maps", .count = count};
    return UNSEEN_OK;
}

unseen_status us_evaluate_maps(const unseen_evaluate_options *options, const us_ids *scores,
                               cJSON *results, unseen_error *error) {
    comparison c = {0};
    us_pixel_metrics metrics;
    us_ids ids = {0};
    bool borrowed = false;
    unseen_status status;
    if (!options->maps || !options->masks)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "maps need masks that they are compared with, and "
                       "masks need maps: give both or neither");
    US_CHECK(us_evaluate_open_maps(options->maps, &c.maps, &c.size, error));
    const int64_t count = c.maps.header.dims[0];
    US_CHECK(name_maps(options, scores, count, &ids, &borrowed, error));
    US_CHECK(us_evaluate_open_masks(options->masks, c.size, &ids, &c.masks, error));
    US_CHECK(reserve(&c, error));
    US_CHECK(us_pixel_evaluation_create(0, &c.evaluation, error));
    for (int64_t i = 0; i < count; i++)
        US_CHECK(compare(&c, i, error));
    US_CHECK(us_array_check(&c.maps, options->maps, error));
    US_CHECK(us_masks_check(&c.masks, error));
    US_CHECK(us_pixel_evaluation_finish(c.evaluation, &metrics, error));
    US_CHECK(us_pixel_metrics_to_json(&metrics, options->masks, results, error));
done:
    if (c.maps.data) us_array_close(&c.maps);
    us_masks_close(&c.masks);
    if (!borrowed && ids.names) us_ids_release(&ids);
    us_pixel_evaluation_destroy(c.evaluation);
    free(c.map);
    free(c.resized);
    free(c.mask);
    return status;
}
