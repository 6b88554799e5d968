/* SPDX-License-Identifier: MIT */
#include "training/synthetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "training/windows.h"

enum { MOST_IMAGES = 256, LEAST_IMAGES = 96, MOST_VALUES = 1 << 22 };
enum { LOADED = 32 /* images on the device at a time */ };

/* ---- normal images ---- */

/* Values from -1 to 1, [channels][height][width][lanes], become bytes, pixel by pixel. */
static void keep(us_synthetic_base *base, const float *values, size_t lanes, int64_t first, int n) {
    const size_t pixels = (size_t)base->shape.height * (size_t)base->shape.width;
    const size_t channels = (size_t)base->shape.channels;
    unsigned char *out = base->pixels + (size_t)first * pixels * channels;
    for (int i = 0; i < n; i++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t k = 0; k < channels; k++) {
                const float value = values[(k * pixels + p) * lanes + (size_t)i];
                const float byte = (value + 1) * 127.5f + 0.5f;
                *out++ = byte <= 0 ? 0 : byte >= 255 ? 255 : (unsigned char)byte;
            }
}

/* Brings the selected images to the device, where they are fitted, and back. */
static unseen_status load(us_device *device, us_dataset *dataset, const uint32_t *selection,
                          us_synthetic_base *base, unseen_error *error) {
    const int batch = base->count < LOADED ? (int)base->count : LOADED;
    const int padded = us_device_pad(&device->facts, batch);
    const size_t bytes = us_shape_size(base->shape) * (size_t)padded * sizeof(float);
    us_image_loader *loader = NULL;
    us_buffer *images = NULL;
    float *values = malloc(bytes);
    unseen_status status = values ? UNSEEN_OK : us_fail_memory(error, "images");
    if (status == UNSEEN_OK)
        status = us_dataset_loader(dataset, device, base->shape, padded, selection, base->count,
                                   &loader, error);
    if (status == UNSEEN_OK) status = us_buffer_create(device, bytes, "images", &images, error);
    for (int64_t first = 0; status == UNSEEN_OK && first < base->count; first += batch) {
        const int n = base->count - first < batch ? (int)(base->count - first) : batch;
        const us_image_batch_args args = {.out = images, .first = first, .n = n};
        status = us_image_batch_load(loader, &args, error);
        if (status == UNSEEN_OK) status = us_buffer_read(images, 0, values, bytes, error);
        if (status == UNSEEN_OK) keep(base, values, (size_t)padded, first, n);
    }
    free(values);
    us_image_loader_destroy(loader);
    us_buffer_destroy(images);
    return status == UNSEEN_OK ? us_images_check(&dataset->images, error) : status;
}

/* Some of `all`, the same ones for the same seed. */
static unseen_status choose(const uint32_t *all, int64_t count, int64_t most, uint64_t seed,
                            uint32_t **selection, int64_t *selected, unseen_error *error) {
    *selected = count < most ? count : most;
    *selection = malloc((size_t)*selected * sizeof **selection);
    if (!*selection) return us_fail_memory(error, "a selection");
    for (int64_t i = 0; i < *selected; i++) {
        const uint32_t at =
            us_random_permute(seed, US_STREAM_SYNTHETIC, 0, (uint32_t)count, (uint32_t)i);
        (*selection)[i] = all ? all[at] : at;
    }
    return UNSEEN_OK;
}

unseen_status us_synthetic_take(us_device *device, us_shape shape, const us_scored_images *normal,
                                uint64_t seed, us_synthetic_base *base, unseen_error *error) {
    us_dataset *dataset = normal->dataset;
    const bool cut = dataset->images.tiling.count > 0;
    const int64_t room = MOST_VALUES / (int64_t)us_shape_size(shape);
    const int64_t most = room > MOST_IMAGES    ? MOST_IMAGES
                         : room < LEAST_IMAGES ? LEAST_IMAGES
                                               : room;
    uint32_t *windows = NULL, *selection = NULL;
    int64_t count = normal->count;
    *base = (us_synthetic_base){.shape = shape, .seed = seed};
    unseen_status status = UNSEEN_OK;
    if (cut) {
        count = us_windows_count(dataset, normal->selection, normal->count);
        status = us_windows_select(dataset, normal->selection, normal->count, &windows, error);
    }
    if (status == UNSEEN_OK)
        status = choose(cut ? windows : normal->selection, count, most, seed, &selection,
                        &base->count, error);
    free(windows);
    base->pixels = malloc((size_t)base->count * us_shape_size(shape) + 1);
    if (status == UNSEEN_OK && !base->pixels) status = us_fail_memory(error, "images");
    if (status == UNSEEN_OK) status = load(device, dataset, selection, base, error);
    free(selection);
    return status;
}

