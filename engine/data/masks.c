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

unseen_status us_masks_open(const char *path, us_masks *masks, unseen_error *error) {
    *masks = (us_masks){0};
    if (!(masks->path = strdup(path))) return us_fail_memory(error, "a path");
    unseen_status status = us_array_open(path, &masks->array, error);
    if (status == UNSEEN_OK) status = take_shape(masks, error);
    if (status != UNSEEN_OK) us_masks_close(masks);
    return status;
}

void us_masks_close(us_masks *masks) {
    if (masks->path) us_array_close(&masks->array);
    free(masks->path);
    *masks = (us_masks){0};
}

unseen_status us_masks_match(const us_masks *masks, int64_t images, const char *images_path,
                             unseen_error *error) {
    if (masks->count == images) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: %" PRId64 " masks for the %" PRId64 " images of %s: there must be one for "
                   "each, in their order, normal images having one of zeros",
                   masks->path, masks->count, images, images_path);
}

void us_masks_read(const us_masks *masks, int64_t image, unsigned char *mask) {
    const size_t pixels = (size_t)masks->height * (size_t)masks->width;
    const size_t start = (size_t)image * pixels;
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
    return us_array_check(&masks->array, masks->path, error);
}
