/* SPDX-License-Identifier: MIT */
#include "ops/image_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "device/upload.h"

typedef struct us_image_batch_tuning {
    int vectors; /* of the batch per work-item: all of them, or 1 for LANES */
    int strip;   /* pixels of a row per work-item */
} us_image_batch_tuning;

/* Of streamed images: so that one batch is sent while another is used. */
enum { SLOTS = 2 };

struct us_image_loader {
    us_image_store *store;
    us_device *device; /* the store's */
    int64_t selected;
    int batch;
    bool streamed;
    us_buffer *slots[SLOTS]; /* of streamed images, a batch each, in its order */
    int next;
    uint32_t *selection; /* of streamed images; NULL: all */
    us_buffer *selection_on_device;
    us_buffer *chosen;        /* images of some batches to come, so that few launches choose */
    us_image_batch_args last; /* how they were chosen */
    int64_t chosen_first, chosen_end; /* their places; equal: there are none yet */
    us_kernel *choose, *gather;
    size_t groups[3];
    double scale, offset; /* from a stored value to a normalised one */
};

enum { CHOSEN_AHEAD = 64 /* batches */, TILE_VALUES = 64, MAX_SOURCE_CHANNELS = 16 };

static us_image_batch_tuning image_batch_tuning_default(const us_device_facts *device,
                                                        us_shape shape, int batch) {
    const bool lanes = device->execution == US_EXECUTION_LANES;
    us_image_batch_tuning tuning = {.vectors = lanes ? 1 : us_device_vectors(device, batch)};
    int strip = TILE_VALUES / (shape.channels < TILE_VALUES ? shape.channels : TILE_VALUES);
    if (strip > 16) strip = 16;
    if (strip > shape.width) strip = shape.width;
    /* A length that divides the width leaves no remainder: take the nearest that is not tiny. */
    tuning.strip = strip;
    for (int s = strip; s > strip / 2; s--)
        if (shape.width % s == 0) {
            tuning.strip = s;
            break;
        }
    return tuning;
}

static unseen_status check(const us_image_source *source, const uint32_t *selection,
                           int64_t selected, us_shape shape, unseen_error *error) {
    if (selected < 1 || selected > UINT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%lld of %lld images cannot be used: there must be 1 to 2^32 - 1",
                       (long long)selected, (long long)source->count);
    if (!selection && selected > source->count)
        return us_fail(error, UNSEEN_BAD_INPUT, "%lld images were asked for, and there are %lld",
                       (long long)selected, (long long)source->count);
    for (int64_t i = 0; selection && i < selected; i++)
        if (selection[i] >= source->count)
            return us_fail(error, UNSEEN_BAD_INPUT, "image %lu was asked for, and there are %lld",
                           (unsigned long)selection[i], (long long)source->count);
    const bool possible = source->channels == shape.channels || source->channels == 1 ||
                          (source->channels == 3 && shape.channels == 1);
    if (source->channels < 1 || !possible || source->channels > MAX_SOURCE_CHANNELS)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "images of %d channels cannot be made into an input of %d: set "
                       "/input/channels to %d, or use grey or RGB images",
                       source->channels, shape.channels, source->channels);
    return UNSEEN_OK;
}

static unseen_status create_slots(us_image_loader *loader, unseen_error *error) {
    const size_t bytes = loader->store->image_bytes * (size_t)loader->batch;
    for (int s = 0; loader->streamed && s < SLOTS; s++)
        US_TRY(us_buffer_create_for_uploads(loader->device, bytes, "a batch of images",
                                            &loader->slots[s], error));
    return UNSEEN_OK;
}

static unseen_status create_selection(us_image_loader *loader, const uint32_t *selection,
                                      unseen_error *error) {
    if (!selection) return UNSEEN_OK;
    const size_t bytes = (size_t)loader->selected * sizeof *selection;
    if (loader->streamed) {
        loader->selection = malloc(bytes);
        if (!loader->selection) return us_fail_memory(error, "a selection of images");
        memcpy(loader->selection, selection, bytes);
    }
    US_TRY(us_buffer_create(loader->device, bytes, "a selection of images",
                            &loader->selection_on_device, error));
    return us_buffer_write(loader->selection_on_device, 0, selection, bytes, error);
}

