/* SPDX-License-Identifier: MIT */
#ifndef US_EVALUATION_REPORT_PICTURES_H
#define US_EVALUATION_REPORT_PICTURES_H

#include <stdio.h>

#include "evaluation/report_run.h"

/* The images of pictures.json with their maps and masks; nothing where there is no such file. What
 * is no picture in it is left out. */
void us_report_pictures(FILE *page, const us_run *run);

#endif
