/* SPDX-License-Identifier: MIT */
/* Shared by the json*.c files alone. */
#ifndef US_BASE_JSON_INTERNAL_H
#define US_BASE_JSON_INTERNAL_H

#include "base/json.h"

enum {
    US_JSON_DEPTH = 64,       /* of nesting, in texts and after overrides */
    US_JSON_NUMBER = 32,      /* characters that us_json_number needs */
    US_JSON_DESCRIPTION = 96, /* characters that us_json_describe needs */
};

/* Integers that a double holds exactly; cJSON keeps every number as a double. */
#define US_JSON_LARGEST_INTEGER 9007199254740991.0

/* A cursor for `value`, the member `name` of `parent`. */
us_json us_json_extend(const us_json *parent, const char *name, cJSON *value);

/* The shortest text that reads back as the same double; "null" for what JSON cannot express. */
void us_json_number(double number, char text[US_JSON_NUMBER]);

/* What a value is, for messages: "many", 3.5, true, an array of 3 elements. */
void us_json_describe(const cJSON *value, char text[US_JSON_DESCRIPTION]);

/* Levels of nesting; a scalar has none. */
int us_json_depth(const cJSON *value);

#endif
