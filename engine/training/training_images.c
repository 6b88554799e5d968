/* SPDX-License-Identifier: MIT */
#include "training/training_images.h"

unseen_status us_training_images_create(us_device *device, us_image_loader *loader,
                                        const us_augmentation_settings *settings, us_shape shape,
                                        int batch, us_training_images *images,
                                        unseen_error *error) {
    images->loader = loader;
    if (!us_augmentation_is_set(settings)) return UNSEEN_OK;
    US_TRY(us_augmentation_create(device, settings, 1, shape, batch, &images->augmentation, error));
    return us_buffer_create(device, us_shape_size(shape) * (size_t)batch * sizeof(float),
                            "images to be augmented", &images->loaded, error);
}

void us_training_images_destroy(us_training_images *images) {
    us_image_loader_destroy(images->loader);
    us_augmentation_destroy(images->augmentation);
    us_buffer_destroy(images->loaded);
}

unseen_status us_training_images_load(const us_training_images *images,
                                      const us_image_batch_args *args, uint64_t seed, uint32_t step,
                                      unseen_error *error) {
    if (!images->augmentation) return us_image_batch_load(images->loader, args, error);
    us_image_batch_args plain = *args;
    plain.out = images->loaded;
    US_TRY(us_image_batch_load(images->loader, &plain, error));
    const us_augmentation_args augmentation = {.x = images->loaded,
                                               .out = args->out,
                                               .n = args->n,
                                               .seed = seed,
                                               .substream = step,
                                               .purpose = US_AUGMENT_TRAINING};
    return us_augmentation_run(images->augmentation, &augmentation, error);
}
