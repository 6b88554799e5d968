/* SPDX-License-Identifier: MIT */
/* Images scored one at a time as they come, with everything kept ready for the next one. */
#ifndef US_TRAINING_SINGLE_H
#define US_TRAINING_SINGLE_H

#include "ops/image_store.h"
#include "training/calibration.h"

typedef struct us_single us_single;

/* source->pixels is read at each call of us_single_score, and the source is of as many images as
 * the detector's batch, most often one. Detector and pixels outlive it. */
unseen_status us_single_create(us_detector *detector, const us_image_source *source,
                               us_single **single, unseen_error *error);
void us_single_destroy(us_single *single); /* NULL is fine */

/* The columns of the first n images whose pixels are there now, n of each: larger is more
 * anomalous, all finite. */
unseen_status us_single_score(us_single *single, int n,
                              double *const columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error);

#endif
