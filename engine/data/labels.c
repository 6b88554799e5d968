/* SPDX-License-Identifier: MIT */
#include "data/labels.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/event.h"
#include "base/json.h"
#include "data/file_set.h"
#include "data/labels_read.h"

static bool is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static unseen_status open_folder(const char *path, us_labels *labels, unseen_error *error) {
    const us_file_set_request request = {.kind = US_FILE_SET_FOLDER};
    us_file_set set;
    US_TRY(us_file_set_open(path, &request, &set, error));
    unseen_status status =
        set.labels.count
            ? us_file_set_ids(&set, "labels", &set.labels.ids, error)
            : us_fail(error, UNSEEN_BAD_INPUT,
                      "%s: no labels: its photographs are in no folders of classes", path);
    if (status == UNSEEN_OK) {
        *labels = set.labels;
        labels->ids.path = labels->path;
        set.labels = (us_labels){0};
    }
    us_file_set_close(&set);
    return status;
}

unseen_status us_labels_open(const char *path, const char *column, us_labels *labels,
                             unseen_error *error) {
    memset(labels, 0, sizeof *labels);
    unseen_status status;
    us_array array = {0};
    if (is_folder(path)) return open_folder(path, labels, error);
    labels->path = strdup(path);
    US_CHECK(labels->path ? UNSEEN_OK : us_fail_memory(error, "labels"));
    US_CHECK(us_array_open(path, &array, error));
    if (array.header.format == US_ARRAY_OTHER)
        status = us_labels_from_table((const char *)array.data, array.header.bytes, column, labels,
                                      error);
    else if (column)
        status = us_fail(error, UNSEEN_BAD_INPUT,
                         "%s: an array, which has no column \"%s\": leave --label-column "
                         "(/data/label_column) out",
                         path, column);
    else
        status = us_labels_from_array(&array, labels, error);
    if (us_array_check(&array, path, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
done:
    us_array_close(&array);
    if (status != UNSEEN_OK) us_labels_close(labels);
    return status;
}

void us_labels_close(us_labels *labels) {
    for (int64_t i = 0; i < labels->word_count; i++)
        free(labels->words[i]);
    free(labels->words);
    free(labels->values);
    free(labels->path);
    us_ids_release(&labels->ids);
    memset(labels, 0, sizeof *labels);
}

unseen_status us_labels_match(us_labels *labels, const us_ids *images, unseen_error *error) {
    us_join join;
    US_TRY(us_ids_join(&labels->ids, images, &join, error));
    strcpy(labels->joined, join.how);
    if (!join.order) return UNSEEN_OK;
    int64_t *ordered = malloc((size_t)images->count * sizeof *ordered);
    for (int64_t i = 0; ordered && i < images->count; i++)
        ordered[i] = labels->values[join.order[i]];
    free(join.order);
    if (!ordered) return us_fail_memory(error, "labels");
    free(labels->values);
    labels->values = ordered;
    return UNSEEN_OK;
}

unseen_status us_labels_match_images(us_labels *labels, int64_t images, const char *images_path,
                                     unseen_error *error) {
    const us_ids counted = {.path = images_path, .what = "images", .count = images};
    return us_labels_match(labels, &counted, error);
}

void us_labels_tell(const us_labels *labels, const unseen_events *events) {
    bool named = *labels->column != '\0';
    us_event_message(events, UNSEEN_EVENT_MESSAGE, "%s: %lld labels%s%s%s, joined %s", labels->path,
                     (long long)labels->count, named ? " in column \"" : "", labels->column,
                     named ? "\"" : "", labels->joined);
}

bool us_labels_to_json(const us_labels *labels, cJSON *object) {
    cJSON *member = cJSON_AddObjectToObject(object, "labels");
    return member && cJSON_AddStringToObject(member, "path", labels->path) &&
           cJSON_AddNumberToObject(member, "count", (double)labels->count) &&
           us_json_add_string(member, "column", *labels->column ? labels->column : NULL) &&
           cJSON_AddStringToObject(member, "joined", labels->joined);
}
