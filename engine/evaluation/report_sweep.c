/* SPDX-License-Identifier: MIT */
#include "evaluation/report_sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "evaluation/locale.h"
#include "evaluation/report_chart.h"
#include "evaluation/report_page.h"
#include "evaluation/report_run.h"

enum { MOST_ROWS = 200, MOST_GROUPS = 24 };

/* Something that runs differ in. */
typedef struct axis {
    char *name;       /* the key's JSON Pointer */
    char **values;    /* of each run, in the order of the board, as text; NULL: it does not say */
    bool groups;      /* they are choices, even where they are numbers */
    bool scaled;      /* the plan says which scale the numbers have, */
    bool logarithmic; /* this one; else it is logarithmic where they span more than 10 */
} axis;

/* What the charts draw of a run. */
typedef struct dot {
    double quality, parameters, speed; /* NaN: not known */
    const char *name;                  /* of its folder, within the sweep's */
    bool on_front[2];                  /* of parameters, of speed */
} dot;

typedef struct drawing {
    FILE *page;
    const cJSON *board;
    dot *dots; /* runs in the order of the board */
    size_t count;
    const char *quality; /* what is drawn upward, for people */
    bool loss;           /* it is a loss, the smaller the better */
    double *x, *y;       /* room for a series of all runs */
    const char **labels;
    axis *axes;
    size_t axis_count;
} drawing;

static double element(const cJSON *object, const char *name, int index) {
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, name), index);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static const char *short_name(const char *folder) {
    const char *slash = folder ? strrchr(folder, '/') : NULL;
    return slash ? slash + 1 : folder ? folder : "";
}

/* ---- what there is ---- */

static bool is_on_front(const cJSON *run, const char *name) {
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(run, "fronts")) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0) return true;
    }
    return false;
}

/* The AUC where all that are done have one, as the fronts are drawn by it then, too. */
static void choose_quality(drawing *d) {
    const char *by = us_run_string(d->board, "by");
    size_t done = 0, with_auc = 0;
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(d->board, "runs")) {
        const char *status = us_run_string(run, "status");
        if (!status || strcmp(status, "done") != 0) continue;
        done++;
        with_auc += isfinite(us_run_number(run, "auc"));
    }
    d->loss = !(done && with_auc == done);
    d->quality = !d->loss                                 ? "AUC"
                 : by && strcmp(by, "held_out_loss") == 0 ? "held-out loss"
                                                          : "loss";
}

static const char *quality_key(const drawing *d) {
    return !d->loss ? "auc" : strcmp(d->quality, "loss") == 0 ? "loss" : "held_out_loss";
}

static unseen_status gather(drawing *d, unseen_error *error) {
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(d->board, "runs"), *run;
    const size_t count = (size_t)cJSON_GetArraySize(runs);
    d->dots = calloc(count + 1, sizeof *d->dots);
    d->x = calloc(3 * count + 3, sizeof *d->x);
    d->y = calloc(3 * count + 3, sizeof *d->y);
    d->labels = calloc(count + 1, sizeof *d->labels);
    if (!d->dots || !d->x || !d->y || !d->labels) return us_fail_memory(error, "a report");
    choose_quality(d);
    cJSON_ArrayForEach(run, runs) {
        const char *status = us_run_string(run, "status");
        const bool done = status && strcmp(status, "done") == 0;
        d->dots[d->count++] = (dot){
            .quality = done ? us_run_number(run, quality_key(d)) : NAN,
            .parameters = us_run_number(run, "parameters"),
            .speed = us_run_number(run, "images_per_second"),
            .name = short_name(us_run_string(run, "out")),
            .on_front = {is_on_front(run, "parameters"), is_on_front(run, "images_per_second")},
        };
    }
    return UNSEEN_OK;
}

/* ---- axes ---- */

