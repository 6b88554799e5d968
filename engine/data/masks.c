/* SPDX-License-Identifier: MIT */
#include "data/masks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static unseen_status take_shape(us_masks *masks, unseen_error *error) {
    const us_array_header *header = &masks->array.header;
    const int64_t *dims = header->dims;
    const bool numbers = header->format != US_ARRAY_OTHER &&
                         (header->kind == 'u' || header->kind == 'i' || header->kind == 'b');
    const bool first = numbers && header->rank == 4 && dims[1] == 1 && dims[3] != 1;
    const bool last = numbers && header->rank == 4 && dims[3] == 1;
    if (!numbers || !(header->rank == 3 || first || last))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s%s%s; masks are an array of whole numbers or bool, 0 where an "
                       "image is normal, of the shape (number, height, width)",
                       masks->path,
                       header->format == US_ARRAY_OTHER ? "no array"
                                                        : us_array_type_text(header).text,
                       header->format == US_ARRAY_OTHER ? "" : " of shape ",
                       header->format == US_ARRAY_OTHER ? "" : us_array_shape_text(header).text);
    if (header->fortran)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: masks in Fortran order are not read; numpy.ascontiguousarray makes "
                       "them others",
                       masks->path);
    const int64_t height = dims[first ? 2 : 1], width = dims[first ? 3 : 2];
    if (height > INT32_MAX || width > INT32_MAX || height * width > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: masks of %" PRId64 " x %" PRId64 " pixels",
                       masks->path, height, width);
    masks->count = dims[0];
    masks->height = (int)height;
    masks->width = (int)width;
    return UNSEEN_OK;
}

static unseen_status take_photographs(us_masks *masks, const us_photographs_request *request,
                                      unseen_error *error) {
    us_images *images = &masks->photographs;
    US_TRY(us_photographs_open(masks->path, request, images, error));
    masks->count = images->count;
    masks->height = images->height;
    masks->width = images->width;
    return UNSEEN_OK;
}

unseen_status us_masks_open(const char *path, const us_photographs_request *request,
                            us_masks *masks, unseen_error *error) {
    bool photographs = false;
    *masks = (us_masks){0};
    if (!(masks->path = strdup(path))) return us_fail_memory(error, "a path");
    unseen_status status = request ? us_photographs_are(path, &photographs, error) : UNSEEN_OK;
    if (status == UNSEEN_OK && photographs)
        status = take_photographs(masks, request, error);
    else if (status == UNSEEN_OK)
        status = us_array_open(path, &masks->array, error);
    if (status == UNSEEN_OK && !photographs) status = take_shape(masks, error);
    if (status != UNSEEN_OK) us_masks_close(masks);
    return status;
}

void us_masks_close(us_masks *masks) {
    if (masks->array.data) us_array_close(&masks->array);
    if (masks->photographs.path) us_images_close(&masks->photographs);
    free(masks->order);
    free(masks->path);
    *masks = (us_masks){0};
}

/* ---- which mask is whose ---- */

typedef struct key {
    us_name name; /* without the ending */
    int64_t mask;
} key;

static us_name without(us_name name, const char *ending) {
    const size_t length = strlen(ending);
    if (name.length > length && memcmp(name.text + name.length - length, ending, length) == 0)
        name.length -= length;
    return name;
}

static us_name stem(us_name name) {
    for (size_t i = name.length; i > 0 && name.text[i - 1] != '/'; i--)
        if (name.text[i - 1] == '.' && i > 1) {
            name.length = i - 1;
            break;
        }
    return name;
}

static int compare(const void *left, const void *right) {
    const us_name *a = &((const key *)left)->name, *b = &((const key *)right)->name;
    const size_t shorter = a->length < b->length ? a->length : b->length;
    const int order = memcmp(a->text, b->text, shorter);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static key *sorted_keys(const us_masks *masks) {
    key *keys = malloc((size_t)masks->count * sizeof *keys);
    for (int64_t i = 0; keys && i < masks->count; i++)
        keys[i] = (key){without(stem(masks->photographs.ids.names[i]), "_mask"), i};
    if (keys) qsort(keys, (size_t)masks->count, sizeof *keys, compare);
    return keys;
}

/* Every mask must have been found by one image: else most likely all names are meant otherwise. */
static unseen_status check_all_found(const us_masks *masks, const bool *found, const us_ids *images,
                                     unseen_error *error) {
    for (int64_t i = 0; i < masks->count; i++) {
        const us_name name = masks->photographs.ids.names[i];
        if (!found[i])
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: no image of %s has the name of the mask %.*s (without the endings "
                           "and \"_mask\")",
                           masks->path, images->path, (int)name.length, name.text);
    }
    return UNSEEN_OK;
}

static unseen_status match_names(us_masks *masks, const us_ids *images, unseen_error *error) {
    if (!images->names || !masks->photographs.ids.names)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: masks that are photographs find their images by name, and those of %s "
                       "have none: give masks as an array (number, height, width), or to eval the "
                       "images by --data",
                       masks->path, images->path);
    key *keys = sorted_keys(masks);
    bool *found = calloc((size_t)masks->count, sizeof *found);
    masks->order = malloc((size_t)images->count * sizeof *masks->order);
    unseen_status status =
        keys && found && masks->order ? UNSEEN_OK : us_fail_memory(error, "masks");
    for (int64_t i = 0; status == UNSEEN_OK && i < images->count; i++) {
        const key wanted = {.name = stem(images->names[i])};
        const key *at = bsearch(&wanted, keys, (size_t)masks->count, sizeof *keys, compare);
        masks->order[i] = at ? at->mask : -1;
        if (at) found[at->mask] = true;
    }
    if (status == UNSEEN_OK) status = check_all_found(masks, found, images, error);
    free(keys);
    free(found);
    return status;
}

unseen_status us_masks_match(us_masks *masks, const us_ids *images, unseen_error *error) {
    if (masks->photographs.path) return match_names(masks, images, error);
    if (masks->count == images->count) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: %" PRId64 " masks for the %" PRId64 " images of %s: there must be one for "
                   "each, in their order, normal images having one of zeros",
                   masks->path, masks->count, images->count, images->path);
}

/* ---- reading ---- */

static void read_photograph(const us_masks *masks, int64_t image, unsigned char *mask) {
    const size_t pixels = (size_t)masks->height * (size_t)masks->width;
    const int64_t place = masks->order[image];
    memset(mask, 0, pixels);
    if (place < 0) return;
    const unsigned char *values =
        (const unsigned char *)masks->photographs.pixels + (size_t)place * pixels;
    for (size_t p = 0; p < pixels; p++)
        mask[p] = values[p] > 127;
}

void us_masks_read(const us_masks *masks, int64_t image, unsigned char *mask) {
    const size_t pixels = (size_t)masks->height * (size_t)masks->width;
    const size_t start = (size_t)image * pixels;
    if (masks->order) {
        read_photograph(masks, image, mask);
        return;
    }
    for (size_t p = 0; p < pixels; p++) {
        int64_t value = 1;
        if (masks->array.header.item_bytes == 1)
            value = masks->array.data[start + p];
        else if (!us_array_integer(&masks->array, start + p, &value))
            value = 1;
        mask[p] = value != 0;
    }
}

unseen_status us_masks_check(const us_masks *masks, unseen_error *error) {
    return masks->order ? us_images_check(&masks->photographs, error)
                        : us_array_check(&masks->array, masks->path, error);
}
