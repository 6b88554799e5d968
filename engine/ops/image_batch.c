/* SPDX-License-Identifier: MIT */
#include "ops/image_batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

typedef struct us_image_batch_tuning {
    int vectors; /* of the batch per work-item: all of them, or 1 for LANES */
    int strip;   /* pixels of a row per work-item */
} us_image_batch_tuning;

/* Images low .. low + count - 1 of the source. */
typedef struct us_image_part {
    us_buffer *pixels;
    int64_t low, count;
} us_image_part;

struct us_image_loader {
    us_device *device;
    us_image_source source;
    size_t image_bytes;
    int64_t selected;
    int batch;
    us_image_part *parts; /* one, the staging buffer, if staged */
    int part_count;
    bool staged;
    uint32_t *selection;    /* of a staged loader; NULL: all */
    unsigned char *staging; /* host's side of the staging buffer */
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
    if (source->count < 1 || source->count > UINT32_MAX || selected < 1 || selected > UINT32_MAX ||
        source->height < 1 || source->width < 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%lld of %lld images of %d x %d cannot be used: there must be 1 to 2^32 - 1",
                       (long long)selected, (long long)source->count, source->height,
                       source->width);
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
    if (!isfinite(source->black) || !isfinite(source->white) || source->black == source->white)
        return us_fail(error, UNSEEN_BAD_INPUT, "black is %g and white is %g: they must differ",
                       source->black, source->white);
    return UNSEEN_OK;
}

static unseen_status create_parts(us_image_loader *loader, unseen_error *error) {
    us_device *device = loader->device;
    const int64_t count = loader->source.count;
    const size_t total = loader->image_bytes * (size_t)count;
    loader->staged =
        !us_device_shares_memory(&device->facts) && total > device->facts.memory_bytes / 2;
    int64_t per_part = (int64_t)(device->facts.largest_allocation_bytes / loader->image_bytes);
    if (per_part < 1)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "one image takes %zu bytes, more than %s can hold in one buffer",
                       loader->image_bytes, device->facts.name);
    if (loader->staged || per_part > count) per_part = count;
    const int64_t parts = (count + per_part - 1) / per_part;
    loader->parts = calloc((size_t)parts, sizeof *loader->parts);
    if (!loader->parts) return us_fail_memory(error, "an image loader");
    if (loader->staged) {
        const size_t bytes = loader->image_bytes * (size_t)loader->batch;
        loader->staging = malloc(bytes);
        if (!loader->staging) return us_fail_memory(error, "a batch of images");
        loader->part_count = 1;
        loader->parts[0].count = count;
        return us_buffer_create(device, bytes, "a batch of images", &loader->parts[0].pixels,
                                error);
    }
    const unsigned char *pixels = loader->source.pixels;
    for (int64_t p = 0; p < parts; p++) {
        us_image_part *part = &loader->parts[loader->part_count];
        part->low = p * per_part;
        part->count = count - part->low < per_part ? count - part->low : per_part;
        US_TRY(us_buffer_from_host(device, pixels + (size_t)part->low * loader->image_bytes,
                                   (size_t)part->count * loader->image_bytes, "images",
                                   &part->pixels, error));
        loader->part_count++;
    }
    return UNSEEN_OK;
}

static unseen_status create_selection(us_image_loader *loader, const uint32_t *selection,
                                      unseen_error *error) {
    if (!selection) return UNSEEN_OK;
    const size_t bytes = (size_t)loader->selected * sizeof *selection;
    if (loader->staged) {
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
    const us_image_source *source = &loader->source;
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
            "-DBATCH=%d -DCHOSEN=%d -DFLOATS=%d -DSOURCE_CHANNELS=%d -DSOURCE_HEIGHT=%d "
            "-DSOURCE_WIDTH=%d "
            "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DPADDED=%d -DPARTIAL=%d -DIN_ORDER=%d%s "
            "-DSHUFFLE_STREAM=%d "
            "-DFLIP_STREAM=%d -DVECTORS=%d -DSTRIP=%d",
            loader->batch, CHOSEN_AHEAD * loader->batch, source->is_float, source->channels,
            source->height, source->width, shape.channels, shape.height, shape.width,
            source->fit == US_FIT_PAD, loader->part_count > 1, loader->staged, special,
            US_STREAM_SHUFFLE, US_STREAM_FLIP, tuning.vectors, tuning.strip));
    return UNSEEN_OK;
}

