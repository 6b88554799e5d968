/* SPDX-License-Identifier: MIT */
/* Checkpoints, FOLDER/checkpoint/state.safetensors: the model, the optimizers' moments and where
 * the training stands, in one safetensors file in PyTorch's layouts, so that any device can
 * continue.
 */
#ifndef US_TRAINING_CHECKPOINT_H
#define US_TRAINING_CHECKPOINT_H

#include "base/event.h"
#include "training/progress.h"

/* What is saved, and where it is loaded into. */
typedef struct us_checkpoint {
    const char *folder; /* of the run */
    const char *origin; /* what the run began with: see origin.h */
    const unseen_config *config;
    const unseen_events *events;
    us_detector *detector;
    int batch;                                  /* images of a step */
    us_buffer *const *moment1, *const *moment2; /* of each network; NULL: it has none */
    int64_t images;                             /* that are trained on */
    us_signals *signals;
    us_progress *progress;
} us_checkpoint;

unseen_status us_checkpoint_save(const us_checkpoint *c, unseen_error *error);
unseen_status us_checkpoint_load(const us_checkpoint *c, const char *path, unseen_error *error);

/* How ranks shared the batches, where it was made by `ranks` of them: counts of images, see
 * parallel/group.h. *found: whether it was. */
unseen_status us_checkpoint_shares(const char *path, int ranks, int *counts, bool *found,
                                   unseen_error *error);

/* Makes the device's kernels those that a checkpoint was made with, or warns that this is another
 * device. */
unseen_status us_checkpoint_tuning(const char *path, us_device *device, const unseen_events *events,
                                   unseen_error *error);

#endif
