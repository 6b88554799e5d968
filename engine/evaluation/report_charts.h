/* SPDX-License-Identifier: MIT */
/* The charts of a run. Each writes nothing where the run has nothing to show. */
#ifndef US_EVALUATION_REPORT_CHARTS_H
#define US_EVALUATION_REPORT_CHARTS_H

#include <stdio.h>

#include "evaluation/report_run.h"

/* ROC curves of all scores; needs labels. */
unseen_status us_report_roc(FILE *page, const us_run *run, unseen_error *error);

/* Histograms of one score, per class where labels are known. */
unseen_status us_report_histogram(FILE *page, const us_run *run, int column, unseen_error *error);

/* Training loss, and held-out loss where there is one; the parts of the loss where it has several.
 */
void us_report_loss(FILE *page, const us_run *run);

#endif
