/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table.h"

int cli_finish_output(int status) {
    bool failed = ferror(stdout) != 0;
    errno = 0;
    failed |= fflush(stdout) != 0;
    if (!failed) return status;
    if (errno != EPIPE) cli_say("cannot write standard output: %s", strerror(errno ? errno : EIO));
    return status == UNSEEN_OK ? UNSEEN_FAILURE : status;
}

bool cli_is_stdout(const char *path) {
    struct stat file, out, null;
    if (!path) return false;
    path = cli_output_path(path);
    if (stat(path, &file) != 0 || fstat(STDOUT_FILENO, &out) != 0) return false;
    bool is_null =
        S_ISCHR(out.st_mode) && stat("/dev/null", &null) == 0 && null.st_rdev == out.st_rdev;
    return file.st_dev == out.st_dev && file.st_ino == out.st_ino && !is_null;
}

const char *cli_output_path(const char *path) {
    return path && strcmp(path, "-") == 0 ? "/dev/stdout" : path;
}

unseen_status cli_check_stdout(bool taken, bool as_json) {
    if (!taken || !as_json) return UNSEEN_OK;
    cli_say("a file that goes to standard output leaves no room there for --json: give the file a "
            "name, or leave --json out");
    return UNSEEN_BAD_INPUT;
}

int cli_result_print(unseen_status status, char *json, bool as_json,
                     void (*render)(const cJSON *result)) {
    if (as_json) {
        fputs(json, stdout);
        size_t length = strlen(json);
        if (!length || json[length - 1] != '\n') putchar('\n');
    } else if (render) {
        cJSON *result = cli_need(cJSON_Parse(json));
        render(result);
        cJSON_Delete(result);
    }
    unseen_string_free(json);
    return cli_finish_output(status);
}

double cli_number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

const char *cli_text(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

int64_t cli_integer(const cJSON *object, const char *name) {
    double number = cli_number(object, name);
    return fabs(number) <= 0x1p53 ? (int64_t)number : -1;
}

char *cli_grouped(int64_t number) {
    if (number < 0) return cli_format("-");
    char *text = cli_format("%lld", (long long)number);
    size_t length = strlen(text);
    char *grouped = cli_need(malloc(length + length / 3 + 1)), *end = grouped;
    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) *end++ = ',';
        *end++ = text[i];
    }
    *end = '\0';
    free(text);
    return grouped;
}

static char *scaled(double number, double step, const char *const *units, int count) {
    if (!isfinite(number)) return cli_format("-");
    int unit = 0;
    for (; number >= step && unit < count - 1; unit++)
        number /= step;
    return unit || number != floor(number)
               ? cli_format("%.*f%s", number < 100 ? 1 : 0, number, units[unit])
               : cli_format("%.0f%s", number, units[0]);
}

char *cli_bytes(double bytes) {
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    return scaled(bytes, 1024, units, 5);
}

char *cli_count(double number) {
    static const char *const units[] = {"", " K", " M", " G", " T"};
    return scaled(number, 1000, units, 5);
}

char *cli_duration(double seconds) {
    if (!isfinite(seconds) || seconds < 0) return cli_format("-");
    if (seconds < 10) return cli_format("%.2fs", seconds);
    long long whole = seconds < 1e15 ? (long long)(seconds + 0.5) : (long long)1e15;
    if (whole < 60) return cli_format("%llds", whole);
    if (whole < 3600) return cli_format("%lldm%02llds", whole / 60, whole % 60);
    return cli_format("%lldh%02lldm", whole / 3600, whole / 60 % 60);
}

char *cli_shape(const cJSON *shape) {
    char *text = cli_format("%s", "");
    const cJSON *extent;
    cJSON_ArrayForEach(extent, shape) {
        char *longer = cli_format("%s%s%.0f", text, *text ? "x" : "", extent->valuedouble);
        free(text);
        text = longer;
    }
    return text;
}

static void metric_row(cli_table *table, const char *name, char *value) {
    cli_table_cell(table, name);
    cli_table_take(table, value);
}

void cli_add_pixel_metrics(cli_table *table, const cJSON *result) {
    const cJSON *masks = cJSON_GetObjectItemCaseSensitive(result, "masks");
    if (!masks) return;
    char *regions = cli_grouped(cli_integer(masks, "regions"));
    metric_row(table, "pixel AUROC", cli_format("%.5f", cli_number(result, "pixel_auroc")));
    metric_row(table, "AUPRO",
               cli_format("%.5f  (of %s regions, up to 30%% false positives)",
                          cli_number(result, "aupro"), regions));
    free(regions);
}

