/* SPDX-License-Identifier: MIT */
/* Batches of training images as steps see them: augmented, where the config says so. */
#ifndef US_TRAINING_TRAINING_IMAGES_H
#define US_TRAINING_TRAINING_IMAGES_H

#include "ops/augmentation.h"
#include "ops/image_batch.h"

typedef struct us_training_images {
    us_image_loader *loader;
    us_augmentation *augmentation; /* NULL: images stay as they are */
    us_buffer *loaded;             /* a batch before it is augmented */
} us_training_images;

/* Takes the loader over, of images of that shape in batches of `batch` lanes, also where it fails.
 */
unseen_status us_training_images_create(us_device *device, us_image_loader *loader,
                                        const us_augmentation_settings *settings, us_shape shape,
                                        int batch, us_training_images *images, unseen_error *error);
void us_training_images_destroy(us_training_images *images);

/* seed, step: what augmentation draws by. */
unseen_status us_training_images_load(const us_training_images *images,
                                      const us_image_batch_args *args, uint64_t seed, uint32_t step,
                                      unseen_error *error);

#endif
