/* report.html: one run folder as a page without scripts or outside references. */
#ifndef US_EVALUATION_REPORT_H
#define US_EVALUATION_REPORT_H

#include "base/error.h"

/* Reads config.json, log.jsonl, metrics.json, scores.csv (else prediction.csv) of the folder as far
 * as they are there, and writes report.html into it: a summary, the loss curve, the ROC curve and
 * score histograms per class where labels are known (metrics.json holds "anomalous_path" and
 * "normal"), thresholds, the config. Charts are inline SVG. */
unseen_status us_report_run(const char *run_folder, unseen_error *error);

#endif