static void print_one(const cJSON *metrics, int indent) {
    cli_table table;
    cli_table_begin(&table, "ll");
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(metrics, "auc_ci95");
    const cJSON *low = cJSON_GetArrayItem(interval, 0), *high = cJSON_GetArrayItem(interval, 1);
    metric_row(&table, "AUC",
               cJSON_IsNumber(low) && cJSON_IsNumber(high)
                   ? cli_format("%.5f  (95%% confidence: %.5f to %.5f)", cli_number(metrics, "auc"),
                                low->valuedouble, high->valuedouble)
                   : cli_format("%.5f", cli_number(metrics, "auc")));
    metric_row(&table, "average precision",
               cli_format("%.5f", cli_number(metrics, "average_precision")));
    const cJSON *rates = cJSON_GetObjectItemCaseSensitive(metrics, "tpr_at_fpr"), *rate;
    cJSON_ArrayForEach(rate, rates) {
        if (!cJSON_IsNumber(rate)) continue;
        cli_table_take(&table, cli_format("found at %g%% false alarms", 100 * atof(rate->string)));
        cli_table_take(&table, cli_format("%.1f%%", 100 * rate->valuedouble));
    }
    if (isfinite(cli_number(metrics, "best_f1")))
        metric_row(&table, "best F1",
                   cli_format("%.4f  (at scores from %.6g)", cli_number(metrics, "best_f1"),
                              cli_number(metrics, "best_f1_threshold")));
    char *n = cli_grouped(cli_integer(metrics, "n"));
    char *positives = cli_grouped(cli_integer(metrics, "positives"));
    metric_row(&table, "images", cli_format("%s, %s of them anomalous", n, positives));
    free(n);
    free(positives);
    cli_add_pixel_metrics(&table, metrics);
    cli_table_end(&table, indent);
}

static void print_confused(const cJSON *confused) {
    const cJSON *kind;
    if (!cJSON_GetArraySize(confused)) return;
    fputs("  Confused with normal images: ", stdout);
    cJSON_ArrayForEach(kind, confused) {
        if (kind != confused->child) fputs(", ", stdout);
        cli_put_clean(cJSON_IsString(kind) ? kind->valuestring : "", stdout);
    }
    puts(" (an AUC that may well be one half or less)");
}

static void print_kinds(const cJSON *result) {
    const cJSON *kinds = cJSON_GetObjectItemCaseSensitive(result, "kinds"), *kind;
    if (!cJSON_GetArraySize(kinds)) return;
    puts("\nEach kind of anomalous image by itself:");
    cli_table table;
    cli_table_begin(&table, "lrrrr");
    cli_table_cell(&table, "kind");
    cli_table_cell(&table, "images");
    cli_table_cell(&table, "AUC");
    cli_table_cell(&table, "average precision");
    cli_table_take(&table, cli_format("below %.6g", cli_number(result, "threshold")));
    cJSON_ArrayForEach(kind, kinds) {
        cli_table_cell(&table, kind->string);
        cli_table_take(&table, cli_grouped(cli_integer(kind, "images")));
        cli_table_take(&table, cli_format("%.5f", cli_number(kind, "auc")));
        cli_table_take(&table, cli_format("%.5f", cli_number(kind, "average_precision")));
        cli_table_take(&table, cli_format("%.1f%%", 100 * cli_number(kind, "missed")));
    }
    cli_table_end(&table, 2);
    print_confused(cJSON_GetObjectItemCaseSensitive(result, "confused"));
    putchar('\n');
}

void cli_print_metrics(const cJSON *result) {
    if (!isfinite(cli_number(result, "auc"))) {
        cli_table table;
        cli_table_begin(&table, "ll");
        cli_add_pixel_metrics(&table, result);
        cli_table_end(&table, 0);
        return;
    }
    print_one(result, 0);
    print_kinds(result);
    const cJSON *columns = cJSON_GetObjectItemCaseSensitive(result, "columns"), *column;
    if (cJSON_GetArraySize(columns) > 1) {
        puts("\nEach part of the score by itself:");
        cli_table table;
        cli_table_begin(&table, "lrr");
        cli_table_cell(&table, "part");
        cli_table_cell(&table, "AUC");
        cli_table_cell(&table, "average precision");
        cJSON_ArrayForEach(column, columns) {
            cli_table_cell(&table, column->string);
            cli_table_take(&table, cli_format("%.5f", cli_number(column, "auc")));
            cli_table_take(&table, cli_format("%.5f", cli_number(column, "average_precision")));
        }
        cli_table_end(&table, 2);
    }
}

void cli_print_warnings(const cJSON *result) {
    const cJSON *warnings = cJSON_GetObjectItemCaseSensitive(result, "warnings"), *warning;
    cJSON_ArrayForEach(warning, warnings) {
        if (!cJSON_IsString(warning)) continue;
        fputs("warning: ", stdout);
        cli_put_clean(warning->valuestring, stdout);
        putchar('\n');
    }
}
