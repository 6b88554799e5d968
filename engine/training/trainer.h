/* The training loop: the same for every detector. */
#ifndef US_TRAINING_TRAINER_H
#define US_TRAINING_TRAINER_H

#include "base/clock.h"
#include "base/event.h"
#include "device/fence.h"
#include "training/collapse.h"
#include "training/dataset.h"
#include "training/stopping.h"

enum { US_STEPS_IN_FLIGHT = 2 };

/* Where a training stands; with the tensors, all that a checkpoint needs. Random numbers are
 * counted, not drawn in turn, so they have no state. */
typedef struct us_progress {
    int epoch;                                 /* finished ones */
    int64_t step;                              /* finished steps of the epoch under way */
    int64_t updates[US_DETECTOR_MAX_NETWORKS]; /* of each network, by its optimizer */
    int restarts;                              /* of the whole training */
    int records;                               /* in log.jsonl */
    us_stopping_state stopping;
    us_collapse collapse;
    double seconds; /* spent in finished epochs, those before a restart included */
    double loss,
        held_out_loss; /* of the last finished epoch; NaN before, or without held-out images */
    double first_loss; /* of the first step; NaN before */
} us_progress;

typedef struct us_trainer {
    const unseen_config *config;
    us_device *device;
    us_detector *detector;
    const us_dataset *dataset;
    const char *folder; /* of the run; NULL: no log and no checkpoints */
    const char *trace;  /* NULL, or a file to write the profile of a step to, once */
    const char *origin; /* what checkpoints say that the run began with, see origin.h */
    const unseen_events *events;

    us_optimizer *optimizers[US_DETECTOR_MAX_NETWORKS];
    us_buffer *moment1[US_DETECTOR_MAX_NETWORKS], *moment2[US_DETECTOR_MAX_NETWORKS];
    us_image_loader *loader, *held_out_loader;
    uint64_t seed; /* of the training since its last restart */
    /* [steps_per_epoch][signal_count], of the epoch under way: what each step gives, the losses and
     * then the spreads of the judges' logits, negative where none was measured. */
    us_buffer *signals;
    float *host_signals;
    int loss_count, signal_count;
    int64_t steps_per_epoch;
    us_fence fences[US_STEPS_IN_FLIGHT];
    us_progress progress;
    bool unsaved;              /* steps have been made since the last checkpoint */
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
 * UNSEEN_DIVERGED, with loss and step, when a loss is not finite or a game between networks has
 * collapsed. */
unseen_status us_trainer_run(us_trainer *trainer, unseen_error *error);

/* Why training stops after the last epoch that was finished, if it does. */
us_stopping_reason us_trainer_stopping(const us_trainer *trainer);

/* One step on the batch in detector->x of n images, without waiting; for tests and benchmarks too.
 */
unseen_status us_trainer_step(us_trainer *trainer, int n, unseen_error *error);

/* ---- collapse.c ---- */

/* Looks at a step of the epoch under way whose signals are known; in order. */
unseen_status us_trainer_check_step(us_trainer *trainer, int64_t step, unseen_error *error);

/* UNSEEN_DIVERGED: `what` is not finite. */
unseen_status us_trainer_diverged(const us_trainer *trainer, const char *what, double value,
                                  int64_t step, unseen_error *error);

/* ---- verdict.c ---- */

/* After training: UNSEEN_DIVERGED where it left a model that is far worse than it was, and than one
 * that gives the same for every image; *doubt is a warning where it is hardly better than that, or
 * else empty. Training of a few steps is not judged so. */
unseen_status us_trainer_judge(us_trainer *trainer, char *doubt, size_t room, unseen_error *error);

/* ---- restart.c ---- */

uint64_t us_trainer_seed(const unseen_config *config, int restarts);

/* Makes a training that stands anywhere, or nowhere yet, stand at its beginning. */
void us_progress_begin(us_progress *progress);

/* After UNSEEN_DIVERGED, which *error tells of: starts training again with another seed, or returns
 * UNSEEN_DIVERGED where no restart is left. us_trainer_run is to follow. */
unseen_status us_trainer_restart(us_trainer *trainer, unseen_error *error);

/* ---- checkpoint.c: FOLDER/checkpoint/state.safetensors ---- */

unseen_status us_checkpoint_save(us_trainer *trainer, unseen_error *error);
unseen_status us_checkpoint_load(us_trainer *trainer, unseen_error *error);

/* Makes the device's kernels those that the checkpoint in a run's folder was made with, or warns
 * that this is another device. */
unseen_status us_checkpoint_tuning(const char *folder, us_device *device,
                                   const unseen_events *events, unseen_error *error);

/* ---- log.c: FOLDER/log.jsonl, one record per epoch or restart ---- */

/* Drops the records that the progress does not know, as those of a run that was killed. */
unseen_status us_log_rewind(const us_trainer *trainer, unseen_error *error);
/* learning_rate: of the first network, at the epoch's last step. */
unseen_status us_log_append(us_trainer *trainer, const double *losses, double learning_rate,
                            double seconds, unseen_error *error);
/* Of the restart that has just been counted; before the progress begins again. */
unseen_status us_log_restart(us_trainer *trainer, const char *reason, unseen_error *error);

#endif
