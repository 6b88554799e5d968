/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "table.h"

static void cell_number(cli_table *table, const char *format, double number) {
    char text[64] = "-";
    if (isfinite(number)) snprintf(text, sizeof text, format, number);
    cli_table_cell(table, text);
}

/* The folder within the sweep's own, which the table's last line names. */
static const char *short_folder(const cJSON *run) {
    const char *folder = cli_text(run, "out"), *slash = strrchr(folder, '/');
    return slash ? slash + 1 : folder;
}

/* listed: with the training that is left. */
static void add_run(cli_table *table, const cJSON *run, bool listed) {
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(run, "auc_ci95");
    const cJSON *low = cJSON_GetArrayItem(interval, 0), *high = cJSON_GetArrayItem(interval, 1);
    cell_number(table, "%.0f", cli_number(run, "rank"));
    cli_table_cell(table, short_folder(run));
    cli_table_cell(table, cli_text(run, "status"));
    cell_number(table, "%.6g", cli_number(run, "held_out_loss"));
    cell_number(table, "%.6g", cli_number(run, "loss"));
    cell_number(table, "%.5f", cli_number(run, "auc"));
    cli_table_take(table, cJSON_IsNumber(low) && cJSON_IsNumber(high)
                              ? cli_format("%.3f to %.3f", low->valuedouble, high->valuedouble)
                              : cli_format("-"));
    cell_number(table, "%.3f", cli_number(run, "synthetic_auc"));
    cli_table_take(table, cli_grouped(cli_integer(run, "parameters")));
    cli_table_take(table, cli_duration(cli_number(run, "train_seconds")));
    if (listed) cli_table_take(table, cli_duration(cli_number(run, "seconds_left")));
}

static void cell_summary(cli_table *table, const cJSON *group, const char *name,
                         const char *format) {
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(group, name);
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(values, "ci95");
    const cJSON *low = cJSON_GetArrayItem(interval, 0), *high = cJSON_GetArrayItem(interval, 1);
    cell_number(table, format, cli_number(values, "mean"));
    char one[32], other[32];
    if (!low || !high) {
        cli_table_cell(table, "-");
        return;
    }
    snprintf(one, sizeof one, format, low->valuedouble);
    snprintf(other, sizeof other, format, high->valuedouble);
    cli_table_take(table, cli_format("%s to %s", one, other));
}

/* Runs that differ in seeds alone, where there are some. */
static void print_groups(const cJSON *result) {
    static const char *const header[] = {"runs", "held out",       "95% confidence",
                                         "AUC",  "95% confidence", "overrides"};
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(result, "groups"), *group, *override;
    if (!groups) return;
    puts("\nOver seeds:");
    cli_table table;
    cli_table_begin(&table, "rrrrrl");
    for (size_t i = 0; i < sizeof header / sizeof *header; i++)
        cli_table_cell(&table, header[i]);
    cJSON_ArrayForEach(group, groups) {
        char *text = cli_format("%s", "");
        cell_number(&table, "%.0f", cli_number(group, "runs"));
        cell_summary(&table, group, "held_out_loss", "%.6g");
        cell_summary(&table, group, "auc", "%.5f");
        cJSON_ArrayForEach(override, cJSON_GetObjectItemCaseSensitive(group, "overrides")) {
            char *longer = cli_format("%s%s%s", text, *text ? " " : "", override->valuestring);
            free(text);
            text = longer;
        }
        cli_table_take(&table, text);
    }
    cli_table_end(&table, 0);
}

static void print_final(const cJSON *final) {
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(final, "auc_ci95");
    const cJSON *low = cJSON_GetArrayItem(interval, 0), *high = cJSON_GetArrayItem(interval, 1);
    if (!low || !high) return;
    printf("the best run's AUC on the final images: %.5f (%.3f to %.3f)\n",
           cli_number(final, "auc"), low->valuedouble, high->valuedouble);
}

static void print_estimate(const cJSON *estimate) {
    if (!estimate || cli_number(estimate, "seconds_left") == 0) return;
    char *left = cli_duration(cli_number(estimate, "seconds_left"));
    fputs("training that is left, about: ", stdout);
    fputs(left, stdout);
    if (cli_number(estimate, "devices") > 1)
        printf(" on %.0f devices", cli_number(estimate, "devices"));
    fputs(" (", stdout);
    cli_put_clean(cli_text(estimate, "basis"), stdout);
    puts(")");
    free(left);
}

/* How far what needs no labels would have ranked the runs as their AUCs do; nothing where all runs
 * have the same. */
