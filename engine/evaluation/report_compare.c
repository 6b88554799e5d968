/* SPDX-License-Identifier: MIT */
/* unseen_report: a page for each run, and one that compares them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/output.h"
#include "evaluation/locale.h"
#include "evaluation/metrics.h"
#include "evaluation/report.h"
#include "evaluation/report_chart.h"
#include "evaluation/report_page.h"
#include "evaluation/report_run.h"
#include "evaluation/report_sweep.h"

/* What the comparison keeps of a run; numbers are NaN where unknown. */
typedef struct us_summary {
    char *folder, *name, *device;
    double auc, low, high, average_precision, found_at_5; /* the interval is low to high */
    double loss, epochs, train_seconds, parameters;
    double *fpr, *tpr; /* the ROC curve of the combined score; NULL without labels */
    int64_t points;
} us_summary;

static void release(us_summary *summaries, size_t count) {
    for (size_t i = 0; summaries && i < count; i++) {
        free(summaries[i].folder);
        free(summaries[i].name);
        free(summaries[i].device);
        free(summaries[i].fpr);
        free(summaries[i].tpr);
    }
    free(summaries);
}

static unseen_status keep_roc(const us_run *run, us_summary *summary, unseen_error *error) {
    if (!run->evaluation || !run->scores.anomalous) return UNSEEN_OK;
    double *threshold;
    US_TRY(us_roc_curve(run->scores.values[0], run->scores.anomalous, run->scores.count,
                        &summary->fpr, &summary->tpr, &threshold, &summary->points, error));
    free(threshold);
    return UNSEEN_OK;
}

static unseen_status summarize(const us_run *run, us_summary *summary, unseen_error *error) {
    const cJSON *metrics = run->metrics.value, *evaluation = run->evaluation;
    const cJSON *ci95 = cJSON_GetObjectItemCaseSensitive(evaluation, "auc_ci95");
    const cJSON *low = cJSON_GetArrayItem(ci95, 0), *high = cJSON_GetArrayItem(ci95, 1);
    const char *device = us_run_string(metrics, "device");
    *summary = (us_summary){
        .folder = strdup(run->folder),
        .name = strdup(us_run_name(run)),
        .device = strdup(device ? device : "unknown"),
        .auc = us_run_number(evaluation, "auc"),
        .low = cJSON_IsNumber(low) ? low->valuedouble : NAN,
        .high = cJSON_IsNumber(high) ? high->valuedouble : NAN,
        .average_precision = us_run_number(evaluation, "average_precision"),
        .found_at_5 =
            us_run_number(cJSON_GetObjectItemCaseSensitive(evaluation, "tpr_at_fpr"), "0.05"),
        .loss = us_run_number(metrics, "loss"),
        .epochs = us_run_number(metrics, "epochs"),
        .train_seconds = us_run_number(metrics, "train_seconds"),
        .parameters = us_run_number(metrics, "parameters"),
    };
    if (!summary->folder || !summary->name || !summary->device)
        return us_fail_memory(error, "the comparison of runs");
    return keep_roc(run, summary, error);
}

/* ---- sweeps ---- */

static bool is_sweep(const char *folder) {
    char *board = us_path_join(folder, US_SWEEP_DOCUMENT);
    char *metrics = us_path_join(folder, US_RUN_METRICS);
    const bool is = board && metrics && us_file_exists(board) && !us_file_exists(metrics);
    free(board);
    free(metrics);
    return is;
}

/* As its best run, the first of the board. */
static unseen_status summarize_sweep(const char *folder, const cJSON *board, us_summary *summary,
                                     unseen_error *error) {
    const char *name = us_run_string(board, "name");
    const cJSON *best = us_run_string(board, "best")
                            ? cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(board, "runs"), 0)
                            : NULL;
    const cJSON *ci95 = cJSON_GetObjectItemCaseSensitive(best, "auc_ci95");
    const cJSON *low = cJSON_GetArrayItem(ci95, 0), *high = cJSON_GetArrayItem(ci95, 1);
    *summary = (us_summary){
        .folder = strdup(folder),
        .name = strdup(name ? name : folder),
        .device = strdup("unknown"),
        .auc = us_run_number(best, "auc"),
        .low = cJSON_IsNumber(low) ? low->valuedouble : NAN,
        .high = cJSON_IsNumber(high) ? high->valuedouble : NAN,
        .average_precision = NAN,
        .found_at_5 = NAN,
        .loss = us_run_number(best, "loss"),
        .epochs = us_run_number(best, "epochs"),
        .train_seconds = us_run_number(best, "train_seconds"),
        .parameters = us_run_number(best, "parameters"),
    };
    if (summary->folder && summary->name && summary->device) return UNSEEN_OK;
    return us_fail_memory(error, "the comparison of runs");
}

