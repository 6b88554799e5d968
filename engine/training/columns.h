/* SPDX-License-Identifier: MIT */
/* The columns that a detector gives images: its pass over them, batch by batch. */
#ifndef US_TRAINING_COLUMNS_H
#define US_TRAINING_COLUMNS_H

#include "training/dataset.h"
#include "training/calibration.h"
#include "training/maps.h"

/* Images to be scored: whole ones, where those of the dataset are windows. */
typedef struct us_scored_images {
    us_dataset *dataset;
    const uint32_t *selection;         /* NULL: the first `count` */
    int64_t count;                     /* of the selection, or of the dataset */
    const char *what;                  /* "scoring": what progress and messages call it */
    const us_map_consumer *maps;       /* NULL: none are wanted */
    const us_calibration *calibration; /* of the scores that maps tell of; us_model_* fill it in */
    const unseen_events *events;
} us_scored_images;

/* The detector's columns of images, or of all their windows, one image after the other: heap, count
 * each; released with us_columns_release.
 * UNSEEN_INTERRUPTED when the caller asks to stop. */
unseen_status us_columns_take(us_detector *detector, const us_scored_images *images,
                              double *columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error);
void us_columns_release(double *columns[US_DETECTOR_MAX_COLUMNS]);

#endif