static void print_agreement(const cJSON *result) {
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(result, "agreement"), *one;
    cJSON_ArrayForEach(one, all) {
        const double spearman = cli_number(one, "spearman");
        if (isnan(spearman)) continue;
        printf("the order by %s and that by AUC agree by %.2f (Spearman), %.2f (Kendall), over "
               "%lld runs\n",
               one->string, spearman, cli_number(one, "kendall"),
               (long long)cli_integer(one, "runs"));
    }
}

static void print_sweep(const cJSON *result) {
    static const char *const header[] = {
        "rank",           "run",           "status",     "held out", "loss",       "AUC",
        "95% confidence", "synthetic AUC", "parameters", "training", "left, about"};
    const cJSON *estimate = cJSON_GetObjectItemCaseSensitive(result, "estimate");
    const size_t columns = sizeof header / sizeof *header - (estimate ? 0 : 1);
    cli_table table;
    cli_table_begin(&table, estimate ? "rllrrrrrrrr" : "rllrrrrrrr");
    for (size_t i = 0; i < columns; i++)
        cli_table_cell(&table, header[i]);
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(result, "runs")) {
        add_run(&table, run, estimate != NULL);
    }
    cli_table_end(&table, 0);
    print_groups(result);
    if (cli_number(result, "done") > 0)
        printf("\nranked by %s; runs and leaderboard.csv in ", cli_text(result, "by"));
    else
        printf("\nno run is done yet in ");
    cli_put_clean(cli_text(result, "out"), stdout);
    putchar('\n');
    print_agreement(result);
    print_final(cJSON_GetObjectItemCaseSensitive(result, "final"));
    print_estimate(estimate);
    cli_print_warnings(result);
}

/* configs/sweeps/widths.json goes to runs/widths. */
static char *default_folder(const char *plan) {
    const char *slash = strrchr(plan, '/'), *name = slash ? slash + 1 : plan;
    size_t length = strlen(name);
    if (length > 5 && strcmp(name + length - 5, ".json") == 0) length -= 5;
    return cli_format("runs/%.*s", (int)length, name);
}

int cli_cmd_sweep(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "PLAN",
        .help =
            "Trains many variants of a config and ranks them. PLAN is JSON: a base config, a "
            "grid of values by JSON Pointer, of which every combination is a run, and single runs. "
            "Options that set keys of the config apply to every run. The same command continues an "
            "interrupted sweep, tries failed runs again, and runs what was added to the plan; a "
            "run's folder is known by the config in it. The command may also be given several "
            "times "
            "at once, on one machine or on many that share the folder (mpirun -n 16 unseen sweep "
            "PLAN, or an array job of Slurm): each process takes runs that no other has taken. "
            "Runs are ranked by their loss on held-out "
            "images (/training/held_out), else by the training loss. Where some failed the results "
            "are printed, too, and the exit code is that of the last failure."
            "\vExample, PLAN being\n"
            "  {\"base\": \"strong.json\", \"set\": [\"/training/held_out=0.1\"],\n"
            "   \"grid\": {\"/training/batch\": [64, 128],\n"
            "            \"/training/optimizer/learning_rate\": [1e-3, 3e-4]},\n"
            "   \"runs\": [[\"/networks/encoder/0/channels=24\", \"/training/batch=32\"]]}\n\n"
            "  unseen sweep PLAN --train faces.npy --test unknown.npy --list\n"
            "  unseen sweep PLAN --train faces.npy --test unknown.npy --out runs/widths",
        .groups = CLI_OPTION_TRAIN | CLI_OPTION_TEST | CLI_OPTION_TRAINING | CLI_OPTION_CONFIG |
                  CLI_OPTION_SWEEP | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = 1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    const char *plan = options.arguments[0];
    int jobs;
    if (!cli_options_jobs(&options, &jobs)) {
        cli_options_free(&options);
        return UNSEEN_BAD_INPUT;
    }
    char *folder = options.out ? cli_format("%s", options.out) : default_folder(plan);
    unseen_sweep_options sweep = {.device = options.device,
                                  .jobs = jobs,
                                  .out = folder,
                                  .overrides = (const char *const *)options.overrides,
                                  .override_count = options.override_count,
                                  .by = options.by,
                                  .list_only = options.list,
                                  .overwrite = options.overwrite};
    cli_progress progress;
    cli_progress_begin(&progress, options.quiet);
    unseen_events events = cli_progress_events(&progress);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_sweep(plan, &sweep, &events, &json, &error);
    cli_progress_end(&progress);
    int code = status;
    if (json && !cli_is_further_rank())
        code = cli_result_print(status, json, options.json, print_sweep);
    if (status != UNSEEN_OK) code = cli_say_error(&error);
    free(folder);
    cli_options_free(&options);
    return code;
}