static unseen_status report_sweep(const char *folder, us_summary *summary, unseen_error *error) {
    us_json board = {0};
    char *path = us_path_join(folder, US_SWEEP_DOCUMENT);
    unseen_status status =
        path ? us_json_load(path, &board, error) : us_fail_memory(error, "a path");
    if (status == UNSEEN_OK) status = us_report_sweep(folder, board.value, error);
    if (status == UNSEEN_OK) status = summarize_sweep(folder, board.value, summary, error);
    cJSON_Delete(board.value);
    free(path);
    return status;
}

static unseen_status report_run(const char *folder, us_summary *summary, unseen_error *error) {
    us_run run;
    US_TRY(us_run_read(folder, &run, error));
    unseen_status status = us_report_write(&run, NULL, error);
    if (status == UNSEEN_OK) status = summarize(&run, summary, error);
    us_run_release(&run);
    return status;
}

/* ---- JSON ---- */

static bool add_interval(cJSON *object, const us_summary *summary) {
    const double ends[2] = {summary->low, summary->high};
    if (!isfinite(ends[0]) || !isfinite(ends[1]))
        return cJSON_AddNullToObject(object, "auc_ci95") != NULL;
    cJSON *array = cJSON_CreateDoubleArray(ends, 2);
    if (array && cJSON_AddItemToObject(object, "auc_ci95", array)) return true;
    cJSON_Delete(array);
    return false;
}

static bool add_run(cJSON *runs, const us_summary *summary) {
    cJSON *run = cJSON_CreateObject();
    if (!run || !cJSON_AddItemToArray(runs, run)) {
        cJSON_Delete(run);
        return false;
    }
    return cJSON_AddStringToObject(run, "out", summary->folder) &&
           cJSON_AddStringToObject(run, "name", summary->name) &&
           us_json_add_number(run, "auc", summary->auc) && add_interval(run, summary) &&
           us_json_add_number(run, "average_precision", summary->average_precision) &&
           us_json_add_number(run, "loss", summary->loss) &&
           us_json_add_number(run, "epochs", summary->epochs) &&
           us_json_add_number(run, "train_seconds", summary->train_seconds) &&
           us_json_add_number(run, "parameters", summary->parameters);
}

static unseen_status to_json(const us_summary *summaries, size_t count, char **json,
                             unseen_error *error) {
    cJSON *object = cJSON_CreateObject();
    cJSON *runs = object ? cJSON_AddArrayToObject(object, "runs") : NULL;
    bool added = runs != NULL;
    for (size_t i = 0; added && i < count; i++)
        added = add_run(runs, &summaries[i]);
    *json = added ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    return *json ? UNSEEN_OK : us_fail_memory(error, "the comparison of runs");
}

/* ---- the page ---- */

/* The best AUC first, runs without one last, equal ones by name. */
static int better(const void *left, const void *right) {
    const us_summary *a = *(const us_summary *const *)left, *b = *(const us_summary *const *)right;
    double auc_a = isfinite(a->auc) ? a->auc : -1, auc_b = isfinite(b->auc) ? b->auc : -1;
    if (auc_a != auc_b) return auc_a < auc_b ? 1 : -1;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->folder, b->folder);
}