/* An override is "POINTER=VALUE"; the slash at its beginning may be missing. */
static axis *find_axis(drawing *d, const char *override, unseen_error *error) {
    const char *pointer = override + (*override == '/');
    const size_t length = strcspn(pointer, "=");
    for (size_t i = 0; i < d->axis_count; i++)
        if (strlen(d->axes[i].name) == length + 1 &&
            memcmp(d->axes[i].name + 1, pointer, length) == 0)
            return &d->axes[i];
    axis *more = reallocarray(d->axes, d->axis_count + 1, sizeof *more);
    if (more) d->axes = more;
    axis *made = more ? &more[d->axis_count] : NULL;
    char *name = NULL;
    if (made && asprintf(&name, "/%.*s", (int)length, pointer) < 0) name = NULL;
    char **values = name ? calloc(d->count + 1, sizeof *values) : NULL;
    if (!values) {
        free(name);
        us_fail_memory(error, "a report");
        return NULL;
    }
    const char *scale = us_run_string(cJSON_GetObjectItemCaseSensitive(d->board, "scales"), name);
    *made = (axis){.name = name,
                   .values = values,
                   .groups = strcmp(name, "/training/seed") == 0 ||
                             (scale && strcmp(scale, "choices") == 0),
                   .scaled = scale != NULL,
                   .logarithmic = scale && strcmp(scale, "log") == 0};
    d->axis_count++;
    return made;
}

/* The last override of a key holds. */
static unseen_status take_value(drawing *d, size_t run, const char *override, unseen_error *error) {
    static const char name[] = "/name="; /* what runs are called is nothing that they differ in */
    const char *equals = strchr(override, '=');
    if (!equals || strncmp(override, name + (*override != '/'), strlen(name) - 1) == 0)
        return UNSEEN_OK;
    axis *of = find_axis(d, override, error);
    if (!of) return UNSEEN_FAILURE;
    size_t length = strlen(++equals);
    if (length > 1 && equals[0] == '"' && equals[length - 1] == '"') {
        equals++;
        length -= 2;
    }
    free(of->values[run]);
    of->values[run] = strndup(equals, length);
    return of->values[run] ? UNSEEN_OK : us_fail_memory(error, "a report");
}

static unseen_status find_axes(drawing *d, unseen_error *error) {
    const cJSON *run, *override;
    size_t i = 0;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(d->board, "runs")) {
        cJSON_ArrayForEach(override, cJSON_GetObjectItemCaseSensitive(run, "overrides")) {
            if (cJSON_IsString(override)) US_TRY(take_value(d, i, override->valuestring, error));
        }
        i++;
    }
    return UNSEEN_OK;
}

static void release(drawing *d) {
    for (size_t i = 0; i < d->axis_count; i++) {
        for (size_t run = 0; run < d->count; run++)
            free(d->axes[i].values[run]);
        free(d->axes[i].values);
        free(d->axes[i].name);
    }
    free(d->axes);
    free(d->dots);
    free(d->x);
    free(d->y);
    free(d->labels);
}

/* ---- charts ---- */

static us_axis quality_axis(const drawing *d, const us_series *series, int count) {
    us_axis upward = us_chart_axis(series, count, true, d->loss, d->quality);
    if (!d->loss && upward.high > 1) upward.high = 1;
    return upward;
}

/* All runs that are done as dots, of which the best one, the first, is a series of its own. */
static void add_dots(us_chart *chart, const drawing *d, int64_t count) {
    const bool best = count && d->labels[0] == d->dots[0].name;
    chart->series[chart->count++] = (us_series){.name = "the best run",
                                                .x = d->x,
                                                .y = d->y,
                                                .labels = d->labels,
                                                .count = best,
                                                .points = true};
    chart->series[chart->count++] = (us_series){.name = best ? "other runs" : "runs",
                                                .x = d->x + best,
                                                .y = d->y + best,
                                                .labels = d->labels + best,
                                                .count = count - best,
                                                .points = true};
}

/* The name of a key for a title: the last parts of its pointer. */
static const char *title_of(const char *pointer) {
    const char *at = pointer + strlen(pointer);
    for (int slashes = 0; at > pointer; at--)
        if (at[-1] == '/' && ++slashes == 3) break;
    return at + (*at == '/');
}

/* However little values span; those of a logarithmic range are above 0. */
static void set_logarithmic(us_axis *to, const double *values, int64_t count) {
    double low = INFINITY, high = 0;
    for (int64_t i = 0; i < count; i++) {
        low = fmin(low, values[i]);
        high = fmax(high, values[i]);
    }
    if (!(low > 0 && high > low)) return;
    to->logarithmic = true;
    to->low = low / pow(high / low, 0.05);
    to->high = high * pow(high / low, 0.05);
}

