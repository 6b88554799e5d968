/* SPDX-License-Identifier: MIT */
/* Densities in models' files. */
#ifndef US_DETECTOR_DENSITY_FILE_H
#define US_DETECTOR_DENSITY_FILE_H

#include "network/safetensors.h"
#include "ops/density.h"

/* Adds "PREFIX.NAME" for each of its tensors. It has learned. */
unseen_status us_density_save(us_density *density, const char *prefix,
                              us_safetensors_builder *builder, unseen_error *error);

/* UNSEEN_BAD_INPUT where a tensor is missing or of another shape than the config's. */
unseen_status us_density_load(us_density *density, const char *prefix, const us_safetensors *file,
                              unseen_error *error);

#endif