unseen_status us_image_loader_create(us_device *device, const us_image_source *source,
                                     const uint32_t *selection, int64_t selected, us_shape shape,
                                     int batch, us_image_loader **out, unseen_error *error) {
    *out = NULL;
    US_TRY(check(source, selection, selected, shape, error));
    us_image_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return us_fail_memory(error, "an image loader");
    loader->device = device;
    loader->source = *source;
    loader->image_bytes = (size_t)source->height * (size_t)source->width *
                          (size_t)source->channels * (source->is_float ? sizeof(float) : 1);
    loader->selected = selected;
    loader->batch = batch;
    loader->scale = 2 / (source->white - source->black);
    loader->offset = -1 - source->black * loader->scale;
    unseen_status status;
    US_CHECK(create_parts(loader, error));
    US_CHECK(create_selection(loader, selection, error));
    /* Kernels may read, and not use, as far as a whole batch after the last one. */
    US_CHECK(us_buffer_create(device, (2 * CHOSEN_AHEAD + 1) * (size_t)batch * sizeof(uint32_t),
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
    for (int p = 0; p < loader->part_count; p++)
        us_buffer_destroy(loader->parts[p].pixels);
    free(loader->parts);
    free(loader->selection);
    free(loader->staging);
    us_buffer_destroy(loader->selection_on_device);
    us_buffer_destroy(loader->chosen);
    us_kernel_destroy(loader->choose);
    us_kernel_destroy(loader->gather);
    free(loader);
}

/* The batch's images, copied to the device in their order. */
static unseen_status stage(us_image_loader *loader, const us_image_batch_args *args,
                           unseen_error *error) {
    const unsigned char *pixels = loader->source.pixels;
    for (int j = 0; j < args->n; j++) {
        uint32_t index = (uint32_t)(args->first + j);
        if (args->shuffle)
            index = us_random_permute(args->seed, US_STREAM_SHUFFLE, args->epoch,
                                      (uint32_t)loader->selected, index);
        if (loader->selection) index = loader->selection[index];
        memcpy(loader->staging + (size_t)j * loader->image_bytes,
               pixels + (size_t)index * loader->image_bytes, loader->image_bytes);
    }
    return us_buffer_write(loader->parts[0].pixels, 0, loader->staging,
                           (size_t)args->n * loader->image_bytes, error);
}

static bool is_chosen(const us_image_loader *loader, const us_image_batch_args *args) {
    const us_image_batch_args *last = &loader->last;
    return args->first >= loader->chosen_first && args->first + args->n <= loader->chosen_end &&
           args->shuffle == last->shuffle && args->flip == last->flip && args->seed == last->seed &&
           args->epoch == last->epoch;
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
    US_TRY(us_kernel_run(loader->choose, groups, error, "bbuuiiiUu", loader->selection_on_device,
                         loader->chosen, (uint32_t)loader->selected, (uint32_t)args->first,
                         (int32_t)count, args->shuffle, args->flip, args->seed, args->epoch));
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
    if (loader->staged) US_TRY(stage(loader, args, error));
    if (!is_chosen(loader, args)) US_TRY(choose(loader, args, error));
    const int32_t at = (int32_t)(args->first - loader->chosen_first);
    for (int p = 0; p < loader->part_count; p++)
        US_TRY(us_kernel_run(loader->gather, loader->groups, error, "bbibiuuff",
                             loader->parts[p].pixels, loader->chosen, at, args->out, args->n,
                             (uint32_t)loader->parts[p].low, (uint32_t)loader->parts[p].count,
                             loader->scale, loader->offset));
    return UNSEEN_OK;
}
