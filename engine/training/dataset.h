/* SPDX-License-Identifier: MIT */
/* The images of a run, opened and checked against its config. */
#ifndef US_TRAINING_DATASET_H
#define US_TRAINING_DATASET_H

#include "base/event.h"
#include "data/images.h"
#include "ops/image_batch.h"
#include "training/config.h"

/* What the numbers of images mean, and which of them are in use. */
typedef struct us_scale {
    us_range range;
    double lowest, highest; /* lowest above highest: not known */
} us_scale;

typedef struct us_dataset {
    us_images images;
    uint32_t *selected; /* images trained on, or scored; NULL: all */
    int64_t selected_count;
    uint32_t *held_out; /* training images kept aside; NULL: none */
    int64_t held_out_count;
    us_scale scale;
    int64_t clipped; /* values beyond black or white by what rounding makes; they become these */
    us_fit fit;
    us_image_store *store; /* the images as a device gets at them, from the first loader on */
    bool by_class;         /* selected by the classes that photographs lie in */
    /* The same images as members of the config see them, where these have another input than can be
     * made of the images here; NULL where it can. For scoring: nothing is selected of them. */
    struct us_dataset *members[US_MEMBERS_MOST];
} us_dataset;

/* The images for a member of the config. */
static inline us_dataset *us_dataset_of(us_dataset *dataset, int member) {
    return dataset->members[member] ? dataset->members[member] : dataset;
}

/* The training images: of the normal class where /data/train_labels is set or photographs lie in
 * folders of classes, less the held-out
 * share. Reports how the file was understood, and warns of what looks wrong with it. */
unseen_status us_dataset_open_training(const unseen_config *config, const unseen_events *events,
                                       us_dataset *dataset, unseen_error *error);

/* How many images there are to train on, those that are held out among them, told without decoding
 * photographs or cutting windows. NaN: that cannot be told so. */
unseen_status us_dataset_count_training(const unseen_config *config, double *count,
                                        unseen_error *error);

/* Where images to score come from. */
typedef struct us_dataset_source {
    const char *path;
    us_layout_request layout;
    const char *split;        /* "train" or "test": of lists that have a column of them */
    const us_scale *training; /* what their numbers mean: as in the images trained on */
} us_dataset_source;

/* The layout to expect of a file that is scored by the run whose training images are given. */
us_layout_request us_dataset_layout(const unseen_config *config, const us_dataset *training);

/* Brings labels into the order of the images: by name where both have names and the labels have no
 * numbers; else the images are counted from 0, photographs in the order of their names. */
unseen_status us_dataset_match(const us_dataset *dataset, us_labels *labels, unseen_error *error);

/* All images of a file. Images that were plainly scaled otherwise than those trained on are an
 * error, doubtful ones a warning. */
unseen_status us_dataset_open(const unseen_config *config, const us_dataset_source *source,
                              const unseen_events *events, us_dataset *dataset,
                              unseen_error *error);

/* {path, count, height, width, channels, layout, type, range: [black, white], values: [lowest,
 * highest], clipped, cut: how many images count windows are of, if so}; NULL: no memory. And back
 * from it what the numbers mean. */
cJSON *us_dataset_describe(const us_dataset *dataset);
us_scale us_scale_from_json(us_range range, const cJSON *description);

/* Warns where the file was written to while it was in use. */
void us_dataset_warn_changed(const us_dataset *dataset, const unseen_events *events);

/* Made-up images of the config's shape, for measuring: to a kernel, noise is as good as
 * photographs.
 */
unseen_status us_dataset_make_up(const unseen_config *config, int64_t count, us_dataset *dataset,
                                 unseen_error *error);
void us_dataset_unmake(us_dataset *dataset);

/* Releases what the device has of the images. To be called before the device is closed, and after
 * the loaders are gone. */
void us_dataset_leave_device(us_dataset *dataset);

void us_dataset_close(us_dataset *dataset);

/* The images of a step: of `batch` that were asked for, as many as there are. */
static inline int us_dataset_batch(const us_dataset *dataset, int batch) {
    return dataset->selected_count < batch ? (int)dataset->selected_count : batch;
}

/* How many batches the host enqueues before it waits for the first of them: enough that the device
 * never waits for the host. */
enum { US_STEPS_IN_FLIGHT = 2 };

/* A loader of some of the images (selection NULL: all) in a shape, `batch` of them in memory at a
 * time. Loaders of one dataset share what they send to the device, whoever makes them. */
unseen_status us_dataset_loader(us_dataset *dataset, us_device *device, us_shape shape, int batch,
                                const uint32_t *selection, int64_t count, us_image_loader **loader,
                                unseen_error *error);

#endif
