/* SPDX-License-Identifier: MIT */
#include "ops/image_store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/upload.h"

const char *us_image_place_name(us_image_place place) {
    static const char *const names[] = {
        [US_IMAGES_IN_PLACE] = "in place",
        [US_IMAGES_RESIDENT] = "resident",
        [US_IMAGES_STREAMED] = "streamed",
    };
    return names[place];
}

static unseen_status check(const us_image_source *source, unseen_error *error) {
    if (source->count < 1 || source->count > UINT32_MAX || source->height < 1 || source->width < 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%lld images of %d x %d cannot be used: there must be 1 to 2^32 - 1",
                       (long long)source->count, source->height, source->width);
    if (!isfinite(source->black) || !isfinite(source->white) || source->black == source->white)
        return us_fail(error, UNSEEN_BAD_INPUT, "black is %g and white is %g: they must differ",
                       source->black, source->white);
    return UNSEEN_OK;
}

static us_image_place choose_place(const us_image_store *store) {
    const us_device *device = store->device;
    const uint64_t total = (uint64_t)store->image_bytes * (uint64_t)store->source.count;
    const uint64_t memory = device->facts.memory_bytes;
    const uint64_t taken = device->allocated_bytes + memory / 8;
    if (store->source.changing) return US_IMAGES_STREAMED;
    if (us_device_shares_memory(&device->facts)) return US_IMAGES_IN_PLACE;
    return taken <= memory && total <= memory - taken ? US_IMAGES_RESIDENT : US_IMAGES_STREAMED;
}

static unseen_status create_part(us_image_store *store, us_image_part *part, unseen_error *error) {
    const unsigned char *pixels = us_image_store_pixels(store, part->low);
    const size_t bytes = (size_t)part->count * store->image_bytes;
    if (store->place == US_IMAGES_IN_PLACE)
        return us_buffer_in_place(store->device, pixels, bytes, "images", &part->pixels, error);
    US_TRY(us_buffer_create_for_uploads(store->device, bytes, "images", &part->pixels, error));
    /* Drivers that allocate late say here, and not in the middle of an epoch, that there is no
     * room. */
    return us_buffer_write(part->pixels, 0, pixels, store->image_bytes, error);
}

static void destroy_parts(us_image_store *store) {
    for (int p = 0; p < store->part_count; p++)
        us_buffer_destroy(store->parts[p].pixels);
    free(store->parts);
    store->parts = NULL;
    store->part_count = 0;
}

static unseen_status create_parts(us_image_store *store, unseen_error *error) {
    const int64_t count = store->source.count;
    int64_t per_part =
        (int64_t)(store->device->facts.largest_allocation_bytes / store->image_bytes);
    if (per_part < 1)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "one image takes %zu bytes, more than %s can hold in one buffer",
                       store->image_bytes, store->device->facts.name);
    if (store->place == US_IMAGES_STREAMED) return UNSEEN_OK;
    if (per_part > count) per_part = count;
    const int64_t parts = (count + per_part - 1) / per_part;
    store->parts = calloc((size_t)parts, sizeof *store->parts);
    if (!store->parts) return us_fail_memory(error, "images");
    for (int64_t p = 0; p < parts; p++) {
        us_image_part *part = &store->parts[store->part_count++];
        part->low = p * per_part;
        part->count = count - part->low < per_part ? count - part->low : per_part;
        US_TRY(create_part(store, part, error));
    }
    return UNSEEN_OK;
}

unseen_status us_image_store_create(us_device *device, const us_image_source *source,
                                    us_image_store **out, unseen_error *error) {
    *out = NULL;
    US_TRY(check(source, error));
    us_image_store *store = calloc(1, sizeof *store);
    if (!store) return us_fail_memory(error, "images");
    store->device = device;
    store->source = *source;
    store->image_bytes = (size_t)source->height * (size_t)source->width * (size_t)source->channels *
                         (source->is_float ? sizeof(float) : 1);
    store->place = choose_place(store);
    unseen_status status = create_parts(store, error);
    if (status == UNSEEN_OUT_OF_DEVICE_MEMORY && store->place == US_IMAGES_RESIDENT) {
        /* Other programs have taken the memory. */
        destroy_parts(store);
        store->place = US_IMAGES_STREAMED;
        status = create_parts(store, error);
    }
    if (status == UNSEEN_OK)
        *out = store;
    else
        us_image_store_destroy(store);
    return status;
}

void us_image_store_destroy(us_image_store *store) {
    if (!store) return;
    destroy_parts(store);
    free(store);
}

const unsigned char *us_image_store_pixels(const us_image_store *store, int64_t image) {
    return (const unsigned char *)store->source.pixels + (size_t)image * store->image_bytes;
}

/* Whole slots are sent, as far as the part goes. */
static unseen_status send_some(us_image_store *store, const us_image_part *part,
                               unseen_error *error) {
    const int64_t in_slot = US_UPLOAD_BYTES / (int64_t)store->image_bytes;
    const int64_t at = store->sent - part->low, left = part->count - at;
    const int64_t images = in_slot < 1 ? 1 : in_slot < left ? in_slot : left;
    us_upload upload;
    us_upload_begin(&upload, part->pixels, (size_t)at * store->image_bytes, true);
    US_TRY(us_upload_add(&upload, us_image_store_pixels(store, store->sent),
                         (size_t)images * store->image_bytes, error));
    US_TRY(us_upload_end(&upload, error));
    store->sent += images;
    return UNSEEN_OK;
}

unseen_status us_image_store_send(us_image_store *store, int64_t count, unseen_error *error) {
    if (store->place != US_IMAGES_RESIDENT) return UNSEEN_OK;
    for (int p = 0; p < store->part_count; p++) {
        const us_image_part *part = &store->parts[p];
        while (store->sent < count && store->sent < part->low + part->count)
            US_TRY(send_some(store, part, error));
    }
    return UNSEEN_OK;
}
