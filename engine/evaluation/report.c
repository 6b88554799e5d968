/* SPDX-License-Identifier: MIT */
#include "evaluation/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/output.h"
#include "evaluation/locale.h"
#include "evaluation/metrics.h"
#include "evaluation/report_charts.h"
#include "evaluation/report_kinds.h"
#include "evaluation/report_page.h"
#include "evaluation/report_pictures.h"

static double element(const cJSON *object, const char *name, int index) {
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, name), index);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* ---- warnings and cards ---- */

static void write_warning(FILE *page, const char *text) {
    fputs("<div class=\"warning\" role=\"note\"><p><strong>Warning:</strong> ", page);
    us_page_text(page, text);
    fputs("</p></div>\n", page);
}

static void write_warnings(FILE *page, const us_run *run) {
    const cJSON *warning, *source = run->evaluation ? run->evaluation : run->metrics.value;
    if (run->refused[0]) write_warning(page, run->refused);
    cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(source, "warnings")) {
        if (cJSON_IsString(warning)) write_warning(page, warning->valuestring);
    }
}

static void write_number_card(FILE *page, const char *name, double value,
                              const char *(*words)(double, char[US_TEXT_SIZE]), const char *note) {
    char text[US_TEXT_SIZE];
    if (isfinite(value)) us_page_card(page, name, words(value, text), note);
}

static void write_evaluation_cards(FILE *page, const us_run *run) {
    char note[128], low[US_TEXT_SIZE], high[US_TEXT_SIZE];
    const cJSON *evaluation = run->evaluation;
    double n = us_run_number(evaluation, "n"), positives = us_run_number(evaluation, "positives");
    if (evaluation) {
        snprintf(note, sizeof note, "95%% interval %s to %s",
                 us_text_score(element(evaluation, "auc_ci95", 0), low),
                 us_text_score(element(evaluation, "auc_ci95", 1), high));
        write_number_card(page, "AUC", us_run_number(evaluation, "auc"), us_text_score, note);
        snprintf(note, sizeof note, "guessing: %s", us_text_score(positives / n, low));
        write_number_card(page, "Average precision", us_run_number(evaluation, "average_precision"),
                          us_text_score, note);
        snprintf(note, sizeof note, "%s of them anomalous", us_text_count(positives, low));
        write_number_card(page, "Test images", n, us_text_count, note);
    } else if (run->scores.count) {
        write_number_card(page, "Test images", (double)run->scores.count, us_text_count,
                          "without labels");
    }
}

static void write_pixel_cards(FILE *page, const us_run *run) {
    const cJSON *metrics = run->metrics.value;
    char note[128], regions[US_TEXT_SIZE];
    const cJSON *masks = cJSON_GetObjectItemCaseSensitive(metrics, "masks");
    snprintf(note, sizeof note, "of %s regions in masks",
             us_text_count(us_run_number(masks, "regions"), regions));
    write_number_card(page, "Pixel AUROC", us_run_number(metrics, "pixel_auroc"), us_text_score,
                      "of all pixels");
    write_number_card(page, "AUPRO", us_run_number(metrics, "aupro"), us_text_score, note);
}

static void write_cards(FILE *page, const us_run *run) {
    const cJSON *metrics = run->metrics.value;
    const us_run_log *log = &run->log;
    char note[128], number[US_TEXT_SIZE];
    double speed = log->count ? log->images_per_second[log->count - 1] : NAN;
    double held_out = log->count ? log->held_out_loss[log->count - 1] : NAN;
    fputs("<dl class=\"cards\">\n", page);
    write_evaluation_cards(page, run);
    write_pixel_cards(page, run);
    write_number_card(page, "AUC without labels", us_run_number(metrics, "synthetic_auc"),
                      us_text_score, "of anomalies made of normal images");
    snprintf(note, sizeof note, "held out: %s", us_text_number(held_out, number));
    write_number_card(page, "Training loss", us_run_number(metrics, "loss"), us_text_number,
                      isfinite(held_out) ? note : NULL);
    write_number_card(page, "Epochs", us_run_number(metrics, "epochs"), us_text_count, NULL);
    snprintf(note, sizeof note, "%s images/s", us_text_count(speed, number));
    write_number_card(page, "Training time", us_run_number(metrics, "train_seconds"),
                      us_text_duration, isfinite(speed) ? note : NULL);
    write_number_card(page, "Parameters", us_run_number(metrics, "parameters"), us_text_count,
                      NULL);
    const char *device = us_run_string(metrics, "device");
    if (device) us_page_card(page, "Device", device, NULL);
    fputs("</dl>\n", page);
}

