/* SPDX-License-Identifier: MIT */
#include "evaluation/report_charts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evaluation/metrics.h"
#include "evaluation/report_chart.h"
#include "evaluation/report_page.h"

enum { BINS = 48 };

/* ---- ROC ---- */

unseen_status us_report_roc(FILE *page, const us_run *run, unseen_error *error) {
    const us_scores *scores = &run->scores;
    if (!run->evaluation || !scores->anomalous) return UNSEEN_OK;
    us_chart chart = {
        .title = "ROC: anomalous images found against false alarms",
        .note = "Every point is a threshold. The dashed diagonal is guessing.",
        .x = {.label = "normal images called anomalous", .low = 0, .high = 1, .percent = true},
        .y = {.label = "anomalous images found", .low = 0, .high = 1, .percent = true},
        .diagonal = true,
        .marker_x = NAN,
    };
    char names[US_SCORES_MAX_COLUMNS][96], description[128];
    double *curves[3 * US_SCORES_MAX_COLUMNS] = {0}; /* x, y and threshold of each */
    unseen_status status = UNSEEN_OK;
    for (int column = 0; column < scores->columns; column++) {
        us_series *series = &chart.series[chart.count];
        double **curve = &curves[3 * chart.count], auc = 0;
        US_CHECK(us_roc_curve(scores->values[column], scores->anomalous, scores->count, &curve[0],
                              &curve[1], &curve[2], &series->count, error));
        for (int64_t i = 1; i < series->count; i++)
            auc += (curve[0][i] - curve[0][i - 1]) * (curve[1][i] + curve[1][i - 1]) / 2;
        snprintf(names[chart.count], sizeof names[0], "%s, AUC %.4f", scores->names[column], auc);
        series->name = names[chart.count];
        series->x = curve[0];
        series->y = curve[1];
        chart.count++;
    }
    snprintf(description, sizeof description, "ROC curve of %s", names[0]);
    chart.description = description;
    us_chart_write(page, &chart);
done:
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        free(curves[i]);
    return status;
}

/* ---- histograms ---- */

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The range of all scores but the outermost 0.5 % at each end where those lie far out, so that a
 * single outlier does not leave one bar. */
static bool histogram_range(double *sorted, int64_t n, double range[2]) {
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    int64_t cut = n / 200;
    double low = sorted[cut], high = sorted[n - 1 - cut], reach = high - low;
    range[0] = low - sorted[0] > 0.25 * reach ? low : sorted[0];
    range[1] = sorted[n - 1] - high > 0.25 * reach ? high : sorted[n - 1];
    if (range[0] == range[1]) {
        double margin = range[0] == 0 ? 1 : 0.1 * fabs(range[0]);
        range[0] -= margin;
        range[1] += margin;
    }
    return isfinite(range[1] - range[0]) && range[0] < range[1];
}

typedef struct us_histogram {
    double x[2 * BINS], y[2 * BINS]; /* the outline: two points per bin */
    int64_t images;
    bool beyond; /* there are scores out of range */
} us_histogram;

/* Shares of the images of one class (-1: of all) per bin; scores beyond the range count in the
 * outermost bins. */
static void fill(const us_scores *scores, int column, int class, const double range[2],
                 us_histogram *histogram) {
    int64_t counts[BINS] = {0};
    histogram->images = 0;
    histogram->beyond = false;
    for (int64_t i = 0; i < scores->count; i++) {
        if (class >= 0 && scores->anomalous[i] != class) continue;
        double bin = (scores->values[column][i] - range[0]) / (range[1] - range[0]) * BINS;
        histogram->beyond = histogram->beyond || bin < 0 || bin > BINS;
        counts[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : (int)bin]++;
        histogram->images++;
    }
    for (int i = 0; i < 2 * BINS; i++) {
        histogram->x[i] = range[0] + (range[1] - range[0]) * ((i + 1) / 2) / BINS;
        histogram->y[i] = histogram->images ? (double)counts[i / 2] / (double)histogram->images : 0;
    }
}

