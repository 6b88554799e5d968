/* SPDX-License-Identifier: MIT */
#ifndef US_JOBS_EVALUATE_MAPS_H
#define US_JOBS_EVALUATE_MAPS_H

#include <cjson/cJSON.h>

#include "data/array.h"
#include "data/masks.h"
#include "evaluation/map_resize.h"

/* Maps of floats, .npy of (number, height, width). */
unseen_status us_evaluate_open_maps(const char *path, us_array *maps, us_map_size *size,
                                    unseen_error *error);

/* Masks of the images that `ids` names, see us_masks_match; photographs are stretched to `size`. */
unseen_status us_evaluate_open_masks(const char *path, us_map_size size, const us_ids *ids,
                                     us_masks *masks, unseen_error *error);

/* Compares options->maps, of any program, with options->masks, and adds the metrics of pixels. ids:
 * of the scores, in the order of the maps; NULL, or without names: masks that are photographs need
 * options->data to be photographs, whose names then count. */
unseen_status us_evaluate_maps(const unseen_evaluate_options *options, const us_ids *ids,
                               cJSON *results, unseen_error *error);

#endif
