/* SPDX-License-Identifier: MIT */
/* What the jobs that score images say about their results. */
#ifndef US_JOBS_RESULTS_H
#define US_JOBS_RESULTS_H

#include "data/labels.h"
#include "evaluation/scores.h"
#include "training/dataset.h"

/* Adds a warning to the array "warnings" of the results; an empty one is none. */
unseen_status us_results_warn(cJSON *results, const char *text, unseen_error *error);

/* Adds a warning where all images are identical, so that their scores are, too. */
unseen_status us_results_warn_of_identical(cJSON *results, const us_dataset *images,
                                           unseen_error *error);

/* Adds "kinds": how well each anomalous class by itself is told from the normal images, where there
 * are several of at most US_KINDS_MOST: {NAME: {images, auc, auc_ci95, average_precision}}. */
enum { US_KINDS_MOST = 256 };
unseen_status us_results_add_kinds(cJSON *results, const us_scores *scores, const us_labels *labels,
                                   const unsigned char *anomalous, unseen_error *error);

/* Sends every warning of the results as an event. */
void us_results_tell_warnings(const cJSON *results, const unseen_events *events);

#endif