static unseen_status create_kernels(us_image_loader *loader, us_shape shape, unseen_error *error) {
    us_device *device = loader->device;
    const us_image_source *source = &loader->store->source;
    const us_image_batch_tuning tuning =
        image_batch_tuning_default(&device->facts, shape, loader->batch);
    loader->groups[0] = (size_t)(us_device_vectors(&device->facts, loader->batch) / tuning.vectors);
    loader->groups[1] = (size_t)((shape.width + tuning.strip - 1) / tuning.strip);
    loader->groups[2] = (size_t)shape.height;
    char special[128] = "";
    size_t used = 0;
    if (source->planar) used = (size_t)snprintf(special, sizeof special, " -DPLANAR=1");
    if (source->clip)
        snprintf(special + used, sizeof special - used, " -DLEAST=%d.0f -DGREATEST=%d.0f",
                 (int)source->black, (int)source->white);
    const char *const names[] = {"image_batch_choose", "image_batch_gather"};
    us_kernel **const kernels[] = {&loader->choose, &loader->gather};
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_IMAGES, .label.pass = US_PASS_IMAGES};
    for (int i = 0; i < 2; i++)
        US_TRY(us_kernel_create(
            &build, "image_batch", names[i], kernels[i], error,
            "-DBATCH=%d -DFLOATS=%d -DSOURCE_CHANNELS=%d -DSOURCE_HEIGHT=%d "
            "-DSOURCE_WIDTH=%d "
            "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DPADDED=%d -DCROPPED=%d -DPARTIAL=%d "
            "-DIN_ORDER=%d%s "
            "-DSHUFFLE_STREAM=%d "
            "-DVECTORS=%d -DSTRIP=%d",
            loader->batch, source->is_float, source->channels, source->height, source->width,
            shape.channels, shape.height, shape.width, source->fit == US_FIT_PAD,
            source->fit == US_FIT_CROP, loader->store->part_count > 1, loader->streamed, special,
            US_STREAM_SHUFFLE, tuning.vectors, tuning.strip));
    return UNSEEN_OK;
}

unseen_status us_image_loader_create(us_image_store *store, const uint32_t *selection,
                                     int64_t selected, us_shape shape, int batch,
                                     us_image_loader **out, unseen_error *error) {
    *out = NULL;
    const us_image_source *source = &store->source;
    US_TRY(check(source, selection, selected, shape, error));
    us_image_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return us_fail_memory(error, "an image loader");
    loader->store = store;
    loader->device = store->device;
    loader->streamed = store->place == US_IMAGES_STREAMED;
    loader->selected = selected;
    loader->batch = batch;
    loader->scale = 2 / (source->white - source->black);
    loader->offset = -1 - source->black * loader->scale;
    unseen_status status;
    US_CHECK(create_slots(loader, error));
    US_CHECK(create_selection(loader, selection, error));
    /* Kernels may read, and not use, as far as a whole batch after the last one. */
    US_CHECK(us_buffer_create(loader->device, (CHOSEN_AHEAD + 1) * (size_t)batch * sizeof(uint32_t),
                              "the chosen images", &loader->chosen, error));
    US_CHECK(create_kernels(loader, shape, error));
    *out = loader;
    return UNSEEN_OK;

done:
    us_image_loader_destroy(loader);
    return status;
}

void us_image_loader_destroy(us_image_loader *loader) {
    if (!loader) return;
    for (int s = 0; s < SLOTS; s++)
        us_buffer_destroy(loader->slots[s]);
    free(loader->selection);
    us_buffer_destroy(loader->selection_on_device);
    us_buffer_destroy(loader->chosen);
    us_kernel_destroy(loader->choose);
    us_kernel_destroy(loader->gather);
    free(loader);
}

