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

/* Where several classes of the labels are anomalous, and at most US_KINDS_MOST, they are the kinds
 * of the scores. */
unseen_status us_results_take_kinds(const us_labels *labels, const unsigned char *anomalous,
                                    us_scores *scores, unseen_error *error);

/* Sends every warning of the results as an event. */
void us_results_tell_warnings(const cJSON *results, const unseen_events *events);

#endif
