/* The images of a run, opened and checked against its config. */
#ifndef US_TRAINING_DATASET_H
#define US_TRAINING_DATASET_H

#include "base/event.h"
#include "data/images.h"
#include "ops/image_batch.h"
#include "training/config.h"

typedef struct us_dataset {
    us_images images;
    uint32_t *selected; /* images trained on, or scored; NULL: all */
    int64_t selected_count;
    uint32_t *held_out; /* training images kept aside; NULL: none */
    int64_t held_out_count;
    double black, white;
    us_fit fit;
} us_dataset;

/* The training images: of the normal class where /data/train_labels is set, less the held-out
 * share. */
unseen_status us_dataset_open_training(const unseen_config *config, us_dataset *dataset,
                                       unseen_error *error);

/* All images of a file. Their numbers mean what they mean in the training images: as `training` has
 * it, or (NULL) the config of a run, which tells. Images that were plainly scaled otherwise are an
 * error, doubtful ones a warning. */
unseen_status us_dataset_open(const unseen_config *config, const char *path,
                              const us_dataset *training, const unseen_events *events,
                              us_dataset *dataset, unseen_error *error);

/* Made-up images of the config's shape, for measuring: to a kernel, noise is as good as
 * photographs.
 */
unseen_status us_dataset_make_up(const unseen_config *config, int64_t count, us_dataset *dataset,
                                 unseen_error *error);
void us_dataset_unmake(us_dataset *dataset);

void us_dataset_close(us_dataset *dataset);

/* A loader for some of the images (selection NULL: all). */
unseen_status us_dataset_loader(const us_dataset *dataset, us_device *device, us_shape shape,
                                int batch, const uint32_t *selection, int64_t count,
                                us_image_loader **loader, unseen_error *error);

#endif
