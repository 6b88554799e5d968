/* SPDX-License-Identifier: MIT */
#include "training/dataset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/labels.h"
#include "data/photographs.h"
#include "training/windows.h"

/* ---- what the numbers mean ---- */

/* Numbers beyond black and white, or all of them next to black, are of images that were scaled
 * otherwise: their scores would be no result. */
static unseen_status choose_range(const unseen_config *config, const us_scale *training,
                                  us_dataset *dataset, unseen_error *error) {
    const us_images *images = &dataset->images;
    us_range range = training ? training->range : (us_range)config->range;
    const char *whose = training ? "as in the training images" : "as /input/range has it";
    if (range == US_RANGE_AUTO) US_TRY(us_images_range(images, &range, error));
    us_range_ends ends = us_range_get(range), unit = us_range_get(US_RANGE_UNIT);
    dataset->scale = (us_scale){range, images->lowest, images->highest};
    if (images->pixel == US_PIXEL_FLOAT32 && ends.white > unit.white &&
        us_range_holds(unit, 0, images->highest))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its values go from %.9g to %.9g, but black is %g and white %g (%s): "
                       "scale all images alike",
                       images->path, images->lowest, images->highest, ends.black, ends.white,
                       whose);
    return us_images_clip(images, ends, whose, &dataset->clipped, error);
}

/* Whether two ranges of values overlap little. */
static bool is_elsewhere(const us_scale *a, const us_scale *b) {
    double low = a->lowest > b->lowest ? a->lowest : b->lowest;
    double high = a->highest < b->highest ? a->highest : b->highest;
    double wider = a->highest - a->lowest > b->highest - b->lowest ? a->highest - a->lowest
                                                                   : b->highest - b->lowest;
    return high - low < wider / 16;
}

/* Warns of values that are probably wrong, but not certainly. */
static void warn(const us_dataset *dataset, const us_scale *training, const unseen_events *events) {
    const us_images *images = &dataset->images;
    const us_scale *scale = &dataset->scale;
    us_range_ends ends = us_range_get(scale->range);
    us_scale all = {scale->range, ends.black, ends.white};
    bool known = training && training->lowest <= training->highest;
    if (images->pixel == US_PIXEL_UINT8 && scale->lowest == 0 && scale->highest == 1 &&
        ends.white > 1)
        us_event_message(
            events, UNSEEN_EVENT_WARNING,
            "%s: %s of only 0 and 1, which is all but black where white is %g: a mask, "
            "or images of 0..1 that lost their fractions?",
            images->path, images->type.text, ends.white);
    else if (images->pixel == US_PIXEL_FLOAT32 && ends.black < 0 && scale->lowest >= 0)
        us_event_message(events, UNSEEN_EVENT_WARNING,
                         "%s: its values keep to %g to %g, while black and white are %g and %g%s: "
                         "are they scaled alike?",
                         images->path, scale->lowest, scale->highest, ends.black, ends.white,
                         training ? " in the training images" : "");
    else if (known && is_elsewhere(scale, training))
        us_event_message(events, UNSEEN_EVENT_WARNING,
                         "%s: its values keep to %g to %g, while those of the training images are "
                         "from %g to %g: are they scaled alike?",
                         images->path, scale->lowest, scale->highest, training->lowest,
                         training->highest);
    else if (!known && is_elsewhere(scale, &all))
        us_event_message(events, UNSEEN_EVENT_WARNING,
                         "%s: its values keep to %g to %g, a small part of %s: are they scaled to "
                         "it?",
                         images->path, scale->lowest, scale->highest, us_range_names[scale->range]);
}

/* Reports in a line how the file was understood. */
static void tell(const us_dataset *dataset, const char *what, const unseen_events *events) {
    const us_images *images = &dataset->images;
    char clipped[96] = "", windows[64] = "";
    if (images->tiling.count)
        snprintf(windows, sizeof windows, " windows of %" PRId64 " image%s,", images->tiling.count,
                 images->tiling.count == 1 ? "" : "s");
    if (dataset->clipped)
        snprintf(clipped, sizeof clipped,
                 "; %" PRId64 " value%s beyond that by rounding %s clipped", dataset->clipped,
                 dataset->clipped == 1 ? "" : "s", dataset->clipped == 1 ? "is" : "are");
    us_event_message(
        events, UNSEEN_EVENT_MESSAGE,
        "%s: %s: %" PRId64 "%s of %dx%d in %d channel%s: %s of shape %s as %s, black and "
        "white %s%s",
        what, images->path, images->count, windows, images->height, images->width, images->channels,
        images->channels == 1 ? "" : "s", images->type.text, images->shape.text,
        us_layout_names[images->layout], us_range_names[dataset->scale.range], clipped);
}

