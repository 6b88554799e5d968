/* SPDX-License-Identifier: MIT */
#include "network/layer_table.h"

#include <string.h>

#define ENTRY(name) &us_##name##_layer,

const us_layer_type *const us_layer_types[] = {US_LAYER_TYPES(ENTRY) NULL};

const us_layer_type *us_layer_type_find(const char *name) {
    for (int i = 0; us_layer_types[i]; i++)
        if (strcmp(us_layer_types[i]->name, name) == 0) return us_layer_types[i];
    return NULL;
}
