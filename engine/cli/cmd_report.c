/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "cli.h"
#include "options.h"
#include "table.h"

static void cell_number(cli_table *table, const char *format, double number) {
    char text[64] = "-";
    if (isfinite(number)) snprintf(text, sizeof text, format, number);
    cli_table_cell(table, text);
}

static void print_runs(const cJSON *result) {
    cli_table table;
    cli_table_begin(&table, "llrrrl");
    const char *const header[] = {"run", "config", "AUC", "loss", "epochs", "report"};
    for (int i = 0; i < 6; i++)
        cli_table_cell(&table, header[i]);
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(result, "runs")) {
        cli_table_cell(&table, cli_text(run, "out"));
        cli_table_cell(&table, cli_text(run, "name"));
        cell_number(&table, "%.5f", cli_number(run, "auc"));
        cell_number(&table, "%.6g", cli_number(run, "loss"));
        cell_number(&table, "%.0f", cli_number(run, "epochs"));
        cli_table_take(&table, cli_format("%s/report.html", cli_text(run, "out")));
    }
    cli_table_end(&table, 0);
}

int cli_cmd_report(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "RUN...",
        .help = "Writes report.html into each run folder: the loss curve, the ROC curve, how the "
                "scores "
                "of normal and anomalous images are spread, thresholds and the config, in one page "
                "without scripts or outside references. In the folder of a sweep: its board, what "
                "the runs differ in against the AUC, and the fronts of AUC against size and speed."
                "\vExample:\n"
                "  unseen report runs/medium runs/strong --out compared.html",
        .groups = CLI_OPTION_REPORT | CLI_OPTION_OVERWRITE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = -1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    char *json = NULL;
    unseen_error error = {0};
    const bool taken = cli_is_stdout(options.out);
    if (cli_check_stdout(taken, options.json) != UNSEEN_OK) {
        cli_options_free(&options);
        return UNSEEN_BAD_INPUT;
    }
    unseen_status status =
        unseen_report((const char *const *)options.arguments, options.argument_count,
                      cli_output_path(options.out), options.overwrite, &json, &error);
    int code = status == UNSEEN_OK
                   ? cli_result_print(status, json, options.json, taken ? NULL : print_runs)
                   : (int)cli_say_error(&error);
    cli_options_free(&options);
    return code;
}
