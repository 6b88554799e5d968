/* SPDX-License-Identifier: MIT */
/* The layers a config can name. A new layer is one row here and one file in ops/. */
#ifndef US_NETWORK_LAYER_TABLE_H
#define US_NETWORK_LAYER_TABLE_H

#include "ops/layer.h"

extern const us_layer_type *const us_layer_types[]; /* NULL-terminated */

/* NULL where no layer has the name. */
const us_layer_type *us_layer_type_find(const char *name);

#endif
