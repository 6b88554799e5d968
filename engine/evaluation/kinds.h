/* SPDX-License-Identifier: MIT */
/* Anomalous images of several kinds, and how well each kind by itself is told from the normal
 * images. */
#ifndef US_EVALUATION_KINDS_H
#define US_EVALUATION_KINDS_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "evaluation/scores.h"

/* Memory for the kinds of so many images, all of them normal at first. */
unseen_status us_kinds_create(int64_t images, us_kinds *kinds, unseen_error *error);
void us_kinds_release(us_kinds *kinds); /* zeroed kinds are fine */

/* The kind of that name, which is added if it is new; -1: there are US_KINDS_MOST others, or no
 * memory. */
int us_kinds_add(us_kinds *kinds, const char *name, size_t length);

/* Adds "kinds", where the scores have several: {NAME: {images, auc (null: all scores are the same),
 *  auc_ci95, average_precision, missed: the share of its images whose score is below the
 *  threshold}}, and "confused": the names of those whose AUC may well be one half or less, as its
 * interval says. */
unseen_status us_kinds_to_json(const us_scores *scores, const unsigned char *anomalous,
                               double threshold, cJSON *results, unseen_error *error);

#endif
