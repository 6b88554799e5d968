/* SPDX-License-Identifier: MIT */
/* report.html: one run folder as a page without scripts or outside references. */
#ifndef US_EVALUATION_REPORT_H
#define US_EVALUATION_REPORT_H

#include "evaluation/report_run.h"

/* Reads metrics.json, config.json, log.jsonl, pictures.json and scores.csv (else prediction.csv) of
 * the folder, all but the first as far as they are there, and writes report.html into it: warnings,
 * a summary, the ROC curve and histograms of scores per class where scores.csv has labels, the loss
 * curve, the metrics of every score, the threshold, images with their maps, the config. Charts are
 * inline SVG. UNSEEN_BAD_INPUT when the folder has no metrics.json, or names the file that is
 * damaged. */
unseen_status us_report_run(const char *run_folder, unseen_error *error);

/* The same for a run that has been read, or for what is described as one: run->folder may be a file
 * of scores. NULL: report.html in its folder. */
unseen_status us_report_write(const us_run *run, const char *path, unseen_error *error);

#endif