static void write_histogram(FILE *page, const us_run *run, int column, const double range[2]) {
    const us_scores *scores = &run->scores;
    us_histogram histograms[2];
    char title[96], names[2][64], number[US_TEXT_SIZE];
    us_chart chart = {
        .title = title,
        .description = "Histogram of scores, as a share of the images of each class",
        .count = scores->anomalous ? 2 : 1,
        .marker_x = column == 0 ? us_run_number(run->metrics.value, "threshold") : NAN,
        .marker = "threshold",
    };
    snprintf(title, sizeof title, "Scores of test images: %s", scores->names[column]);
    for (int s = 0; s < chart.count; s++) {
        fill(scores, column, scores->anomalous ? s : -1, range, &histograms[s]);
        if (histograms[s].beyond)
            chart.note = "The outermost bars hold all scores beyond the axis.";
        us_text_count((double)histograms[s].images, number);
        snprintf(names[s], sizeof names[s], "%s (%s)",
                 !scores->anomalous ? "all images"
                 : s                ? "anomalous"
                                    : "normal",
                 number);
        chart.series[s] = (us_series){.name = names[s],
                                      .x = histograms[s].x,
                                      .y = histograms[s].y,
                                      .count = 2 * BINS,
                                      .filled = true};
    }
    chart.x = (us_axis){.label = "score (higher: less like the training images)",
                        .low = range[0],
                        .high = range[1]};
    chart.y = us_chart_axis(chart.series, chart.count, true, false, "share of the class");
    chart.y.percent = true;
    chart.y.low = 0;
    us_chart_write(page, &chart);
}

unseen_status us_report_histogram(FILE *page, const us_run *run, int column, unseen_error *error) {
    const us_scores *scores = &run->scores;
    if (column >= scores->columns) return UNSEEN_OK;
    double range[2], *sorted = malloc((size_t)scores->count * sizeof *sorted);
    if (!sorted) return us_fail_memory(error, "a histogram");
    bool finite = true;
    for (int64_t i = 0; i < scores->count; i++) {
        sorted[i] = scores->values[column][i];
        finite = finite && isfinite(sorted[i]);
    }
    finite = finite && histogram_range(sorted, scores->count, range);
    free(sorted);
    if (finite) write_histogram(page, run, column, range);
    return UNSEEN_OK;
}

/* ---- loss ---- */

static bool any_finite(const double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i])) return true;
    return false;
}

/* Adds a series if it has anything to show. */
static void add_series(us_chart *chart, const us_run_log *log, const char *name,
                       const double *values) {
    if (chart->count < US_CHART_MAX_SERIES && any_finite(values, log->count))
        chart->series[chart->count++] =
            (us_series){.name = name, .x = log->epoch, .y = values, .count = log->count};
}

static void write_by_epoch(FILE *page, us_chart *chart) {
    if (!chart->count) return;
    chart->tell_points = true;
    chart->marker_x = NAN;
    chart->x = us_chart_axis(chart->series, chart->count, false, false, "epoch");
    chart->y = us_chart_axis(chart->series, chart->count, true, true, "loss");
    chart->x.whole = true;
    us_chart_write(page, chart);
}

void us_report_loss(FILE *page, const us_run *run) {
    const us_run_log *log = &run->log;
    us_chart whole = {
        .title = "Loss by epoch",
        .description = "Training loss, and held-out loss where there is one, against the epoch",
    };
    us_chart parts = {
        .title = "Parts of the training loss by epoch",
        .description = "Every part of the training loss against the epoch",
    };
    add_series(&whole, log, "training", log->loss);
    add_series(&whole, log, "held out", log->held_out_loss);
    write_by_epoch(page, &whole);
    for (int i = 0; log->parts > 1 && i < log->parts; i++)
        add_series(&parts, log, log->part_names[i], log->part[i]);
    write_by_epoch(page, &parts);
}
