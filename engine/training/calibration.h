/* SPDX-License-Identifier: MIT */
/* What a detector's scores are on normal images, and how several of them become one. */
#ifndef US_TRAINING_CALIBRATION_H
#define US_TRAINING_CALIBRATION_H

#include "evaluation/normal_scores.h"
#include "training/config.h"

/* What normal images score: for standardising, for the threshold, and to tell where another image
 * is among them. */
typedef struct us_calibration {
    double mean[US_DETECTOR_MAX_COLUMNS], deviation[US_DETECTOR_MAX_COLUMNS];
    double threshold;
    us_normal_scores normal; /* images 0: a model of a version that did not keep them */
    bool held_out;           /* the normal images are held-out ones, else training images */
} us_calibration;

/* "held-out images" or "training images" */
const char *us_calibration_source(const us_calibration *calibration);

/* Mean and deviation of the columns (count each). A non-finite column is
 * UNSEEN_DIVERGED, and so is a constant one of a detector with judges; elsewhere that is
 * UNSEEN_FAILURE. The message names the column and its network. */
unseen_status us_calibration_measure(const us_detector_spec *spec, double *const *columns,
                                     int64_t count, us_calibration *calibration,
                                     unseen_error *error);

/* One score of an image from its places in the columns. With a single column, that column. */
double us_score_combine(const us_detector_spec *spec, const us_calibration *calibration,
                        double *const *columns, int64_t image);

/* The same as parts, of the numbers that the device gives for the type's own columns. */
us_score_parts us_score_parts_of(const us_detector_spec *spec, const us_calibration *calibration);

/* A model's file holds it as JSON in its metadata. Of a spec without a type members are joined, there are no
 * columns. UNSEEN_BAD_INPUT where it is not there. */
unseen_status us_calibration_save(const us_detector_spec *spec, const us_calibration *calibration,
                                  us_safetensors_builder *builder, unseen_error *error);
unseen_status us_calibration_load(const us_detector_spec *spec, const us_safetensors *file,
                                  us_calibration *calibration, unseen_error *error);

#endif
