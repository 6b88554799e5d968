/* SPDX-License-Identifier: MIT */
/* What maps of members weigh in the joint ones: how well they show which pixels of normal images
 * synthetic anomalies changed. A member may tell an image well and yet look elsewhere. */
#ifndef US_TRAINING_MAP_WEIGHTS_H
#define US_TRAINING_MAP_WEIGHTS_H

#include "training/model.h"

/* By the AUPRO (evaluation/pixel_metrics.h) of a member's maps: 1 for perfect ones, and next to
 * nothing for those that are no better than chance. */
double us_map_weight(double aupro);

/* The weights of all members that have maps, into model->joint, by anomalies of the given shape made
 * of a few of these normal images. */
unseen_status us_map_weights_measure(us_model *model, us_shape shape,
                                     const us_scored_images *normal, uint64_t seed,
                                     unseen_error *error);

#endif
