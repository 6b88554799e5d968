/* SPDX-License-Identifier: MIT */
#include "jobs/results.h"

#include <inttypes.h>
#include <stdio.h>

#include "training/variety.h"

unseen_status us_results_warn(cJSON *results, const char *text, unseen_error *error) {
    if (!*text || us_json_append_string(results, "warnings", text)) return UNSEEN_OK;
    return us_fail_memory(error, "results");
}

unseen_status us_results_warn_of_identical(cJSON *results, const us_dataset *images,
                                           unseen_error *error) {
    char text[512];
    int64_t count = images->images.count;
    if (count < 2 || !us_dataset_alike(images, NULL, count)) return UNSEEN_OK;
    snprintf(text, sizeof text,
             "%.200s: all %" PRId64 " images are identical, and so are their scores",
             images->images.path, count);
    return us_results_warn(results, text, error);
}

void us_results_tell_warnings(const cJSON *results, const unseen_events *events) {
    const cJSON *warnings = cJSON_GetObjectItemCaseSensitive(results, "warnings"), *warning;
    cJSON_ArrayForEach(warning, warnings)
        us_event_message(events, UNSEEN_EVENT_WARNING, "%s", cJSON_GetStringValue(warning));
}