us_scale us_scale_from_json(us_range range, const cJSON *description) {
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(description, "values");
    const cJSON *low = cJSON_GetArrayItem(values, 0), *high = cJSON_GetArrayItem(values, 1);
    if (!cJSON_IsNumber(low) || !cJSON_IsNumber(high)) return (us_scale){range, 1, 0};
    return (us_scale){range, low->valuedouble, high->valuedouble};
}

cJSON *us_dataset_describe(const us_dataset *dataset) {
    const us_images *images = &dataset->images;
    us_range_ends ends = us_range_get(dataset->scale.range);
    double range[] = {ends.black, ends.white}, values[] = {images->lowest, images->highest};
    char *path = realpath(images->path, NULL);
    cJSON *object = cJSON_CreateObject();
    bool complete = cJSON_AddStringToObject(object, "path", path ? path : images->path) &&
                    cJSON_AddNumberToObject(object, "count", (double)images->count) &&
                    cJSON_AddNumberToObject(object, "height", images->height) &&
                    cJSON_AddNumberToObject(object, "width", images->width) &&
                    cJSON_AddNumberToObject(object, "channels", images->channels) &&
                    cJSON_AddStringToObject(object, "layout", us_layout_names[images->layout]) &&
                    cJSON_AddStringToObject(object, "type", images->type.text) &&
                    cJSON_AddItemToObject(object, "range", cJSON_CreateDoubleArray(range, 2)) &&
                    cJSON_AddItemToObject(object, "values", cJSON_CreateDoubleArray(values, 2)) &&
                    cJSON_AddNumberToObject(object, "clipped", (double)dataset->clipped) &&
                    (!images->tiling.count ||
                     cJSON_AddNumberToObject(object, "cut", (double)images->tiling.count));
    free(path);
    if (complete) return object;
    cJSON_Delete(object);
    return NULL;
}

/* ---- opening ---- */

us_layout_request us_dataset_layout(const unseen_config *config, const us_dataset *training) {
    /* The layout is of the files that have as many axes; it must be of one of them. */
    bool used = !training || training->images.layout == (us_layout)config->layout;
    return (us_layout_request){.layout = (us_layout)config->layout,
                               .when = used ? US_LAYOUT_OF_ITS_RANK : US_LAYOUT_ALWAYS,
                               .channels = config->input.channels,
                               .height = config->input.height,
                               .width = config->input.width};
}

/* Photographs are fitted as they are decoded, arrays on the device. */
static unseen_status read_images(const unseen_config *config, const us_dataset_source *source,
                                 const unseen_events *events, us_images *images,
                                 unseen_error *error) {
    const us_photographs_request request = {.height = config->input.height,
                                            .width = config->input.width,
                                            .channels = config->input.channels,
                                            .fit = (us_fit)config->fit,
                                            .overlap = config->overlap,
                                            .list = {.label_column = config->data.label_column,
                                                     .object = config->data.object,
                                                     .split = source->split},
                                            .events = events};
    bool photographs;
    US_TRY(us_photographs_are(source->path, &photographs, error));
    if (photographs) return us_photographs_open(source->path, &request, images, error);
    US_TRY(us_images_open(source->path, &source->layout, images, error));
    const us_tile_form form = {config->input.height, config->input.width, config->overlap};
    return config->fit == US_FIT_TILE ? us_images_cut(images, &form, error) : UNSEEN_OK;
}

static unseen_status open_images(const unseen_config *config, const us_dataset_source *source,
                                 const unseen_events *events, us_dataset *dataset,
                                 unseen_error *error) {
    memset(dataset, 0, sizeof *dataset);
    US_TRY(read_images(config, source, events, &dataset->images, error));
    dataset->fit = config->fit == US_FIT_TILE ? US_FIT_RESIZE : (us_fit)config->fit;
    dataset->selected_count = us_images_whole(&dataset->images);
    return choose_range(config, source->training, dataset, error);
}

/* ---- members ---- */

/* Arrays are resized on the device, so that one serves inputs of every size. Photographs are fitted
 * and windows cut once, to one size. */
