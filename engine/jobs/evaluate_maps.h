/* SPDX-License-Identifier: MIT */
#ifndef US_JOBS_EVALUATE_MAPS_H
#define US_JOBS_EVALUATE_MAPS_H

#include <cjson/cJSON.h>

#include "data/array.h"
#include "evaluation/map_resize.h"

/* Maps of floats, .npy of (number, height, width). */
unseen_status us_evaluate_open_maps(const char *path, us_array *maps, us_map_size *size,
                                    unseen_error *error);

/* Compares a file of maps, of any program, with one of masks, and adds the metrics of pixels. */
unseen_status us_evaluate_maps(const char *maps, const char *masks, cJSON *results,
                               unseen_error *error);

#endif