/* The range of the little pictures of intervals: whole tenths around all of them. */
static void interval_range(us_summary *const *order, size_t count, double range[2]) {
    range[0] = 1;
    range[1] = 0;
    for (size_t i = 0; i < count; i++) {
        const us_summary *run = order[i];
        if (!isfinite(run->auc)) continue;
        range[0] = fmin(range[0], floor(10 * fmin(run->auc, run->low)) / 10);
        range[1] = fmax(range[1], ceil(10 * fmax(run->auc, run->high)) / 10);
    }
    range[0] = fmax(range[0], 0);
    range[1] = fmin(range[1], 1);
}

static void write_interval(FILE *page, const us_summary *run, const double range[2]) {
    double width = range[1] - range[0];
    if (!isfinite(run->auc) || !(width > 0) || !(run->auc >= range[0] && run->auc <= range[1])) {
        fputs("<td></td>", page);
        return;
    }
    double scale = 140 / width;
    fputs("<td><svg viewBox=\"0 0 150 18\" aria-hidden=\"true\"><path class=\"grid\" "
          "d=\"M5 9H145\"/>",
          page);
    if (run->low >= range[0] && run->high <= range[1])
        fprintf(page, "<path class=\"line k0\" d=\"M%.1f 9H%.1f\"/>",
                5 + (run->low - range[0]) * scale, 5 + (run->high - range[0]) * scale);
    fprintf(page, "<circle class=\"dot k0\" cx=\"%.1f\" cy=\"9\" r=\"4\"/></svg></td>",
            5 + (run->auc - range[0]) * scale);
}

static void write_row(FILE *page, const us_summary *run, const double range[2]) {
    char one[US_TEXT_SIZE], two[US_TEXT_SIZE];
    fputs("<tr><th scope=\"row\">", page);
    us_page_text(page, run->name);
    fputs("<br><small>", page);
    us_page_text(page, run->folder);
    fprintf(page, "</small></th><td>%s</td>", us_text_score(run->auc, one));
    if (isfinite(run->low) && isfinite(run->high))
        fprintf(page, "<td>%s to %s</td>", us_text_score(run->low, one),
                us_text_score(run->high, two));
    else
        fputs("<td>unknown</td>", page);
    write_interval(page, run, range);
    fprintf(page, "<td>%s</td>", us_text_score(run->average_precision, one));
    fprintf(page, "<td>%s</td>", us_text_percent(run->found_at_5, one));
    fprintf(page, "<td>%s</td>", us_text_number(run->loss, one));
    fprintf(page, "<td>%s</td>", us_text_count(run->epochs, one));
    fprintf(page, "<td>%s</td>", us_text_count(run->parameters, one));
    fprintf(page, "<td>%s</td><td class=\"words\">", us_text_duration(run->train_seconds, one));
    us_page_text(page, run->device);
    fputs("</td></tr>\n", page);
}

static void write_table(FILE *page, us_summary *const *order, size_t count) {
    double range[2];
    interval_range(order, count, range);
    fputs("<div class=\"box scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Runs\"><table>\n"
          "<thead><tr><th scope=\"col\">Run</th><th scope=\"col\">AUC</th><th scope=\"col\">95% "
          "interval</th>",
          page);
    if (range[0] < range[1])
        fprintf(page,
                "<th><svg viewBox=\"0 0 150 18\" role=\"img\"><title>Intervals from %.1f to "
                "%.1f</title><text x=\"0\" y=\"14\">%.1f</text><text x=\"150\" y=\"14\" "
                "text-anchor=\"end\">%.1f</text></svg></th>",
                range[0], range[1], range[0], range[1]);
    else
        fputs("<th></th>", page);
    fputs("<th scope=\"col\">Average<br>precision</th><th scope=\"col\">Found at 5%<br>false "
          "alarms</th><th scope=\"col\">Loss</th><th scope=\"col\">Epochs</th>"
          "<th scope=\"col\">Parameters</th><th scope=\"col\">Training<br>time</th>"
          "<th scope=\"col\" class=\"words\">Device</th></tr></thead>\n<tbody>\n",
          page);
    for (size_t i = 0; i < count; i++)
        write_row(page, order[i], range);
    fputs("</tbody>\n</table></div>\n", page);
}

