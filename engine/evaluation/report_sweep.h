/* SPDX-License-Identifier: MIT */
/* A sweep's board as a page without scripts or outside references: numbers as scatter plots on the
 * scale that the plan samples them on, choices in groups. */
#ifndef US_EVALUATION_REPORT_SWEEP_H
#define US_EVALUATION_REPORT_SWEEP_H

#include "base/json.h"

/* Writes report.html into the folder: cards, every key that runs differ in against the AUC (or,
 * where runs have none, against the loss that ranks them), parameters and speed against it with
 * their fronts, the board's best runs, means over seeds. board: the result of unseen_sweep, as
 * sweep.json keeps it, of any version. */
unseen_status us_report_sweep(const char *folder, const cJSON *board, unseen_error *error);

#endif
