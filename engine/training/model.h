/* SPDX-License-Identifier: MIT */
/* A trained model: its file, and scoring with it. */
#ifndef US_TRAINING_MODEL_H
#define US_TRAINING_MODEL_H

#include "evaluation/scores.h"
#include "training/calibration.h"
#include "training/dataset.h"
#include "training/maps.h"

/* model.safetensors: PyTorch's names and layouts; the calibration is in its metadata. */
unseen_status us_model_save(const unseen_config *config, const us_detector *detector,
                            const us_calibration *calibration, const char *path,
                            unseen_error *error);
unseen_status us_model_load(us_detector *detector, us_calibration *calibration, const char *path,
                            unseen_error *error);

/* Images to be scored: whole ones, where those of the dataset are windows. */
typedef struct us_scored_images {
    us_dataset *dataset;
    const uint32_t *selection;   /* NULL: the first `count` */
    int64_t count;               /* of the selection, or of the dataset */
    const char *what;            /* "scoring": what progress and messages call it */
    const us_map_consumer *maps; /* NULL: none are wanted */
    const unseen_events *events;
} us_scored_images;

/* The detector's columns of images, or of all their windows, one image after the other: heap, count
 * each; released with us_columns_release.
 * UNSEEN_INTERRUPTED when the caller asks to stop. */
unseen_status us_model_columns(us_detector *detector, const us_scored_images *images,
                               double *columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error);
void us_columns_release(double *columns[US_DETECTOR_MAX_COLUMNS]);

/* Statistics and threshold from images known to be normal: the held-out ones, or else up to 4096 of
 * the training images. */
unseen_status us_model_calibrate(us_detector *detector, us_dataset *training, uint64_t seed,
                                 const unseen_events *events, us_calibration *calibration,
                                 unseen_error *error);

/* Zeroed scores of `count` images, with the columns that us_model_score gives. */
unseen_status us_model_scores(const us_detector_spec *spec, int64_t count, us_scores *scores,
                              unseen_error *error);

/* Scores of the images, which are of one dataset: the combined one first, then, if there are
 * several, the columns. Constant or non-finite scores are UNSEEN_FAILURE. */
unseen_status us_model_score(us_detector *detector, const us_calibration *calibration,
                             const us_scored_images *images, us_scores *scores,
                             unseen_error *error);

#endif