static void write_curves(FILE *page, us_summary *const *order, size_t count) {
    us_chart chart = {
        .title = "ROC curves of the combined scores",
        .description = "Anomalous images found against false alarms, one curve per run",
        .note = "Every point is a threshold. The dashed diagonal is guessing.",
        .x = {.label = "normal images called anomalous", .low = 0, .high = 1, .percent = true},
        .y = {.label = "anomalous images found", .low = 0, .high = 1, .percent = true},
        .diagonal = true,
        .marker_x = NAN,
    };
    bool more = false;
    for (size_t i = 0; i < count; i++) {
        if (!order[i]->fpr) continue;
        more = chart.count == US_CHART_MAX_SERIES;
        if (more) break;
        chart.series[chart.count++] = (us_series){.name = order[i]->name,
                                                  .x = order[i]->fpr,
                                                  .y = order[i]->tpr,
                                                  .count = order[i]->points};
    }
    if (!chart.count) return;
    if (more) chart.title = "ROC curves of the combined scores: the eight best runs";
    fputs("<h2>Charts</h2>\n<div class=\"charts\">\n", page);
    us_chart_write(page, &chart);
    fputs("</div>\n", page);
}

static unseen_status write_comparison(us_summary *summaries, size_t count, const char *path,
                                      unseen_error *error) {
    us_file_writer writer;
    us_summary **order = malloc(count * sizeof *order);
    if (!order) return us_fail_memory(error, "the comparison of runs");
    for (size_t i = 0; i < count; i++)
        order[i] = &summaries[i];
    qsort(order, count, sizeof *order, better);
    unseen_status status = us_output_begin(path, &writer, error);
    if (status == UNSEEN_OK) {
        us_locale locale = us_locale_enter();
        us_page_begin(writer.stream, "Runs compared",
                      "The best AUC first. Runs whose intervals overlap widely may differ by the "
                      "choice of test images alone; AUCs of different test sets do not compare.");
        fputs("<h2>Runs</h2>\n", writer.stream);
        write_table(writer.stream, order, count);
        write_curves(writer.stream, order, count);
        us_page_end(writer.stream);
        us_locale_leave(locale);
        status = us_file_commit(&writer, error);
    }
    free(order);
    return status;
}

/* A page in a run's folder may be somebody else's. */
static unseen_status check_page(const char *folder, unseen_error *error) {
    char *path = us_path_join(folder, US_RUN_REPORT);
    if (!path) return us_fail_memory(error, "a path");
    const us_output page = {.path = path, .option = "report", .recognize = us_page_recognize};
    unseen_status status = us_output_replaces(&page, error);
    free(path);
    return status;
}

static unseen_status check_outputs(const char *const *run_folders, size_t count, const char *out,
                                   bool overwrite, unseen_error *error) {
    const us_output comparison = {.path = out, .option = "--out", .recognize = us_page_recognize};
    US_TRY(us_output_check(&comparison, error));
    if (!overwrite) US_TRY(us_output_replaces(&comparison, error));
    for (size_t i = 0; i < count; i++) {
        US_TRY(us_folder_spares(run_folders[i], US_FOLDER_RUN, "--out", out, error));
        if (!overwrite) US_TRY(check_page(run_folders[i], error));
    }
    return UNSEEN_OK;
}

unseen_status unseen_report(const char *const *run_folders, size_t count, const char *out,
                            bool overwrite, char **json, unseen_error *error) {
    *json = NULL;
    if (!count) return us_fail(error, UNSEEN_BAD_INPUT, "no run folder to report on");
    US_TRY(check_outputs(run_folders, count, out, overwrite, error));
    us_summary *summaries = calloc(count, sizeof *summaries);
    if (!summaries) return us_fail_memory(error, "the comparison of runs");
    unseen_status status = UNSEEN_OK;
    for (size_t i = 0; i < count && status == UNSEEN_OK; i++) {
        status = is_sweep(run_folders[i]) ? report_sweep(run_folders[i], &summaries[i], error)
                                          : report_run(run_folders[i], &summaries[i], error);
    }
    if (status == UNSEEN_OK && out) status = write_comparison(summaries, count, out, error);
    if (status == UNSEEN_OK) status = to_json(summaries, count, json, error);
    release(summaries, count);
    return status;
}
