/* SPDX-License-Identifier: MIT */
/* The training loop: the same for every detector. */
#ifndef US_TRAINING_TRAINER_H
#define US_TRAINING_TRAINER_H

#include "base/event.h"
#include "training/dataset.h"
#include "training/progress.h"

typedef struct us_trainer us_trainer;

/* Everything passed in outlives the trainer. */
typedef struct us_trainer_options {
    const unseen_config *config;
    us_detector *detector;
    us_dataset *dataset;
    int batch; /* images of a step, which the ranks of detector->group share; 0: detector->batch */
    const char *folder; /* of the run; NULL: no log and no checkpoints, as on ranks but the first */
    const char *trace;  /* NULL, or a file to write the profile of a step to, once */
    const char *origin; /* what checkpoints say that the run began with, see origin.h */
    const unseen_events *events;
} us_trainer_options;

/* The detector is initialised from the seed. */
unseen_status us_trainer_create(const us_trainer_options *options, us_trainer **trainer,
                                unseen_error *error);
void us_trainer_destroy(us_trainer *trainer);

/* Where the training stands. */
const us_progress *us_trainer_progress(const us_trainer *trainer);

/* Continues from the checkpoint in the file `path`. */
unseen_status us_trainer_load(us_trainer *trainer, const char *path, unseen_error *error);

/* Trains to the end. UNSEEN_INTERRUPTED after saving a checkpoint when the caller asks to stop;
 * UNSEEN_DIVERGED, with loss and step, when a loss is not finite or a game between networks has
 * collapsed. */
unseen_status us_trainer_run(us_trainer *trainer, unseen_error *error);

/* After training: see verdict.h. */
unseen_status us_trainer_judge(us_trainer *trainer, char *doubt, size_t room, unseen_error *error);

/* After UNSEEN_DIVERGED, whose message *error holds: starts training again with another seed, or
 * returns UNSEEN_DIVERGED where no restart is left. us_trainer_run is to follow. */
unseen_status us_trainer_restart(us_trainer *trainer, unseen_error *error);

/* ---- for measuring, on a dataset that is made up ---- */

/* A training step as in the last epoch, where all networks are trained, on a whole batch of the
 * dataset (`position` modulo the number of batches). It does not wait for more than the step
 * before the last one. The losses are not looked at. */
unseen_status us_trainer_rehearse(us_trainer *trainer, int64_t position, unseen_error *error);

/* What the detector does at the end of a training: before scoring, which may need it.
 * us_trainer_run does it by itself. */
unseen_status us_trainer_finish(us_trainer *trainer, unseen_error *error);

/* Loads the first batch into detector->x. */
unseen_status us_trainer_load_first_batch(us_trainer *trainer, unseen_error *error);

/* How many networks the launch updates that a network is the first of; 0: it is the first of none.
 */
int us_trainer_updates(const us_trainer *trainer, int network);

#endif