/* ---- metrics of every score ---- */

static void write_metrics_row(FILE *page, const char *name, const cJSON *metrics) {
    static const char *const rates[] = {"0.01", "0.05", "0.1"};
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(metrics, "tpr_at_fpr");
    char one[US_TEXT_SIZE], two[US_TEXT_SIZE];
    fputs("<tr><th scope=\"row\">", page);
    us_page_text(page, name);
    fprintf(page, "</th><td>%s</td>", us_text_score(us_run_number(metrics, "auc"), one));
    fprintf(page, "<td>%s to %s</td>", us_text_score(element(metrics, "auc_ci95", 0), one),
            us_text_score(element(metrics, "auc_ci95", 1), two));
    fprintf(page, "<td>%s</td>", us_text_score(us_run_number(metrics, "average_precision"), one));
    for (int i = 0; i < 3; i++)
        fprintf(page, "<td>%s</td>", us_text_percent(us_run_number(found, rates[i]), one));
    fprintf(page, "<td>%s</td><td>%s</td></tr>\n",
            us_text_score(us_run_number(metrics, "best_f1"), one),
            us_text_number(us_run_number(metrics, "best_f1_threshold"), two));
}

static void write_metrics(FILE *page, const us_run *run) {
    if (!run->evaluation) return;
    fputs("<h2>Metrics</h2>\n<div class=\"box scroll\" tabindex=\"0\" role=\"region\" "
          "aria-label=\"Metrics of every score\"><table>\n<thead><tr><th scope=\"col\">Score</th>"
          "<th scope=\"col\">AUC</th><th scope=\"col\">95% interval</th>"
          "<th scope=\"col\">Average<br>precision</th><th scope=\"col\">Found at<br>1% false "
          "alarms</th><th scope=\"col\">Found at<br>5%</th><th scope=\"col\">Found at<br>10%</th>"
          "<th scope=\"col\">Best F1</th><th scope=\"col\">at score</th></tr></thead>\n<tbody>\n",
          page);
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(run->evaluation, "columns"), *column;
    if (cJSON_IsObject(columns) && columns->child) {
        cJSON_ArrayForEach(column, columns) write_metrics_row(page, column->string, column);
    } else {
        write_metrics_row(page, "score", run->evaluation);
    }
    fputs(
        "</tbody>\n</table></div>\n"
        "<details class=\"box\"><summary>What these numbers mean</summary><dl class=\"terms\">\n"
        "<dt>AUC</dt><dd>The probability that an anomalous image has a higher score than a normal "
        "one. 1 is perfect, 0.5 is guessing. The interval tells how far it could be off by the "
        "choice of test images alone (DeLong).</dd>\n"
        "<dt>Average precision</dt><dd>The area below the curve of precision against recall. "
        "Guessing gives the share of anomalous images.</dd>\n"
        "<dt>Found at 1% false alarms</dt><dd>The share of anomalous images that is found by a "
        "threshold that at most 1% of normal images reach.</dd>\n"
        "<dt>Best F1</dt><dd>The best balance of precision and recall, with the threshold chosen "
        "by looking at these labels: an optimistic number.</dd>\n</dl></details>\n",
        page);
}

/* ---- the threshold ---- */

static void write_flagged(FILE *page, const us_scores *scores, double threshold) {
    static const char *const kinds[] = {"normal images", "anomalous images"};
    int64_t images[2] = {0, 0}, flagged[2] = {0, 0};
    for (int64_t i = 0; i < scores->count; i++) {
        int kind = scores->anomalous ? scores->anomalous[i] : 0;
        images[kind]++;
        flagged[kind] += us_score_reaches(scores->values[0][i], threshold);
    }
    char share[US_TEXT_SIZE], count[US_TEXT_SIZE], all[US_TEXT_SIZE];
    fputs("<p>Of the test images it calls anomalous: ", page);
    for (int kind = 0; kind < 2; kind++)
        if (images[kind])
            fprintf(page, "%s%s of the %s (%s of %s)", kind && images[0] ? "; " : "",
                    us_text_percent((double)flagged[kind] / (double)images[kind], share),
                    scores->anomalous ? kinds[kind] : "images",
                    us_text_count((double)flagged[kind], count),
                    us_text_count((double)images[kind], all));
    fputs(".</p>\n", page);
}