static void draw_numbers(drawing *d, const axis *of) {
    int64_t count = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (!of->values[i] || !isfinite(d->dots[i].quality)) continue;
        d->x[count] = strtod(of->values[i], NULL);
        d->y[count] = d->dots[i].quality;
        d->labels[count++] = d->dots[i].name;
    }
    char title[160], description[200];
    snprintf(title, sizeof title, "%s by %.120s", d->quality, title_of(of->name));
    snprintf(description, sizeof description, "Every run's %s against its value of %.120s",
             d->quality, of->name);
    us_chart chart = {
        .title = title, .description = description, .marker_x = NAN, .tell_points = true};
    add_dots(&chart, d, count);
    chart.x = us_chart_axis(chart.series, chart.count, false, !of->scaled, of->name);
    if (of->scaled && of->logarithmic) set_logarithmic(&chart.x, d->x, count);
    chart.y = quality_axis(d, chart.series, chart.count);
    us_chart_write(d->page, &chart);
}

static int find_group(const char *const *names, int count, const char *value) {
    int at = 0;
    while (at < count && strcmp(names[at], value) != 0)
        at++;
    return at;
}

static int by_number_or_text(const void *a, const void *b) {
    const char *one = *(const char *const *)a, *other = *(const char *const *)b;
    char *end_of_one, *end_of_other;
    const double first = strtod(one, &end_of_one), second = strtod(other, &end_of_other);
    if (!*end_of_one && !*end_of_other && first != second) return first < second ? -1 : 1;
    return strcmp(one, other);
}

/* The values that runs have, each once; -1: too many. */
static int find_groups(const drawing *d, const axis *of, const char *names[MOST_GROUPS]) {
    int count = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (!of->values[i] || !isfinite(d->dots[i].quality)) continue;
        const int at = find_group(names, count, of->values[i]);
        if (at == MOST_GROUPS) return -1;
        names[at] = of->values[i];
        if (at == count) count++;
    }
    qsort(names, (size_t)count, sizeof *names, by_number_or_text);
    return count;
}

/* Dots of one group lie beside each other, and a line is at their mean. */
static void draw_groups(drawing *d, const axis *of) {
    const char *names[MOST_GROUPS];
    const int groups = find_groups(d, of, names);
    double sums[MOST_GROUPS] = {0}, means_x[3 * MOST_GROUPS], means_y[3 * MOST_GROUPS];
    int members[MOST_GROUPS] = {0};
    int64_t count = 0;
    if (groups < 1) return;
    for (size_t i = 0; i < d->count; i++) {
        if (!of->values[i] || !isfinite(d->dots[i].quality)) continue;
        const int group = find_group(names, groups, of->values[i]);
        const double spread = fmod((double)members[group] * 0.618034, 1) - 0.5;
        d->x[count] = group + 0.4 * spread;
        d->y[count] = d->dots[i].quality;
        d->labels[count++] = d->dots[i].name;
        sums[group] += d->dots[i].quality;
        members[group]++;
    }
    for (int i = 0; i < groups; i++)
        for (int k = 0; k < 3; k++) {
            means_x[3 * i + k] = i + 0.35 * (k - 0.5) * 2;
            means_y[3 * i + k] = k < 2 ? sums[i] / members[i] : NAN;
        }
    char title[160], description[200];
    snprintf(title, sizeof title, "%s by %.120s", d->quality, title_of(of->name));
    snprintf(description, sizeof description, "Every run's %s, in groups by %.120s", d->quality,
             of->name);
    us_chart chart = {
        .title = title, .description = description, .marker_x = NAN, .tell_points = true};
    add_dots(&chart, d, count);
    chart.x = (us_axis){
        .label = of->name, .low = -0.5, .high = groups - 0.5, .names = names, .name_count = groups};
    chart.y = quality_axis(d, chart.series, chart.count);
    chart.series[chart.count++] =
        (us_series){.name = "mean of the group", .x = means_x, .y = means_y, .count = 3 * groups};
    us_chart_write(d->page, &chart);
}