static bool sees_the_same(const unseen_config *config, const unseen_config *member,
                          bool photographs) {
    const bool same_size = memcmp(&config->input, &member->input, sizeof config->input) == 0;
    const bool cut = config->fit == US_FIT_TILE;
    return config->fit == member->fit && (same_size || (!photographs && !cut)) &&
           (!cut || config->overlap == member->overlap);
}

static unseen_status open_members(const unseen_config *config, const us_dataset_source *source,
                                  const unseen_events *events, us_dataset *dataset,
                                  unseen_error *error) {
    bool photographs = false;
    if (config->member_count > 0) US_TRY(us_photographs_are(source->path, &photographs, error));
    for (int i = 0; i < config->member_count; i++) {
        const unseen_config *member = config->members[i];
        if (sees_the_same(config, member, photographs)) continue;
        us_dataset *own = dataset->members[i] = calloc(1, sizeof *own);
        if (!own) return us_fail_memory(error, "images");
        us_dataset_source again = *source;
        again.training = &dataset->scale;
        US_TRY(open_images(member, &again, events, own, error));
        if (us_images_whole(&own->images) != us_images_whole(&dataset->images))
            return us_fail(error, UNSEEN_FAILURE, "%s has changed while it was read", source->path);
    }
    return UNSEEN_OK;
}

unseen_status us_dataset_open(const unseen_config *config, const us_dataset_source *source,
                              const unseen_events *events, us_dataset *dataset,
                              unseen_error *error) {
    unseen_status status = open_images(config, source, events, dataset, error);
    if (status == UNSEEN_OK) status = open_members(config, source, events, dataset, error);
    if (status != UNSEEN_OK) {
        us_dataset_close(dataset);
        return status;
    }
    dataset->selected_count = dataset->images.count;
    tell(dataset, "images to score", events);
    warn(dataset, source->training, events);
    return UNSEEN_OK;
}

void us_dataset_warn_changed(const us_dataset *dataset, const unseen_events *events) {
    if (us_images_changed(&dataset->images))
        us_event_message(
            events, UNSEEN_EVENT_WARNING,
            "%s was written to while it was in use: results may be of its old content, "
            "of its new one, or of both",
            dataset->images.path);
}

void us_dataset_close(us_dataset *dataset) {
    for (int i = 0; i < US_MEMBERS_MOST; i++) {
        if (dataset->members[i]) us_dataset_close(dataset->members[i]);
        free(dataset->members[i]);
    }
    us_images_close(&dataset->images);
    free(dataset->selected);
    free(dataset->held_out);
    memset(dataset, 0, sizeof *dataset);
}

unseen_status us_dataset_match(const us_dataset *dataset, us_labels *labels, unseen_error *error) {
    const us_images *images = &dataset->images;
    if (images->ids.names && labels->ids.names && !labels->ids.numbers)
        return us_labels_match(labels, &images->ids, error);
    return us_labels_match_images(labels, us_images_whole(images), images->path, error);
}

/* Photographs in folders of classes, or labelled by their list. Folders that are of no such classes
 * do not matter. */
static unseen_status select_by_class(const us_data_settings *data, const unseen_events *events,
                                     us_dataset *dataset, unseen_error *error) {
    const us_images *images = &dataset->images;
    const char *normal = us_labels_normal(&images->labels, data->normal);
    if (!images->labels.count || !normal) return UNSEEN_OK;
    if (!us_labels_have(&images->labels, normal)) {
        us_event_message(events, UNSEEN_EVENT_MESSAGE,
                         "%s: no photograph is of a class %s: all are trained on", images->path,
                         normal);
        return UNSEEN_OK;
    }
    US_TRY(us_labels_select(&images->labels, normal, &dataset->selected, &dataset->selected_count,
                            error));
    dataset->by_class = true;
    us_event_message(events, UNSEEN_EVENT_MESSAGE,
                     "%s: %" PRId64 " photographs of the class %s are trained on", images->path,
                     dataset->selected_count, normal);
    return UNSEEN_OK;
}

