/* SPDX-License-Identifier: MIT */
/* The report of scores of any program. */
#ifndef US_JOBS_EVALUATE_REPORT_H
#define US_JOBS_EVALUATE_REPORT_H

#include <cjson/cJSON.h>

#include "evaluation/scores.h"

/* What can be wrong about options->report and ->data is better said before evaluating than after.
 */
unseen_status us_evaluate_check_report(const unseen_evaluate_options *options, unseen_error *error);

/* Writes options->report from the results of evaluating the scores, with pictures where
 * options->data are their images. */
unseen_status us_evaluate_report(const unseen_evaluate_options *options, us_scores *scores,
                                 const unsigned char *anomalous, cJSON *results,
                                 unseen_error *error);

#endif