static bool all_numbers(const drawing *d, const axis *of) {
    for (size_t i = 0; i < d->count; i++) {
        char *end = NULL;
        if (!of->values[i]) continue;
        const double value = strtod(of->values[i], &end);
        if (end == of->values[i] || *end || !isfinite(value)) return false;
    }
    return true;
}

static bool differs(const drawing *d, const axis *of) {
    const char *first = NULL;
    for (size_t i = 0; i < d->count; i++) {
        if (!of->values[i]) continue;
        if (first && strcmp(first, of->values[i]) != 0) return true;
        first = of->values[i];
    }
    return false;
}

/* ---- fronts ---- */

static int by_cost(const void *a, const void *b) {
    const double *one = a, *other = b;
    return one[0] != other[0] ? (one[0] > other[0]) - (one[0] < other[0])
                              : (one[1] > other[1]) - (one[1] < other[1]);
}

/* which: of on_front. The front's runs are joined in the order of their cost. */
static unseen_status draw_front(drawing *d, int which, unseen_error *error) {
    double(*front)[2] = calloc(d->count + 1, sizeof *front);
    double *x = calloc(2 * d->count + 2, sizeof *x), *y = x ? x + d->count + 1 : NULL;
    int64_t count = 0, on_front = 0;
    unseen_status status = front && x ? UNSEEN_OK : us_fail_memory(error, "a chart");
    for (size_t i = 0; status == UNSEEN_OK && i < d->count; i++) {
        const dot *run = &d->dots[i];
        const double cost = which == 0 ? run->parameters : run->speed;
        if (!isfinite(run->quality) || !(cost > 0)) continue;
        d->x[count] = cost;
        d->y[count] = run->quality;
        d->labels[count++] = run->name;
        if (!run->on_front[which]) continue;
        front[on_front][0] = cost;
        front[on_front++][1] = run->quality;
    }
    if (status == UNSEEN_OK && count) {
        qsort(front, (size_t)on_front, sizeof *front, by_cost);
        for (int64_t i = 0; i < on_front; i++) {
            x[i] = front[i][0];
            y[i] = front[i][1];
        }
        char title[96];
        snprintf(title, sizeof title, "%s against %s", d->quality,
                 which == 0 ? "parameters" : "speed of training");
        us_chart chart = {.title = title,
                          .description = "Every run, and those that no other one beats in both",
                          .note = which == 0
                                      ? "On the front: no run is as good with fewer parameters."
                                      : "On the front: no run is as good and trains faster.",
                          .marker_x = NAN,
                          .tell_points = true};
        add_dots(&chart, d, count);
        chart.x = us_chart_axis(chart.series, chart.count, false, true,
                                which == 0 ? "parameters" : "images per second");
        chart.y = quality_axis(d, chart.series, chart.count);
        chart.series[chart.count++] =
            (us_series){.name = "the front", .x = x, .y = y, .count = on_front};
        us_chart_write(d->page, &chart);
    }
    free(front);
    free(x);
    return status;
}

static unseen_status write_charts(drawing *d, unseen_error *error) {
    bool any = false;
    for (size_t i = 0; i < d->count; i++)
        any = any || isfinite(d->dots[i].quality);
    if (!any) return UNSEEN_OK;
    fputs("<h2>What makes the difference</h2>\n<div class=\"charts\">\n", d->page);
    for (size_t i = 0; i < d->axis_count; i++) {
        const axis *of = &d->axes[i];
        if (!differs(d, of)) continue;
        if (of->groups || !all_numbers(d, of))
            draw_groups(d, of);
        else
            draw_numbers(d, of);
    }
    fputs("</div>\n<h2>Quality against cost</h2>\n<div class=\"charts\">\n", d->page);
    for (int which = 0; which < 2; which++)
        US_TRY(draw_front(d, which, error));
    fputs("</div>\n", d->page);
    return UNSEEN_OK;
}

/* ---- words and tables ---- */

static void interval_text(const cJSON *object, const char *name, char text[2 * US_TEXT_SIZE]) {
    char low[US_TEXT_SIZE], high[US_TEXT_SIZE];
    if (isfinite(element(object, name, 0)) && isfinite(element(object, name, 1)))
        snprintf(text, 2 * US_TEXT_SIZE, "%s to %s", us_text_score(element(object, name, 0), low),
                 us_text_score(element(object, name, 1), high));
    else
        text[0] = '\0';
}