static unseen_status select_normal(const unseen_config *config, const unseen_events *events,
                                   us_dataset *dataset, unseen_error *error) {
    const us_data_settings *data = &config->data;
    if (!data->train_labels) return select_by_class(data, events, dataset, error);
    if (!data->normal)
        return us_fail(
            error, UNSEEN_BAD_INPUT,
            "%s: /data/train_labels is set, but not /data/normal (--normal CLASS): which "
            "class is the normal one?",
            config->path);
    us_labels labels;
    US_TRY(us_labels_open(data->train_labels, data->label_column, &labels, error));
    unseen_status status = us_dataset_match(dataset, &labels, error);
    if (status == UNSEEN_OK)
        status = us_labels_select(&labels, data->normal, &dataset->selected,
                                  &dataset->selected_count, error);
    if (status == UNSEEN_OK) us_labels_tell(&labels, events);
    us_labels_close(&labels);
    return status;
}

/* Parts the selection in two; which images are held out depends on the seed and the count alone. */
static unseen_status hold_out(const unseen_config *config, us_dataset *dataset,
                              unseen_error *error) {
    int64_t count = dataset->selected_count;
    int64_t held = (int64_t)(config->training.held_out * (double)count + 0.5);
    const us_training_settings *settings = &config->training;
    const uint64_t seed =
        (uint64_t)(settings->held_out_seed < 0 ? settings->seed : settings->held_out_seed);
    if (settings->held_out == 0) return UNSEEN_OK;
    if (held < 1 || held >= count)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: %" PRId64 " training images are too few to hold out a share of %g",
                       dataset->images.path, count, config->training.held_out);
    uint32_t *kept = malloc((size_t)(count - held) * sizeof *kept);
    uint32_t *aside = malloc((size_t)held * sizeof *aside);
    if (!kept || !aside) {
        free(kept);
        free(aside);
        return us_fail_memory(error, "the held-out selection");
    }
    int64_t kept_count = 0, held_count = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t image = dataset->selected ? dataset->selected[i] : (uint32_t)i;
        uint32_t place =
            us_random_permute(seed, US_STREAM_HELD_OUT, 0, (uint32_t)count, (uint32_t)i);
        if (place < held)
            aside[held_count++] = image;
        else
            kept[kept_count++] = image;
    }
    free(dataset->selected);
    dataset->selected = kept;
    dataset->selected_count = kept_count;
    dataset->held_out = aside;
    dataset->held_out_count = held_count;
    return UNSEEN_OK;
}

/* Images become their windows. */
static unseen_status replace_by_windows(const us_dataset *dataset, uint32_t **selection,
                                        int64_t *count, unseen_error *error) {
    uint32_t *windows;
    const int64_t n = us_windows_count(dataset, *selection, *count);
    US_TRY(us_windows_select(dataset, *selection, *count, &windows, error));
    free(*selection);
    *selection = windows;
    *count = n;
    return UNSEEN_OK;
}

static unseen_status take_windows(us_dataset *dataset, unseen_error *error) {
    if (dataset->held_out)
        US_TRY(replace_by_windows(dataset, &dataset->held_out, &dataset->held_out_count, error));
    if (dataset->selected)
        return replace_by_windows(dataset, &dataset->selected, &dataset->selected_count, error);
    dataset->selected_count = dataset->images.count;
    return UNSEEN_OK;
}

unseen_status us_dataset_open_training(const unseen_config *config, const unseen_events *events,
                                       us_dataset *dataset, unseen_error *error) {
    if (!config->data.train)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: no training images: give --train FILE or set /data/train",
                       config->path);
    us_dataset_source source = {
        .path = config->data.train, .split = "train", .layout = us_dataset_layout(config, NULL)};
    if (!config->data.test) source.layout.when = US_LAYOUT_ALWAYS;
    unseen_status status = open_images(config, &source, events, dataset, error);
    if (status == UNSEEN_OK) status = open_members(config, &source, events, dataset, error);
    if (status == UNSEEN_OK) status = select_normal(config, events, dataset, error);
    if (status == UNSEEN_OK) status = hold_out(config, dataset, error);
    if (status == UNSEEN_OK && dataset->images.tiling.count) status = take_windows(dataset, error);
    if (status != UNSEEN_OK) {
        us_dataset_close(dataset);
        return status;
    }
    tell(dataset, "images to train on", events);
    warn(dataset, NULL, events);
    return UNSEEN_OK;
}

