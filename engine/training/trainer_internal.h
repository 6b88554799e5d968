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

/* Values of a parameter tensor, or a part of them. */
typedef struct us_piece {
    size_t first;  /* float of the detector's flat buffers, whose layout depends on the device */
    size_t packed; /* float of what is sent, in which there is no room between tensors */
    size_t count;
} us_piece;

/* Pieces of a network's gradients on their way to the other ranks and back. */
typedef struct us_bucket {
    int network, piece, pieces; /* the first of them, and how many */
    us_fence there;             /* it has come from the device */
    us_group_sum sum;
} us_bucket;

/* Where ranks share the batches: see trainer_ranks.c. */
typedef struct us_sharing {
    us_group *group; /* NULL: there is this one alone */
    float *flat;     /* of all networks, as on the device */
    float *packed;   /* and as they are sent */
    us_piece *pieces;
    int piece_count;
    us_bucket *buckets; /* all, in the order of the networks */
    int bucket_count;
    int *under_way, under_way_count; /* those on their way, in the order of setting out */
    bool sent[US_DETECTOR_MAX_NETWORKS];
    float *own, *all; /* what ranks tell of a step: its signals, and whether to stop */
    int64_t combined; /* steps of the epoch whose signals are those of all ranks */
    bool stop;        /* this rank was asked to */
} us_sharing;

struct us_trainer {
    const unseen_config *config;
    us_device *device;
    us_detector *detector;
    us_dataset *dataset;
    int batch; /* images of a step, of all ranks */
    us_sharing sharing;
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

/* survey.c: the training images as they are now. */
us_detector_survey us_trainer_survey(us_trainer *trainer);

/* The step under way, counted since the start of the training, from 0. */
int64_t us_trainer_global_step(const us_trainer *trainer);
double us_trainer_learning_rate(const us_trainer *trainer, int network, int64_t step);

/* ---- trainer_ranks.c; without a group they do nothing, and a step's images are all its own ----
 */

unseen_status us_sharing_create(us_trainer *trainer, unseen_error *error);
void us_sharing_destroy(us_trainer *trainer, bool ended); /* ended: see us_buffer_read_later */

/* Of a step's n images from *first on those of this rank, one at least: a rank without images
 * computes what then has no weight. */
int us_sharing_take(us_trainer *trainer, int n, int64_t *first);

/* The seed of what a detector draws, which differs between ranks, as their images do. */
uint64_t us_sharing_seed(const us_trainer *trainer);

/* All gradients of a network are computed: they set out to the other ranks. */
unseen_status us_sharing_send(us_trainer *trainer, int network, unseen_error *error);

/* The gradients of networks become those of the whole batch. */
unseen_status us_sharing_sum(us_trainer *trainer, int network, int count, unseen_error *error);

/* Combines the signals of a step of the epoch that the device has finished (negative: none), and
 * tells whether any rank was asked to stop. */
unseen_status us_sharing_combine(us_trainer *trainer, int64_t step, bool *stop,
                                 unseen_error *error);

/* Losses of `count` batches of `images` images in all, measured by each rank on its share, become
 * those of the whole batches. */
unseen_status us_sharing_average(us_trainer *trainer, float *losses, int64_t count, int64_t images,
                                 unseen_error *error);

/* Where devices round otherwise, rank 0's parameters and moments become everyone's. */
unseen_status us_sharing_align(us_trainer *trainer, unseen_error *error);

/* Saves a checkpoint, where there is a folder. */
unseen_status us_trainer_save(us_trainer *trainer, unseen_error *error);

uint64_t us_trainer_seed(const unseen_config *config, int restarts);

#endif
