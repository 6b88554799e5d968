/* SPDX-License-Identifier: MIT */
#include "cli.h"
#include "options.h"

/* What was compared: which column of which file, and how the rows found each other. */
static void print_labels(const cJSON *labels) {
    const char *column = cli_text(labels, "column");
    fputs("labels: ", stdout);
    cli_put_clean(cli_text(labels, "path"), stdout);
    if (*column) {
        fputs(", column ", stdout);
        cli_put_clean(column, stdout);
    }
    fputs(", joined ", stdout);
    cli_put_clean(cli_text(labels, "joined"), stdout);
    putchar('\n');
}

static void print_eval(const cJSON *result) {
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(result, "labels");
    cli_print_metrics(result);
    if (labels) print_labels(labels);
    if (*cli_text(result, "report")) {
        fputs("report: ", stdout);
        cli_put_clean(cli_text(result, "report"), stdout);
        putchar('\n');
    }
    cli_print_warnings(result);
}

static unseen_status read_threshold(const cli_options *options, double *threshold,
                                    unseen_evaluate_options *evaluate) {
    if (!options->threshold) return UNSEEN_OK;
    evaluate->threshold = threshold;
    if (cli_read_number(options->threshold, threshold)) return UNSEEN_OK;
    cli_say("--threshold: expected a number, found '%s'", options->threshold);
    return UNSEEN_BAD_INPUT;
}

int cli_cmd_eval(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "",
        .help =
            "Compares scores with labels: the area under the ROC curve with its confidence "
            "interval, average precision, the share of anomalous images found at given rates of "
            "false alarms, and the best F1. The scores may be another program's. "
            "Rows are joined by ids where both files have them. Maps of where images are anomalous "
            "are compared with masks, pixel by pixel. --report draws the page that runs have."
            "\vExample:\n"
            "  unseen eval --scores runs/faces/prediction.csv --labels unknown-labels.npy\n"
            "  unseen eval --scores other.csv --labels tiles/test --normal good --report "
            "other.html "
            "--data tiles/test\n"
            "  unseen eval --maps maps/maps.npy --masks unknown-masks.npy",
        .groups = CLI_OPTION_EVAL | CLI_OPTION_JSON | CLI_OPTION_QUIET,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    char *json = NULL;
    unseen_error error = {0};
    unseen_evaluate_options evaluate = {.scores = options.scores,
                                        .labels = options.labels,
                                        .normal = options.normal,
                                        .label_column = options.label_column,
                                        .maps = options.maps,
                                        .masks = options.masks,
                                        .report = cli_output_path(options.report),
                                        .data = options.data,
                                        .layout = options.layout,
                                        .overwrite = options.overwrite};
    double threshold;
    unseen_status status = read_threshold(&options, &threshold, &evaluate);
    const bool taken = cli_is_stdout(options.report);
    if (status == UNSEEN_OK) status = cli_check_stdout(taken, options.json);
    if (status != UNSEEN_OK) {
        cli_options_free(&options);
        return status;
    }
    status = unseen_evaluate(&evaluate, &json, &error);
    int code = status == UNSEEN_OK
                   ? cli_result_print(status, json, options.json, taken ? NULL : print_eval)
                   : (int)cli_say_error(&error);
    cli_options_free(&options);
    return code;
}