static void write_threshold(FILE *page, const us_run *run) {
    const cJSON *metrics = run->metrics.value;
    double threshold = us_run_number(metrics, "threshold");
    double rate = us_run_number(metrics, "false_positive_rate");
    const char *calibrated = us_run_string(metrics, "calibrated_on");
    if (!isfinite(threshold)) return;
    char text[US_TEXT_SIZE];
    fprintf(page,
            "<h2>Threshold</h2>\n<p>An image is called anomalous when its score is <strong>%s"
            "</strong> or more.",
            us_text_number(threshold, text));
    if (isfinite(rate))
        fprintf(page, " At most %s of normal images reach it", us_text_percent(rate, text));
    if (isfinite(rate) && calibrated) {
        fputs(", judged by: ", page);
        us_page_text(page, calibrated);
    }
    fputs(isfinite(rate) ? ".</p>\n" : "</p>\n", page);
    if (run->scores.count) write_flagged(page, &run->scores, threshold);
}

/* ---- the page ---- */

static unseen_status write_config(FILE *page, const us_run *run, unseen_error *error) {
    if (!run->config.value) return UNSEEN_OK;
    char *text = us_json_print(run->config.value);
    if (!text) return us_fail_memory(error, "the config's text");
    fputs(
        "<h2>Config</h2>\n<details class=\"box\"><summary>The whole config, every default written "
        "out</summary><pre tabindex=\"0\">",
        page);
    us_page_text(page, text);
    fputs("</pre></details>\n", page);
    unseen_string_free(text);
    return UNSEEN_OK;
}

static unseen_status write_charts(FILE *page, const us_run *run, unseen_error *error) {
    if (!run->scores.count && !run->log.count) return UNSEEN_OK;
    fputs("<h2>Charts</h2>\n<div class=\"charts\">\n", page);
    US_TRY(us_report_roc(page, run, error));
    US_TRY(us_report_roc_of_kinds(page, run, error));
    US_TRY(us_report_histogram(page, run, 0, error));
    us_report_loss(page, run);
    for (int column = 1; column < run->scores.columns; column++)
        US_TRY(us_report_histogram(page, run, column, error));
    fputs("</div>\n", page);
    return UNSEEN_OK;
}

static unseen_status write_page(FILE *page, const us_run *run, unseen_error *error) {
    us_page_begin(page, us_run_name(run), us_run_string(run->config.value, "description"));
    const char *detector =
        us_run_string(cJSON_GetObjectItemCaseSensitive(run->config.value, "detector"), "type");
    fputs("<p class=\"soft\">", page);
    if (detector) {
        fputs("Detector: ", page);
        us_page_text(page, detector);
        fputs(". ", page);
    }
    fputs(run->of_scores ? "Scores: " : "Run folder: ", page);
    us_page_text(page, run->folder);
    fputs("</p>\n", page);
    write_warnings(page, run);
    write_cards(page, run);
    US_TRY(write_charts(page, run, error));
    write_metrics(page, run);
    us_report_kinds(page, run);
    write_threshold(page, run);
    us_report_pictures(page, run);
    US_TRY(write_config(page, run, error));
    us_page_end(page);
    return UNSEEN_OK;
}

/* A run's own report is a file of its folder; any other may be a stream. */
static unseen_status begin(const us_run *run, const char *path, us_file_writer *writer,
                           unseen_error *error) {
    if (path) return us_output_begin(path, writer, error);
    char *own = us_path_join(run->folder, US_RUN_REPORT);
    if (!own) return us_fail_memory(error, "paths");
    unseen_status status = us_file_begin(own, writer, error);
    free(own);
    return status;
}

unseen_status us_report_write(const us_run *run, const char *path, unseen_error *error) {
    us_file_writer writer;
    unseen_status status = begin(run, path, &writer, error);
    if (status != UNSEEN_OK) return status;
    us_locale locale = us_locale_enter();
    status = write_page(writer.stream, run, error);
    us_locale_leave(locale);
    if (status == UNSEEN_OK) return us_file_commit(&writer, error);
    us_file_abandon(&writer);
    return status;
}

unseen_status us_report_run(const char *run_folder, unseen_error *error) {
    us_run run;
    US_TRY(us_run_read(run_folder, &run, error));
    unseen_status status = us_report_write(&run, NULL, error);
    us_run_release(&run);
    return status;
}
