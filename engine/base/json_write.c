/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "base/json.h"

bool us_json_add_number(cJSON *object, const char *name, double value) {
    return isfinite(value) ? cJSON_AddNumberToObject(object, name, value) != NULL
                           : cJSON_AddNullToObject(object, name) != NULL;
}

bool us_json_add_string(cJSON *object, const char *name, const char *text) {
    return text ? cJSON_AddStringToObject(object, name, text) != NULL
                : cJSON_AddNullToObject(object, name) != NULL;
}

bool us_json_append_string(cJSON *object, const char *name, const char *text) {
    cJSON *array = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!array) array = cJSON_AddArrayToObject(object, name);
    cJSON *item = cJSON_CreateString(text);
    if (array && item && cJSON_AddItemToArray(array, item)) return true;
    cJSON_Delete(item);
    return false;
}
