/* SPDX-License-Identifier: MIT */
/* The state of a trainer, for trainer.c (its parts and one step), trainer_run.c (epochs) and
 * restart.c. */
#ifndef US_TRAINING_TRAINER_INTERNAL_H
#define US_TRAINING_TRAINER_INTERNAL_H

#include "base/clock.h"
#include "device/fence.h"
#include "training/trainer.h"
#include "training/training_images.h"

/* Networks that one launch updates: neighbours that are always updated together, and alike. */
typedef struct us_update {
    int count; /* 0: the network belongs to one before it, or has no parameters */
    us_optimizer *optimizer;
    us_buffer *parameters, *gradients; /* views of the detector's */
    us_buffer *moment1, *moment2;
} us_update;

struct us_trainer {
    const unseen_config *config;
    us_device *device;
    us_detector *detector;
    us_dataset *dataset;
    const char *folder, *trace, *origin; /* see us_trainer_options */
    const unseen_events *events;

    us_update updates[US_DETECTOR_MAX_NETWORKS]; /* in that of the first network of each */
    us_buffer *moment1[US_DETECTOR_MAX_NETWORKS], *moment2[US_DETECTOR_MAX_NETWORKS]; /* views */
    us_training_images images;
    us_image_loader *held_out_loader;
    uint64_t seed; /* of the training since its last restart */
    us_signals signals;
    us_buffer *device_signals; /* the same, as steps write them */
    us_fence fences[US_STEPS_IN_FLIGHT];
    us_progress progress;
    bool unsaved;              /* steps have been made since the last checkpoint */
    double epoch_started;      /* seconds of the clock */
    int64_t images_this_epoch; /* trained on by this process */
};

/* One step on the batch in detector->x of n images, without waiting. */
unseen_status us_trainer_step(us_trainer *trainer, int n, unseen_error *error);

/* Images of a batch in training. */
int us_trainer_batch_size(const us_trainer *trainer, int64_t step);

/* survey.c: the training images as they are now. */
us_detector_survey us_trainer_survey(us_trainer *trainer);

/* The step under way, counted since the start of the training, from 0. */
int64_t us_trainer_global_step(const us_trainer *trainer);
double us_trainer_learning_rate(const us_trainer *trainer, int network, int64_t step);

/* Saves a checkpoint, where there is a folder. */
unseen_status us_trainer_save(us_trainer *trainer, unseen_error *error);

uint64_t us_trainer_seed(const unseen_config *config, int restarts);

#endif
