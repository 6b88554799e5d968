/* SPDX-License-Identifier: MIT */
#include "evaluation/report_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "evaluation/metrics.h"

double us_run_number(const cJSON *object, const char *name) {
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(member) ? member->valuedouble : NAN;
}

const char *us_run_string(const cJSON *object, const char *name) {
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

const char *us_run_name(const us_run *run) {
    const char *name = us_run_string(run->metrics.value, "name");
    if (!name || !*name) name = us_run_string(run->config.value, "name");
    if (name && *name) return name;
    const char *slash = strrchr(run->folder, '/');
    return slash && slash[1] ? slash + 1 : run->folder;
}

static unseen_status read_object(const char *path, us_json *root, unseen_error *error) {
    US_TRY(us_json_load(path, root, error));
    if (cJSON_IsObject(root->value)) return UNSEEN_OK;
    return us_json_fail(root, error, "expected an object");
}

/* ---- log.jsonl ---- */

static unseen_status log_reserve(us_run_log *log, int64_t lines, unseen_error *error) {
    double **columns[] = {&log->epoch, &log->loss, &log->held_out_loss, &log->images_per_second};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (!(*columns[i] = calloc((size_t)lines + 1, sizeof(double))))
            return us_fail_memory(error, "the log of a run");
    for (int i = 0; i < US_RUN_PARTS; i++)
        if (!(log->part[i] = calloc((size_t)lines + 1, sizeof(double))))
            return us_fail_memory(error, "the log of a run");
    return UNSEEN_OK;
}

static void log_add(us_run_log *log, const cJSON *line) {
    const cJSON *losses = cJSON_GetObjectItemCaseSensitive(line, "losses"), *loss;
    double epoch = us_run_number(line, "epoch");
    if (!isfinite(epoch)) return;
    if (!log->parts && cJSON_IsObject(losses)) {
        cJSON_ArrayForEach(loss, losses) {
            if (log->parts == US_RUN_PARTS || strlen(loss->string) >= sizeof log->part_names[0])
                continue;
            strcpy(log->part_names[log->parts++], loss->string);
        }
    }
    while (log->count && log->epoch[log->count - 1] >= epoch)
        log->count--;
    log->epoch[log->count] = epoch;
    log->loss[log->count] = us_run_number(line, "loss");
    log->held_out_loss[log->count] = us_run_number(line, "held_out_loss");
    log->images_per_second[log->count] = us_run_number(line, "images_per_second");
    for (int i = 0; i < log->parts; i++)
        log->part[i][log->count] = us_run_number(losses, log->part_names[i]);
    log->count++;
}

static unseen_status log_parse(const char *path, const char *text, size_t size, us_run_log *log,
                               unseen_error *error) {
    int64_t lines = 1, number = 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    US_TRY(log_reserve(log, lines, error));
    for (const char *at = text, *end; at < text + size; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + size - at));
        bool cut_off = !end;
        if (!end) end = text + size;
        number++;
        if (strspn(at, " \t\r") >= (size_t)(end - at)) continue;
        us_json line;
        unseen_status status = us_json_parse(at, (size_t)(end - at), path, &line, error);
        if (status != UNSEEN_OK) {
            if (cut_off) return UNSEEN_OK;
            us_error_context(error, "line %lld", (long long)number);
            return status;
        }
        log_add(log, line.value);
        cJSON_Delete(line.value);
    }
    return UNSEEN_OK;
}

static unseen_status read_log(const char *path, us_run_log *log, unseen_error *error) {
    if (!us_file_exists(path)) return UNSEEN_OK;
    char *text;
    size_t size;
    US_TRY(us_file_read(path, US_RUN_LOG_LIMIT, &text, &size, error));
    unseen_status status = log_parse(path, text, size, log, error);
    free(text);
    return status;
}

/* ---- the folder ---- */

static unseen_status read_optional(const char *folder, us_run *run, unseen_error *error) {
    char *log = us_path_join(folder, US_RUN_LOG);
    char *scores = us_path_join(folder, US_RUN_SCORES);
    char *prediction = us_path_join(folder, US_RUN_PREDICTION);
    unseen_status status = UNSEEN_OK;
    if (!log || !scores || !prediction) status = us_fail_memory(error, "paths");
    if (status == UNSEEN_OK && us_file_exists(run->config_path))
        status = read_object(run->config_path, &run->config, error);
    if (status == UNSEEN_OK && us_file_exists(run->pictures_path))
        status = read_object(run->pictures_path, &run->pictures, error);
    if (status == UNSEEN_OK) status = read_log(log, &run->log, error);
    if (status == UNSEEN_OK && us_file_exists(scores))
        status = us_scores_read(scores, NULL, &run->scores, error);
    else if (status == UNSEEN_OK && us_file_exists(prediction))
        status = us_scores_read(prediction, NULL, &run->scores, error);
    free(log);
    free(scores);
    free(prediction);
    return status;
}

/* The evaluation of the run itself where it is there; else one of its scores and labels. Scores
 * that tell nothing are something for the page to say, no reason to write none. */
static unseen_status evaluate(us_run *run, unseen_error *error) {
    if (isfinite(us_run_number(run->metrics.value, "auc"))) {
        run->evaluation = run->metrics.value;
        return UNSEEN_OK;
    }
    if (!run->scores.anomalous) return UNSEEN_OK;
    cJSON *object = cJSON_CreateObject();
    if (!object) return us_fail_memory(error, "the metrics");
    unseen_error why;
    unseen_status status = us_metrics_of_scores(&run->scores, run->scores.anomalous, object, &why);
    if (status == UNSEEN_OK) {
        run->evaluation = run->computed = object;
        return UNSEEN_OK;
    }
    cJSON_Delete(object);
    if (status != UNSEEN_BAD_INPUT) return us_fail(error, status, "%s", why.message);
    snprintf(run->refused, sizeof run->refused, "%.*s", (int)sizeof run->refused - 1, why.message);
    return UNSEEN_OK;
}

unseen_status us_run_read(const char *folder, us_run *run, unseen_error *error) {
    *run = (us_run){.folder = folder};
    unseen_status status = UNSEEN_OK;
    run->metrics_path = us_path_join(folder, US_RUN_METRICS);
    run->config_path = us_path_join(folder, US_RUN_CONFIG);
    run->pictures_path = us_path_join(folder, US_RUN_PICTURES);
    if (!run->metrics_path || !run->config_path || !run->pictures_path)
        US_CHECK(us_fail_memory(error, "paths"));
    if (!us_file_exists(run->metrics_path))
        US_CHECK(us_fail(error, UNSEEN_BAD_INPUT, "%s is not a run folder: it has no metrics.json",
                         folder));
    US_CHECK(read_object(run->metrics_path, &run->metrics, error));
    US_CHECK(read_optional(folder, run, error));
    US_CHECK(evaluate(run, error));
done:
    if (status != UNSEEN_OK) us_run_release(run);
    return status;
}

void us_run_release(us_run *run) {
    cJSON_Delete(run->metrics.value);
    cJSON_Delete(run->config.value);
    cJSON_Delete(run->pictures.value);
    cJSON_Delete(run->computed);
    free(run->log.epoch);
    free(run->log.loss);
    free(run->log.held_out_loss);
    free(run->log.images_per_second);
    for (int i = 0; i < US_RUN_PARTS; i++)
        free(run->log.part[i]);
    us_scores_destroy(&run->scores);
    free(run->metrics_path);
    free(run->config_path);
    free(run->pictures_path);
    *run = (us_run){0};
}
