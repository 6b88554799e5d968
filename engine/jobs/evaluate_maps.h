/* SPDX-License-Identifier: MIT */
#ifndef US_JOBS_EVALUATE_MAPS_H
#define US_JOBS_EVALUATE_MAPS_H

#include <cjson/cJSON.h>

#include "base/error.h"

/* Compares a file of maps, of any program, with one of masks, and adds the metrics of pixels. */
unseen_status us_evaluate_maps(const char *maps, const char *masks, cJSON *results,
                               unseen_error *error);

#endif
