/* SPDX-License-Identifier: MIT */
#include "jobs/results.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evaluation/kinds.h"
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

/* The anomalous classes that there are, ascending; 0: too many. */
static int find_classes(const us_labels *labels, const unsigned char *anomalous,
                        int64_t classes[US_KINDS_MOST]) {
    int count = 0;
    for (int64_t i = 0; i < labels->count; i++) {
        int at = 0;
        while (at < count && classes[at] < labels->values[i])
            at++;
        if (!anomalous[i] || (at < count && classes[at] == labels->values[i])) continue;
        if (count == US_KINDS_MOST) return 0;
        memmove(classes + at + 1, classes + at, (size_t)(count - at) * sizeof *classes);
        classes[at] = labels->values[i];
        count++;
    }
    return count;
}

unseen_status us_results_take_kinds(const us_labels *labels, const unsigned char *anomalous,
                                    us_scores *scores, unseen_error *error) {
    int64_t classes[US_KINDS_MOST];
    const int count = find_classes(labels, anomalous, classes);
    if (count < 2) return UNSEEN_OK;
    us_kinds_release(&scores->kinds);
    US_TRY(us_kinds_create(labels->count, &scores->kinds, error));
    for (int c = 0; c < count; c++) {
        char number[24];
        const char *name = us_labels_class(labels, classes[c], number);
        if (us_kinds_add(&scores->kinds, name, strlen(name)) != c)
            return us_fail_memory(error, "kinds of images");
    }
    for (int64_t i = 0; i < labels->count; i++)
        for (int c = 0; anomalous[i] && c < count; c++)
            if (classes[c] == labels->values[i]) scores->kinds.of[i] = (int16_t)c;
    return UNSEEN_OK;
}
