/* SPDX-License-Identifier: MIT */
/* A trained model, of one detector or of several whose scores are joined: its file, what normal
 * images score, and scoring with it. */
#ifndef US_TRAINING_MODEL_H
#define US_TRAINING_MODEL_H

#include "evaluation/scores.h"
#include "training/columns.h"
#include "training/joint.h"
#include "training/synthetic.h"

typedef struct us_model {
    const unseen_config *config;
    us_detector *detector; /* NULL: members' scores are joined */
    us_calibration calibration;
    us_synthetic synthetic;   /* of the calibration; a model that was loaded has none */
    struct us_model *members; /* as many as the config has */
    us_joint joint;
} us_model;

/* For scoring: the detector, or those of all members, for batches of at most so many images. The
 * config outlives the model. On failure there is something to destroy. */
unseen_status us_model_create(us_device *device, const unseen_config *config, int64_t images,
                              us_model *model, unseen_error *error);
void us_model_destroy(us_model *model); /* zeroed ones are fine */

/* model.safetensors in a run's folder: PyTorch's names and layouts; the calibration is in its
 * metadata. That of several members holds how they are joined; their own are in their folders
 * (us_member_folder). */
unseen_status us_model_save(const us_model *model, const char *path, unseen_error *error);
unseen_status us_model_load(us_model *model, const char *folder, unseen_error *error);
unseen_status us_model_load_members(us_model *model, const char *folder, unseen_error *error);

/* FOLDER/members/NAME, the run folder of a member. Heap. */
unseen_status us_member_folder(const char *folder, const unseen_config *member, char **path,
                               unseen_error *error);

/* Statistics and threshold from images known to be normal: the held-out ones, or else up to 4096 of
 * the training images. Members are loaded, with calibrations of their own. */
unseen_status us_model_calibrate(us_model *model, us_dataset *training, uint64_t seed,
                                 const unseen_events *events, unseen_error *error);

/* Zeroed scores of `count` images, with the columns that us_model_score gives. */
unseen_status us_model_scores(const unseen_config *config, int64_t count, us_scores *scores,
                              unseen_error *error);

/* Scores of the images, which are of one dataset: the combined one first, then, if there are
 * several, the columns, or the members' scores. Constant or non-finite scores are UNSEEN_FAILURE.
 */
unseen_status us_model_score(us_model *model, const us_scored_images *images, us_scores *scores,
                             unseen_error *error);

/* One score of columns (or of members' scores): of the image at a place of each. */
double us_model_combine(const us_model *model, double *const *columns, int64_t image);

/* Hands out images with their maps, or those of members joined, to images->maps. */
unseen_status us_model_show(us_model *model, const us_scored_images *images, unseen_error *error);

/* UNSEEN_BAD_INPUT where neither the detector nor any member has maps. */
unseen_status us_model_check_maps(const unseen_config *config, unseen_error *error);

/* "combined" or the name of the only column, then the others: names[0..count). */
int us_model_columns(const unseen_config *config, const char *names[US_MEMBERS_MOST + 1]);

#endif
