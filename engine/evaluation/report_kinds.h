/* SPDX-License-Identifier: MIT */
/* How the kinds of anomalous images are told from normal ones. Nothing is written where there are
 * not several. */
#ifndef US_EVALUATION_REPORT_KINDS_H
#define US_EVALUATION_REPORT_KINDS_H

#include <stdio.h>

#include "evaluation/report_run.h"

/* A table of them, and which are confused with normal images. */
void us_report_kinds(FILE *page, const us_run *run);

/* The ROC curve of each by itself. */
unseen_status us_report_roc_of_kinds(FILE *page, const us_run *run, unseen_error *error);

#endif