void us_synthetic_release(us_synthetic_base *base) {
    free(base->pixels);
    base->pixels = NULL;
}

/* ---- anomalies ---- */

unseen_status us_synthetic_make(const us_synthetic_base *base, int kind, us_dataset *images,
                                unseen_error *error) {
    const us_shape shape = base->shape;
    const size_t bytes = us_shape_size(shape);
    unsigned char *pixels = malloc((size_t)base->count * bytes);
    float *scratch = malloc(bytes * sizeof *scratch);
    *images = (us_dataset){0};
    if (!pixels || !scratch) {
        free(pixels);
        free(scratch);
        return us_fail_memory(error, "images");
    }
    for (int64_t i = 0; i < base->count; i++) {
        const us_synthetic_image image = {.height = shape.height,
                                          .width = shape.width,
                                          .channels = shape.channels,
                                          .normal = base->pixels + (size_t)i * bytes,
                                          .other = base->pixels +
                                                   (size_t)((i + 1 + i % 7) % base->count) * bytes,
                                          .seed = base->seed,
                                          .index = (uint64_t)i,
                                          .scratch = scratch};
        unsigned char *out = pixels + (size_t)i * bytes;
        if (kind < 0)
            memcpy(out, image.normal, bytes);
        else
            us_synthetic_draw(&image, kind, out);
    }
    free(scratch);
    images->images = (us_images){.pixels = pixels,
                                 .pixel = US_PIXEL_UINT8,
                                 .count = base->count,
                                 .height = shape.height,
                                 .width = shape.width,
                                 .channels = shape.channels,
                                 .path = (char *)"synthetic anomalies"};
    images->selected_count = base->count;
    images->scale.range = US_RANGE_BYTE;
    return UNSEEN_OK;
}

void us_synthetic_drop(us_device *device, us_dataset *images) {
    us_dataset_leave_device(images);
    if (us_device_finish(device, NULL) == UNSEEN_OK) us_dataset_unmake(images);
}

/* ---- measuring ---- */

/* The share of pairs in which the anomalous one scores higher, and half of those that score the
 * same. NaN: a score is not a number. */
static double auc_of(const double *normal, const double *anomalous, int64_t count) {
    double sum = 0;
    for (int64_t a = 0; a < count; a++)
        for (int64_t n = 0; n < count; n++) {
            if (isnan(anomalous[a]) || isnan(normal[n])) return NAN;
            sum += anomalous[a] > normal[n] ? 1 : anomalous[a] == normal[n] ? 0.5 : 0;
        }
    return sum / ((double)count * (double)count);
}

us_synthetic us_synthetic_measure(double *const scores[US_SYNTHETIC_KINDS + 1], int64_t count) {
    us_synthetic synthetic = {.images = count};
    for (int k = 0; k < US_SYNTHETIC_KINDS; k++) {
        synthetic.kinds[k] = auc_of(scores[0], scores[1 + k], count);
        synthetic.auc += synthetic.kinds[k] / US_SYNTHETIC_KINDS;
    }
    return synthetic;
}

bool us_synthetic_to_json(const us_synthetic *synthetic, cJSON *object) {
    const bool known = synthetic->images > 0;
    if (!us_json_add_number(object, "synthetic_auc", known ? synthetic->auc : NAN)) return false;
    if (!known) return true;
    cJSON *kinds = cJSON_AddObjectToObject(object, "synthetic_kinds");
    bool complete = kinds != NULL;
    for (int k = 0; complete && k < US_SYNTHETIC_KINDS; k++)
        complete = us_json_add_number(kinds, us_synthetic_names[k], synthetic->kinds[k]);
    return complete;
}
