/* SPDX-License-Identifier: MIT */
/* log.jsonl: one JSON object a line for each epoch, and for each restart. */
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "training/log.h"

/* The first `lines` whole lines of a text. */
static size_t prefix_length(const char *text, size_t size, int lines) {
    size_t length = 0;
    for (int i = 0; i < lines; i++) {
        const char *end = memchr(text + length, '\n', size - length);
        if (!end) break;
        length = (size_t)(end - text) + 1;
    }
    return length;
}

/* The file anew: its first `records` lines, then `line` if not NULL. */
static unseen_status rewrite(const char *folder, int records, const char *line,
                             unseen_error *error) {
    char *path, *text = NULL;
    size_t size = 0;
    US_TRY(us_folder_path(folder, US_RUN_LOG, &path, error));
    unseen_status status = UNSEEN_OK;
    if (us_file_exists(path)) status = us_file_read(path, US_RUN_LOG_LIMIT, &text, &size, error);
    us_file_writer writer;
    if (status == UNSEEN_OK && (status = us_file_begin(path, &writer, error)) == UNSEEN_OK) {
        fwrite(text ? text : "", 1, text ? prefix_length(text, size, records) : 0, writer.stream);
        if (line) fprintf(writer.stream, "%s\n", line);
        status = us_file_commit(&writer, error);
    }
    free(text);
    free(path);
    return status;
}

unseen_status us_log_rewind(const char *folder, const us_progress *progress, unseen_error *error) {
    return rewrite(folder, progress->records, NULL, error);
}

/* Frees the record. */
static unseen_status append(const char *folder, cJSON *record, bool complete, us_progress *progress,
                            unseen_error *error) {
    char *line = complete ? us_json_print_line(record) : NULL;
    unseen_status status = line ? rewrite(folder, progress->records, line, error)
                                : us_fail_memory(error, "a log record");
    if (status == UNSEEN_OK) progress->records++;
    unseen_string_free(line);
    cJSON_Delete(record);
    return status;
}

unseen_status us_log_restart(const char *folder, const char *reason, uint64_t seed,
                             us_progress *progress, unseen_error *error) {
    cJSON *record = cJSON_CreateObject();
    bool complete = us_json_add_number(record, "restart", progress->restarts) &&
                    us_json_add_number(record, "seed", (double)seed) &&
                    us_json_add_number(record, "finished_epochs", progress->epoch) &&
                    us_json_add_string(record, "reason", reason);
    return append(folder, record, complete, progress, error);
}

static const char *const stopping_words[] = {
    [US_STOPPING_CONVERGED] = "patience", [US_STOPPING_LOSS_BELOW] = "loss_below"};

unseen_status us_log_append(const char *folder, const us_log_epoch *epoch, us_progress *progress,
                            unseen_error *error) {
    cJSON *record = cJSON_CreateObject();
    bool complete = us_json_add_number(record, "epoch", progress->epoch) &&
                    us_json_add_number(record, "loss", epoch->losses[0]) &&
                    us_json_add_number(record, "held_out_loss", progress->held_out_loss) &&
                    us_json_add_number(record, "learning_rate", epoch->learning_rate) &&
                    us_json_add_number(record, "images_per_second", epoch->images_per_second) &&
                    us_json_add_number(record, "seconds", epoch->seconds);
    cJSON *parts = cJSON_AddObjectToObject(record, "losses");
    if (epoch->stopping != US_STOPPING_NONE)
        complete =
            us_json_add_string(record, "stopped", stopping_words[epoch->stopping]) && complete;
    for (int i = 0; epoch->type->losses[i].name; i++)
        complete =
            us_json_add_number(parts, epoch->type->losses[i].name, epoch->losses[i]) && complete;
    if (epoch->synthetic) complete = us_synthetic_to_json(epoch->synthetic, record) && complete;
    return append(folder, record, complete, progress, error);
}

/* The last of the first `records` records; NULL: it cannot be read. */
static cJSON *last_record(const char *folder, int records, unseen_error *error) {
    char *path, *text = NULL;
    size_t size = 0;
    if (us_folder_path(folder, US_RUN_LOG, &path, error) != UNSEEN_OK) return NULL;
    cJSON *record = NULL;
    if (us_file_read(path, US_RUN_LOG_LIMIT, &text, &size, error) == UNSEEN_OK) {
        const size_t start = prefix_length(text, size, records - 1);
        const size_t end = prefix_length(text, size, records);
        record = cJSON_ParseWithLength(text + start, end - start);
        if (!record) us_fail(error, UNSEEN_FAILURE, "%s: its last record cannot be read", path);
    }
    free(text);
    free(path);
    return record;
}

unseen_status us_log_synthetic(const char *folder, const us_synthetic *synthetic, int records,
                               unseen_error *error) {
    static const char *const keys[] = {"synthetic_auc", "synthetic_kinds"};
    if (records < 1) return UNSEEN_OK;
    cJSON *record = last_record(folder, records, error);
    if (!record) return UNSEEN_FAILURE;
    for (int i = 0; i < 2; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(record, keys[i]);
    us_progress before = {.records = records - 1};
    return append(folder, record, us_synthetic_to_json(synthetic, record), &before, error);
}

unseen_status us_log_members(const char *folder, const cJSON *members,
                             const us_synthetic *synthetic, unseen_error *error) {
    us_progress lines = {0};
    const cJSON *member;
    US_TRY(rewrite(folder, 0, NULL, error));
    cJSON_ArrayForEach(member, members) {
        cJSON *record = cJSON_Duplicate(member, true);
        US_TRY(append(folder, record, us_json_add_string(record, "member", member->string), &lines,
                      error));
    }
    if (!synthetic) return UNSEEN_OK;
    cJSON *record = cJSON_CreateObject();
    return append(folder, record, us_synthetic_to_json(synthetic, record), &lines, error);
}
