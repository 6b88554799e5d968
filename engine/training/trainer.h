/* The training loop: the same for every detector. */
#ifndef US_TRAINING_TRAINER_H
#define US_TRAINING_TRAINER_H

#include "base/clock.h"
#include "base/event.h"
#include "device/fence.h"
#include "training/dataset.h"
#include "training/stopping.h"

enum { US_STEPS_IN_FLIGHT = 2 };

/* Where a training stands; with the tensors, all that a checkpoint needs. Random numbers are
 * counted, not drawn in turn, so they have no state. */
typedef struct us_progress {
    int epoch;    /* finished ones */
    int64_t step; /* finished steps of the epoch under way */
    us_stopping_state stopping;
    double seconds; /* spent in finished epochs */
    double loss,
        held_out_loss; /* of the last finished epoch; NaN before, or without held-out images */
} us_progress;

typedef struct us_trainer {
    const unseen_config *config;
    us_device *device;
    us_detector *detector;
    const us_dataset *dataset;
    const char *folder; /* of the run; NULL: no log and no checkpoints */
    const char *trace;  /* NULL, or a file to write the profile of a step to, once */
    const unseen_events *events;

    us_optimizer *optimizers[US_DETECTOR_MAX_NETWORKS];
    us_buffer *moment1[US_DETECTOR_MAX_NETWORKS], *moment2[US_DETECTOR_MAX_NETWORKS];
    us_image_loader *loader, *held_out_loader;
    us_buffer *x, *losses;
    float *host_losses; /* [steps_per_epoch][loss_count], of the epoch under way */
    int loss_count;
    int64_t steps_per_epoch;
    us_fence fences[US_STEPS_IN_FLIGHT];
    us_progress progress;
    double epoch_started;      /* seconds of the clock */
    int64_t images_this_epoch; /* trained on by this process */
} us_trainer;

/* The detector is initialised from the seed. Everything passed in outlives the trainer. */
unseen_status us_trainer_create(const unseen_config *config, us_detector *detector,
                                const us_dataset *dataset, const char *folder,
                                const unseen_events *events, us_trainer **trainer,
                                unseen_error *error);
void us_trainer_destroy(us_trainer *trainer);

/* Trains to the end. UNSEEN_INTERRUPTED after saving a checkpoint when the caller asks to stop;
 * UNSEEN_DIVERGED, with loss and step, when a loss is not finite. */
unseen_status us_trainer_run(us_trainer *trainer, unseen_error *error);

/* Why training stops after the last epoch that was finished, if it does. */
us_stopping_reason us_trainer_stopping(const us_trainer *trainer);

/* One step on the batch in trainer->x of n images, without waiting; for tests and benchmarks too.
 */
unseen_status us_trainer_step(us_trainer *trainer, int n, unseen_error *error);

/* ---- checkpoint.c: FOLDER/checkpoint/state.safetensors ---- */

unseen_status us_checkpoint_save(us_trainer *trainer, unseen_error *error);
unseen_status us_checkpoint_load(us_trainer *trainer, unseen_error *error);

/* Makes the device's kernels those that the checkpoint in a run's folder was made with. */
unseen_status us_checkpoint_tuning(const char *folder, us_device *device, unseen_error *error);

/* ---- log.c: FOLDER/log.jsonl, one record per epoch ---- */

/* Drops the records behind the last finished epoch, as those of a run that was killed. */
unseen_status us_log_rewind(const us_trainer *trainer, unseen_error *error);
/* learning_rate: of the first network, at the epoch's last step. */
unseen_status us_log_append(const us_trainer *trainer, const double *losses, double learning_rate,
                            double seconds, unseen_error *error);

#endif