static unseen_status count_photographs(const unseen_config *config, double *count,
                                       unseen_error *error) {
    const us_photographs_request request = {.list = {.label_column = config->data.label_column,
                                                     .object = config->data.object,
                                                     .split = "train"}};
    us_file_set set;
    US_TRY(us_photographs_list(config->data.train, &request, &set, error));
    const char *normal = us_labels_normal(&set.labels, config->data.normal);
    const bool by_class = set.labels.count && normal && us_labels_have(&set.labels, normal);
    unseen_status status = UNSEEN_OK;
    *count = (double)set.count;
    if (by_class && !config->data.train_labels) {
        uint32_t *selected;
        int64_t selected_count;
        status = us_labels_select(&set.labels, normal, &selected, &selected_count, error);
        if (status == UNSEEN_OK) free(selected);
        if (status == UNSEEN_OK) *count = (double)selected_count;
    } else if (config->data.train_labels) {
        *count = NAN; /* they may be of images that are there in part only */
    }
    us_file_set_close(&set);
    return status;
}

unseen_status us_dataset_count_training(const unseen_config *config, double *count,
                                        unseen_error *error) {
    const unseen_events silent = {0};
    const us_dataset_source source = {
        .path = config->data.train, .split = "train", .layout = us_dataset_layout(config, NULL)};
    us_dataset dataset;
    bool photographs;
    *count = NAN;
    if (!config->data.train || config->fit == US_FIT_TILE) return UNSEEN_OK;
    US_TRY(us_photographs_are(config->data.train, &photographs, error));
    if (photographs) return count_photographs(config, count, error);
    unseen_status status = open_images(config, &source, &silent, &dataset, error);
    if (status == UNSEEN_OK) status = select_normal(config, &silent, &dataset, error);
    if (status == UNSEEN_OK) *count = (double)dataset.selected_count;
    us_dataset_close(&dataset);
    return status;
}

unseen_status us_dataset_make_up(const unseen_config *config, int64_t count, us_dataset *dataset,
                                 unseen_error *error) {
    us_shape shape = config->input;
    size_t bytes = us_shape_size(shape) * (size_t)count;
    unsigned char *pixels = malloc(bytes);
    *dataset = (us_dataset){0};
    if (!pixels) return us_fail_memory(error, "images");
    for (size_t i = 0; i < bytes; i += 16) {
        uint32_t words[4];
        us_random_words(1, US_STREAM_TEST, 0, i, words);
        memcpy(pixels + i, words, bytes - i < 16 ? bytes - i : 16);
    }
    dataset->images = (us_images){.pixels = pixels,
                                  .pixel = US_PIXEL_UINT8,
                                  .count = count,
                                  .height = shape.height,
                                  .width = shape.width,
                                  .channels = shape.channels,
                                  .path = (char *)"made-up images"};
    dataset->selected_count = count;
    dataset->scale.range = US_RANGE_BYTE;
    return UNSEEN_OK;
}

void us_dataset_unmake(us_dataset *dataset) {
    free((void *)dataset->images.pixels);
    *dataset = (us_dataset){0};
}

static unseen_status create_store(us_dataset *dataset, us_device *device, unseen_error *error) {
    const us_images *images = &dataset->images;
    us_range_ends ends = us_range_get(dataset->scale.range);
    us_image_source source = {
        .pixels = images->pixels,
        .planar = images->planar,
        .clip = dataset->clipped > 0,
        .is_float = images->pixel == US_PIXEL_FLOAT32,
        .count = images->count,
        .height = images->height,
        .width = images->width,
        .channels = images->channels,
        .black = ends.black,
        .white = ends.white,
        .fit = dataset->fit,
    };
    return us_image_store_create(device, &source, &dataset->store, error);
}

unseen_status us_dataset_loader(us_dataset *dataset, us_device *device, us_shape shape, int batch,
                                const uint32_t *selection, int64_t count, us_image_loader **loader,
                                unseen_error *error) {
    unseen_status status = UNSEEN_OK;
    US_TRY(us_images_check(&dataset->images, error)); /* before the driver's threads read them */
    if (!dataset->store) status = create_store(dataset, device, error);
    if (status == UNSEEN_OK)
        status =
            us_image_loader_create(dataset->store, selection, count, shape, batch, loader, error);
    if (status != UNSEEN_OK) us_error_context(error, "%s", dataset->images.path);
    return status;
}

void us_dataset_leave_device(us_dataset *dataset) {
    for (int i = 0; i < US_MEMBERS_MOST; i++)
        if (dataset->members[i]) us_dataset_leave_device(dataset->members[i]);
    us_image_store_destroy(dataset->store);
    dataset->store = NULL;
}
