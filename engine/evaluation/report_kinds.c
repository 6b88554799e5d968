/* SPDX-License-Identifier: MIT */
#include "evaluation/report_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluation/metrics.h"
#include "evaluation/report_chart.h"
#include "evaluation/report_page.h"

/* ---- the table ---- */

static double interval_end(const cJSON *kind, int index) {
    const cJSON *ends = cJSON_GetObjectItemCaseSensitive(kind, "auc_ci95");
    const cJSON *end = cJSON_GetArrayItem(ends, index);
    return cJSON_IsNumber(end) ? end->valuedouble : NAN;
}

static void write_row(FILE *page, const cJSON *kind) {
    char text[US_TEXT_SIZE], other[US_TEXT_SIZE];
    fputs("<tr><th scope=\"row\">", page);
    us_page_text(page, kind->string);
    fprintf(page, "</th><td>%s</td>", us_text_count(us_run_number(kind, "images"), text));
    fprintf(page, "<td>%s</td>", us_text_score(us_run_number(kind, "auc"), text));
    fprintf(page, "<td>%s to %s</td>", us_text_score(interval_end(kind, 0), text),
            us_text_score(interval_end(kind, 1), other));
    fprintf(page, "<td>%s</td>", us_text_score(us_run_number(kind, "average_precision"), text));
    fprintf(page, "<td>%s</td></tr>\n", us_text_percent(us_run_number(kind, "missed"), text));
}

static void write_confused(FILE *page, const cJSON *confused) {
    const cJSON *name;
    if (!cJSON_GetArraySize(confused)) return;
    fputs("<p>Confused with normal images, as their AUC may well be one half or less: ", page);
    cJSON_ArrayForEach(name, confused) {
        if (!cJSON_IsString(name)) continue;
        if (name->prev && name != confused->child) fputs(", ", page);
        us_page_text(page, name->valuestring);
    }
    fputs(".</p>\n", page);
}

void us_report_kinds(FILE *page, const us_run *run) {
    const cJSON *kinds = cJSON_GetObjectItemCaseSensitive(run->evaluation, "kinds"), *kind;
    if (!cJSON_IsObject(kinds) || !kinds->child) return;
    fputs("<h2>Kinds of anomalous images</h2>\n<p>Each by itself against all normal images.</p>\n"
          "<div class=\"box scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Kinds of "
          "anomalous images\"><table>\n<thead><tr><th scope=\"col\">Kind</th><th "
          "scope=\"col\">Images</th><th scope=\"col\">AUC</th><th scope=\"col\">95% "
          "interval</th><th scope=\"col\">Average<br>precision</th><th scope=\"col\">Below the"
          "<br>threshold</th></tr></thead>\n<tbody>\n",
          page);
    cJSON_ArrayForEach(kind, kinds) write_row(page, kind);
    fputs("</tbody>\n</table></div>\n", page);
    write_confused(page, cJSON_GetObjectItemCaseSensitive(run->evaluation, "confused"));
}

/* ---- the curves ---- */

typedef struct curve {
    const char *kind;
    double auc, *fpr, *tpr, *threshold;
    int64_t points;
} curve;

static int worst_first(const void *left, const void *right) {
    const double a = ((const curve *)left)->auc, b = ((const curve *)right)->auc;
    return (a > b) - (a < b);
}

/* false: no memory. A kind whose scores are all those of the normal images has no curve. */
static bool take_curve(const us_scores *scores, int kind, double *values, unsigned char *positive,
                       curve *c) {
    unseen_error why = {0};
    int64_t count = 0;
    *c = (curve){.kind = scores->kinds.names[kind]};
    for (int64_t i = 0; i < scores->count; i++) {
        if (scores->anomalous[i] && scores->kinds.of[i] != kind) continue;
        values[count] = scores->values[0][i];
        positive[count++] = scores->anomalous[i];
    }
    unseen_status status =
        us_roc_curve(values, positive, count, &c->fpr, &c->tpr, &c->threshold, &c->points, &why);
    for (int64_t i = 1; status == UNSEEN_OK && i < c->points; i++)
        c->auc += (c->fpr[i] - c->fpr[i - 1]) * (c->tpr[i] + c->tpr[i - 1]) / 2;
    return status == UNSEEN_OK || status == UNSEEN_BAD_INPUT;
}

static void write_curves(FILE *page, const curve *curves, int count) {
    char names[US_CHART_MAX_SERIES][96];
    us_chart chart = {
        .title = "ROC of each kind of anomalous image",
        .description = "ROC curves of the kinds of anomalous images, each against all normal ones",
        .note = count > US_CHART_MAX_SERIES ? "The kinds that are told worst." : NULL,
        .x = {.label = "normal images called anomalous", .low = 0, .high = 1, .percent = true},
        .y = {.label = "images of the kind found", .low = 0, .high = 1, .percent = true},
        .diagonal = true,
        .marker_x = NAN,
    };
    for (int k = 0; k < count && chart.count < US_CHART_MAX_SERIES; k++) {
        if (!curves[k].points) continue;
        snprintf(names[chart.count], sizeof names[0], "%.60s, AUC %.4f", curves[k].kind,
                 curves[k].auc);
        chart.series[chart.count] = (us_series){.name = names[chart.count],
                                                .x = curves[k].fpr,
                                                .y = curves[k].tpr,
                                                .count = curves[k].points};
        chart.count++;
    }
    if (chart.count) us_chart_write(page, &chart);
}

unseen_status us_report_roc_of_kinds(FILE *page, const us_run *run, unseen_error *error) {
    const us_scores *scores = &run->scores;
    const int count = scores->kinds.count;
    if (!run->evaluation || !scores->anomalous || count < 2) return UNSEEN_OK;
    curve *curves = calloc((size_t)count, sizeof *curves);
    double *values = malloc((size_t)scores->count * sizeof *values);
    unsigned char *positive = malloc((size_t)scores->count);
    bool taken = curves && values && positive;
    for (int k = 0; taken && k < count; k++)
        taken = take_curve(scores, k, values, positive, &curves[k]);
    if (taken) {
        qsort(curves, (size_t)count, sizeof *curves, worst_first);
        write_curves(page, curves, count);
    }
    for (int k = 0; curves && k < count; k++) {
        free(curves[k].fpr);
        free(curves[k].tpr);
        free(curves[k].threshold);
    }
    free(curves);
    free(values);
    free(positive);
    return taken ? UNSEEN_OK : us_fail_memory(error, "ROC curves");
}
