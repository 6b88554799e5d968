/* log.jsonl: one JSON object a line for each epoch, and for each restart. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "training/trainer.h"

static unseen_status log_path(const us_trainer *trainer, char **path, unseen_error *error) {
    *path = us_path_join(trainer->folder, US_RUN_LOG);
    return *path ? UNSEEN_OK : us_fail_memory(error, "a path");
}

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

/* The records that the progress knows, then `line` if not NULL, as the whole new file. */
static unseen_status rewrite(const us_trainer *trainer, const char *line, unseen_error *error) {
    char *path, *text = NULL;
    size_t size = 0;
    US_TRY(log_path(trainer, &path, error));
    unseen_status status = UNSEEN_OK;
    if (us_file_exists(path)) status = us_file_read(path, US_RUN_LOG_LIMIT, &text, &size, error);
    us_file_writer writer;
    if (status == UNSEEN_OK && (status = us_file_begin(path, &writer, error)) == UNSEEN_OK) {
        fwrite(text ? text : "", 1, text ? prefix_length(text, size, trainer->progress.records) : 0,
               writer.stream);
        if (line) fprintf(writer.stream, "%s\n", line);
        status = us_file_commit(&writer, error);
    }
    free(text);
    free(path);
    return status;
}

unseen_status us_log_rewind(const us_trainer *trainer, unseen_error *error) {
    return rewrite(trainer, NULL, error);
}

/* Frees the record. */
static unseen_status append(us_trainer *trainer, cJSON *record, bool complete,
                            unseen_error *error) {
    char *line = complete ? us_json_print_line(record) : NULL;
    unseen_status status =
        line ? rewrite(trainer, line, error) : us_fail_memory(error, "a log record");
    if (status == UNSEEN_OK) trainer->progress.records++;
    unseen_string_free(line);
    cJSON_Delete(record);
    return status;
}

unseen_status us_log_restart(us_trainer *trainer, const char *reason, unseen_error *error) {
    cJSON *record = cJSON_CreateObject();
    bool complete = us_json_add_number(record, "restart", trainer->progress.restarts) &&
                    us_json_add_number(record, "seed", (double)trainer->seed) &&
                    us_json_add_number(record, "finished_epochs", trainer->progress.epoch) &&
                    cJSON_AddStringToObject(record, "reason", reason);
    return append(trainer, record, complete, error);
}

unseen_status us_log_append(us_trainer *trainer, const double *losses, double learning_rate,
                            double seconds, unseen_error *error) {
    const us_progress *progress = &trainer->progress;
    const us_detector_type *type = trainer->detector->spec->type;
    cJSON *record = cJSON_CreateObject();
    bool complete = us_json_add_number(record, "epoch", progress->epoch) &&
                    us_json_add_number(record, "loss", losses[0]) &&
                    us_json_add_number(record, "held_out_loss", progress->held_out_loss) &&
                    us_json_add_number(record, "learning_rate", learning_rate) &&
                    us_json_add_number(record, "images_per_second",
                                       (double)trainer->images_this_epoch / seconds) &&
                    us_json_add_number(record, "seconds", seconds);
    cJSON *parts = cJSON_AddObjectToObject(record, "losses");
    us_stopping_reason reason = us_trainer_stopping(trainer);
    if (reason == US_STOPPING_CONVERGED)
        complete = cJSON_AddStringToObject(record, "stopped", "patience") && complete;
    if (reason == US_STOPPING_LOSS_BELOW)
        complete = cJSON_AddStringToObject(record, "stopped", "loss_below") && complete;
    for (int i = 0; i < trainer->loss_count; i++)
        complete = us_json_add_number(parts, type->losses[i].name, losses[i]) && complete;
    return append(trainer, record, complete, error);
}