static void write_cards(const drawing *d) {
    char value[US_TEXT_SIZE], note[224], interval[2 * US_TEXT_SIZE];
    const cJSON *final = cJSON_GetObjectItemCaseSensitive(d->board, "final");
    const cJSON *best = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(d->board, "runs"), 0);
    const char *folder = us_run_string(d->board, "best");
    FILE *page = d->page;
    fputs("<dl class=\"cards\">\n", page);
    snprintf(note, sizeof note, "of %zu; %.0f failed", d->count, us_run_number(d->board, "failed"));
    us_page_card(page, "Runs done", us_text_count(us_run_number(d->board, "done"), value), note);
    if (folder) us_page_card(page, "Best run", short_name(folder), NULL);
    if (folder && isfinite(us_run_number(best, "auc"))) {
        interval_text(best, "auc_ci95", interval);
        snprintf(note, sizeof note, "95%% interval %s", interval);
        us_page_card(page, "AUC of the best run", us_text_score(us_run_number(best, "auc"), value),
                     interval[0] ? note : NULL);
    }
    if (cJSON_IsObject(final)) {
        interval_text(final, "auc_ci95", interval);
        snprintf(note, sizeof note, "95%% interval %s, of %s images by which nothing was chosen",
                 interval, us_text_count(us_run_number(final, "n"), value));
        us_page_card(page, "AUC on the final images",
                     us_text_score(us_run_number(final, "auc"), value), note);
    }
    fputs("</dl>\n", page);
}

static void write_warnings(const drawing *d) {
    const cJSON *warning;
    cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(d->board, "warnings")) {
        if (!cJSON_IsString(warning)) continue;
        fputs("<div class=\"warning\" role=\"note\"><p><strong>Warning:</strong> ", d->page);
        us_page_text(d->page, warning->valuestring);
        fputs("</p></div>\n", d->page);
    }
}

static void cell(FILE *page, double value, const char *(*words)(double, char[US_TEXT_SIZE])) {
    char text[US_TEXT_SIZE];
    fprintf(page, "<td>%s</td>", isfinite(value) ? words(value, text) : "");
}

static void write_row(const drawing *d, const cJSON *run, const dot *about) {
    char interval[2 * US_TEXT_SIZE];
    FILE *page = d->page;
    interval_text(run, "auc_ci95", interval);
    cell(page, us_run_number(run, "rank"), us_text_count);
    fputs("<th scope=\"row\" class=\"words\">", page);
    us_page_text(page, about->name);
    fputs("</th><td class=\"words\">", page);
    us_page_text(page, us_run_string(run, "status") ? us_run_string(run, "status") : "");
    fputs("</td>", page);
    cell(page, us_run_number(run, "auc"), us_text_score);
    fprintf(page, "<td>%s</td>", interval);
    cell(page, us_run_number(run, "held_out_loss"), us_text_number);
    cell(page, us_run_number(run, "loss"), us_text_number);
    cell(page, us_run_number(run, "epochs"), us_text_count);
    cell(page, us_run_number(run, "train_seconds"), us_text_duration);
    cell(page, about->parameters, us_text_count);
    cell(page, about->speed, us_text_count);
    fprintf(page, "<td class=\"words\">%s%s%s</td></tr>\n", about->on_front[0] ? "parameters" : "",
            about->on_front[0] && about->on_front[1] ? ", " : "",
            about->on_front[1] ? "speed" : "");
}

static void write_board(const drawing *d) {
    static const char *const heads[] = {
        "AUC",    "95% interval",     "Held-out<br>loss", "Loss",
        "Epochs", "Training<br>time", "Parameters",       "Images<br>per second"};
    const char *by = us_run_string(d->board, "by");
    FILE *page = d->page;
    size_t row = 0;
    fputs("<h2>Runs</h2>\n<p class=\"soft\">Ranked by ", page);
    us_page_text(page, by ? by : "loss");
    if (d->count > MOST_ROWS)
        fprintf(page, "; the first %d of %zu, the others are in leaderboard.csv", MOST_ROWS,
                d->count);
    fputs(
        ".</p>\n<div class=\"box scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Runs\">"
        "<table>\n<thead><tr><th scope=\"col\">Rank</th><th scope=\"col\" class=\"words\">Run</th>"
        "<th scope=\"col\" class=\"words\">Status</th>",
        page);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        fprintf(page, "<th scope=\"col\">%s</th>", heads[i]);
    fputs("<th scope=\"col\" class=\"words\">On the front of</th></tr></thead>\n<tbody>\n", page);
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(d->board, "runs")) {
        if (row == MOST_ROWS) break;
        fputs("<tr>", page);
        write_row(d, run, &d->dots[row++]);
    }
    fputs("</tbody>\n</table></div>\n", page);
}

