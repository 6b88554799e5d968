#include "training/dataset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "data/labels.h"

static unseen_status open_images(const unseen_config *config, const char *path, us_dataset *dataset,
                                 unseen_error *error) {
    static const double ranges[][2] = {
        [US_RANGE_UNIT] = {0, 1}, [US_RANGE_SIGNED] = {-1, 1}, [US_RANGE_BYTE] = {0, 255}};
    memset(dataset, 0, sizeof *dataset);
    US_TRY(us_images_open(path, &dataset->images, error));
    bool given = config->range != US_RANGE_AUTO;
    dataset->fit = (us_fit)config->fit;
    dataset->black = given ? ranges[config->range][0] : dataset->images.range[0];
    dataset->white = given ? ranges[config->range][1] : dataset->images.range[1];
    dataset->selected_count = dataset->images.count;
    return UNSEEN_OK;
}

static unsigned char largest_byte(const us_images *images) {
    const unsigned char *bytes = images->pixels;
    size_t size = (size_t)images->count * us_images_image_bytes(images);
    unsigned char largest = 0;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] > largest) largest = bytes[i];
    return largest;
}

/* Numbers beyond black and white, or all of them next to black, are of images that were scaled
 * otherwise: their scores would be no result. */
static unseen_status check_range(const us_dataset *dataset, unseen_error *error) {
    const us_images *images = &dataset->images;
    double low = images->range[0], high = images->range[1];
    if (images->pixel == US_PIXEL_UINT8 && dataset->white < high) high = largest_byte(images);
    bool all_black = images->pixel == US_PIXEL_FLOAT32 && high <= 1 && dataset->white > 1;
    if (low >= dataset->black && high <= dataset->white && !all_black) return UNSEEN_OK;
    return us_fail(
        error, UNSEEN_BAD_INPUT,
        "%s: its values lie within %g to %g, but black is %g and white %g (/input/range, or "
        "as in the training images): scale all images alike",
        images->path, low, high, dataset->black, dataset->white);
}

/* Floats without a negative one, where black is -1, were most likely scaled otherwise, but might be
 * bright images. */
static bool is_doubtful(const us_dataset *dataset) {
    const us_images *images = &dataset->images;
    return images->pixel == US_PIXEL_FLOAT32 && images->range[0] > dataset->black;
}

unseen_status us_dataset_open(const unseen_config *config, const char *path,
                              const us_dataset *training, const unseen_events *events,
                              us_dataset *dataset, unseen_error *error) {
    unseen_status status = open_images(config, path, dataset, error);
    if (status == UNSEEN_OK && training) {
        dataset->fit = training->fit;
        dataset->black = training->black;
        dataset->white = training->white;
    }
    if (status == UNSEEN_OK) status = check_range(dataset, error);
    if (status == UNSEEN_OK && is_doubtful(dataset))
        us_event_message(events, UNSEEN_EVENT_WARNING,
                         "%s: its values keep to %g to %g, while black and white are %g and %g in "
                         "the training images: are they scaled alike?",
                         path, dataset->images.range[0], dataset->images.range[1], dataset->black,
                         dataset->white);
    if (status != UNSEEN_OK) us_dataset_close(dataset);
    return status;
}

void us_dataset_close(us_dataset *dataset) {
    us_images_close(&dataset->images);
    free(dataset->selected);
    free(dataset->held_out);
    memset(dataset, 0, sizeof *dataset);
}

static unseen_status select_normal(const unseen_config *config, us_dataset *dataset,
                                   unseen_error *error) {
    const us_data_settings *data = &config->data;
    if (!data->train_labels) return UNSEEN_OK;
    if (!data->normal)
        return us_fail(
            error, UNSEEN_BAD_INPUT,
            "%s: /data/train_labels is set, but not /data/normal (--normal CLASS): which "
            "class is the normal one?",
            config->path);
    us_labels labels;
    US_TRY(us_labels_open(data->train_labels, &labels, error));
    unseen_status status =
        us_labels_match(&labels, dataset->images.count, dataset->images.path, error);
    if (status == UNSEEN_OK)
        status = us_labels_select(&labels, data->normal, &dataset->selected,
                                  &dataset->selected_count, error);
    us_labels_close(&labels);
    return status;
}

/* Parts the selection in two; which images are held out depends on the seed and the count alone. */
static unseen_status hold_out(const unseen_config *config, us_dataset *dataset,
                              unseen_error *error) {
    int64_t count = dataset->selected_count;
    int64_t held = (int64_t)(config->training.held_out * (double)count + 0.5);
    if (config->training.held_out == 0) return UNSEEN_OK;
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
        uint32_t place = us_random_permute((uint64_t)config->training.seed, US_STREAM_HELD_OUT, 0,
                                           (uint32_t)count, (uint32_t)i);
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

unseen_status us_dataset_open_training(const unseen_config *config, us_dataset *dataset,
                                       unseen_error *error) {
    if (!config->data.train)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: no training images: give --train FILE or set /data/train",
                       config->path);
    unseen_status status = open_images(config, config->data.train, dataset, error);
    if (status == UNSEEN_OK) status = check_range(dataset, error);
    if (status == UNSEEN_OK) status = select_normal(config, dataset, error);
    if (status == UNSEEN_OK) status = hold_out(config, dataset, error);
    if (status != UNSEEN_OK) us_dataset_close(dataset);
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
    dataset->white = 255;
    return UNSEEN_OK;
}

void us_dataset_unmake(us_dataset *dataset) {
    free((void *)dataset->images.pixels);
    *dataset = (us_dataset){0};
}

unseen_status us_dataset_loader(const us_dataset *dataset, us_device *device, us_shape shape,
                                int batch, const uint32_t *selection, int64_t count,
                                us_image_loader **loader, unseen_error *error) {
    const us_images *images = &dataset->images;
    us_image_source source = {
        .pixels = images->pixels,
        .is_float = images->pixel == US_PIXEL_FLOAT32,
        .count = images->count,
        .height = images->height,
        .width = images->width,
        .channels = images->channels,
        .black = dataset->black,
        .white = dataset->white,
        .fit = dataset->fit,
    };
    us_purpose purpose = device->purpose;
    device->purpose = US_PURPOSE_IMAGES;
    unseen_status status =
        us_image_loader_create(device, &source, selection, count, shape, batch, loader, error);
    device->purpose = purpose;
    if (status != UNSEEN_OK) us_error_context(error, "%s", images->path);
    return status;
}