/* Sends the batch's images to the next slot, in their order. */
static unseen_status fill_slot(us_image_loader *loader, const us_image_batch_args *args,
                               us_image_part *slot, unseen_error *error) {
    us_upload upload;
    *slot = (us_image_part){.pixels = loader->slots[loader->next],
                            .count = loader->store->source.count};
    loader->next = (loader->next + 1) % SLOTS;
    us_upload_begin(&upload, slot->pixels, 0, false);
    for (int j = 0; j < args->n; j++) {
        uint32_t index = (uint32_t)(args->first + j);
        if (args->shuffle)
            index = us_random_permute(args->seed, US_STREAM_SHUFFLE, args->epoch,
                                      (uint32_t)loader->selected, index);
        if (loader->selection) index = loader->selection[index];
        US_TRY(us_upload_add(&upload, us_image_store_pixels(loader->store, index),
                             loader->store->image_bytes, error));
    }
    return us_upload_end(&upload, error);
}

/* How many of the store's first images must be there: a batch in stored order needs those up to its
 * last one, and others any. */
static int64_t images_needed(const us_image_loader *loader, const us_image_batch_args *args) {
    const bool in_order = !loader->selection_on_device && !args->shuffle;
    return in_order ? args->first + args->n : loader->store->source.count;
}

unseen_status us_image_batch_send_next(us_image_loader *loader, const us_image_batch_args *args,
                                       unseen_error *error) {
    const int64_t slot = US_UPLOAD_BYTES / (int64_t)loader->store->image_bytes;
    const int64_t more = args->n > slot ? args->n : slot;
    int64_t count = images_needed(loader, args) + more;
    if (count > loader->store->source.count) count = loader->store->source.count;
    return us_image_store_send(loader->store, count, error);
}

static bool is_chosen(const us_image_loader *loader, const us_image_batch_args *args) {
    const us_image_batch_args *last = &loader->last;
    return args->first >= loader->chosen_first && args->first + args->n <= loader->chosen_end &&
           args->shuffle == last->shuffle && args->seed == last->seed && args->epoch == last->epoch;
}

/* The batch's images, and those of some more that probably come after it. */
static unseen_status choose(us_image_loader *loader, const us_image_batch_args *args,
                            unseen_error *error) {
    const int64_t most = (int64_t)CHOSEN_AHEAD * loader->batch,
                  left = loader->selected - args->first;
    const int64_t count = left < most ? left : most;
    const int64_t group = loader->device->facts.group_size;
    const size_t groups[3] = {(size_t)((count + group - 1) / group), 1, 1};
    loader->chosen_end = loader->chosen_first = args->first; /* none, if this fails */
    US_TRY(us_kernel_run(loader->choose, groups, error, "bbuuiiUu", loader->selection_on_device,
                         loader->chosen, (uint32_t)loader->selected, (uint32_t)args->first,
                         (int32_t)count, args->shuffle, args->seed, args->epoch));
    loader->last = *args;
    loader->chosen_end = args->first + count;
    return UNSEEN_OK;
}

unseen_status us_image_batch_load(us_image_loader *loader, const us_image_batch_args *args,
                                  unseen_error *error) {
    if (args->n < 1 || args->n > loader->batch || args->first < 0 ||
        args->first > loader->selected - args->n)
        return us_fail(error, UNSEEN_FAILURE,
                       "images %lld to %lld were asked for, of %lld in "
                       "batches of %d",
                       (long long)args->first, (long long)(args->first + args->n - 1),
                       (long long)loader->selected, loader->batch);
    const us_image_part *parts = loader->store->parts;
    us_image_part slot;
    int part_count = loader->store->part_count;
    if (loader->streamed) {
        US_TRY(fill_slot(loader, args, &slot, error));
        parts = &slot;
        part_count = 1;
    }
    US_TRY(us_image_store_send(loader->store, images_needed(loader, args), error));
    if (!is_chosen(loader, args)) US_TRY(choose(loader, args, error));
    const int32_t at = (int32_t)(args->first - loader->chosen_first);
    for (int p = 0; p < part_count; p++)
        US_TRY(us_kernel_run(loader->gather, loader->groups, error, "bbibiuuff", parts[p].pixels,
                             loader->chosen, at, args->out, args->n, (uint32_t)parts[p].low,
                             (uint32_t)parts[p].count, loader->scale, loader->offset));
    return UNSEEN_OK;
}