static void write_summary_cells(FILE *page, const cJSON *group, const char *name,
                                const char *(*words)(double, char[US_TEXT_SIZE])) {
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(group, name);
    char low[US_TEXT_SIZE], high[US_TEXT_SIZE];
    cell(page, us_run_number(values, "mean"), words);
    if (isfinite(element(values, "ci95", 0)) && isfinite(element(values, "ci95", 1)))
        fprintf(page, "<td>%s to %s</td>", words(element(values, "ci95", 0), low),
                words(element(values, "ci95", 1), high));
    else
        fputs("<td></td>", page);
}

/* Runs that differ in their seeds alone. */
static void write_groups(const drawing *d) {
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(d->board, "groups"), *group, *override;
    FILE *page = d->page;
    int row = 0;
    if (!cJSON_IsArray(groups)) return;
    fputs("<h2>Over seeds</h2>\n<p class=\"soft\">Means, with 95% intervals by Student's t.</p>\n"
          "<div class=\"box scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Over seeds\">"
          "<table>\n<thead><tr><th scope=\"col\">Runs</th><th scope=\"col\">AUC</th>"
          "<th scope=\"col\">95% interval</th><th scope=\"col\">Held-out<br>loss</th>"
          "<th scope=\"col\">95% interval</th><th scope=\"col\" class=\"words\">Overrides</th>"
          "</tr></thead>\n<tbody>\n",
          page);
    cJSON_ArrayForEach(group, groups) {
        if (row++ == MOST_ROWS) break;
        fputs("<tr>", page);
        cell(page, us_run_number(group, "runs"), us_text_count);
        write_summary_cells(page, group, "auc", us_text_score);
        write_summary_cells(page, group, "held_out_loss", us_text_number);
        fputs("<td class=\"words\">", page);
        cJSON_ArrayForEach(override, cJSON_GetObjectItemCaseSensitive(group, "overrides")) {
            us_page_text(page, cJSON_IsString(override) ? override->valuestring : "");
            fputs(override->next ? " " : "", page);
        }
        fputs("</td></tr>\n", page);
    }
    fputs("</tbody>\n</table></div>\n", page);
}

static unseen_status write_page(drawing *d, unseen_error *error) {
    const char *name = us_run_string(d->board, "name"), *plan = us_run_string(d->board, "plan");
    char subtitle[1024];
    snprintf(subtitle, sizeof subtitle, "A sweep. Plan: %.900s", plan ? plan : "");
    us_page_begin(d->page, name ? name : "sweep", subtitle);
    write_warnings(d);
    write_cards(d);
    US_TRY(write_charts(d, error));
    write_board(d);
    write_groups(d);
    us_page_end(d->page);
    return UNSEEN_OK;
}

static unseen_status write_file(const char *path, const cJSON *board, unseen_error *error) {
    us_file_writer writer;
    US_TRY(us_file_begin(path, &writer, error));
    drawing d = {.page = writer.stream, .board = board};
    us_locale locale = us_locale_enter();
    unseen_status status = gather(&d, error);
    if (status == UNSEEN_OK) status = find_axes(&d, error);
    if (status == UNSEEN_OK) status = write_page(&d, error);
    us_locale_leave(locale);
    release(&d);
    if (status == UNSEEN_OK) return us_file_commit(&writer, error);
    us_file_abandon(&writer);
    return status;
}

unseen_status us_report_sweep(const char *folder, const cJSON *board, unseen_error *error) {
    char *page = us_path_join(folder, US_RUN_REPORT);
    if (!page) return us_fail_memory(error, "a path");
    unseen_status status = write_file(page, board, error);
    free(page);
    return status;
}
