/* SPDX-License-Identifier: MIT */
/* The layers that a config can name: the rows of US_LAYER_TYPES in ops/layer.h. */
#ifndef US_NETWORK_LAYER_TABLE_H
#define US_NETWORK_LAYER_TABLE_H

#include "ops/layer.h"

extern const us_layer_type *const us_layer_types[]; /* NULL-terminated */

/* NULL where no layer has the name. */
const us_layer_type *us_layer_type_find(const char *name);

#endif
