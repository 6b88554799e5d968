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
    cli_print_warnings(result);
}

int cli_cmd_eval(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "",
        .help =
            "Compares scores with labels: the area under the ROC curve with its confidence "
            "interval, average precision, the share of anomalous images found at given rates of "
            "false alarms, and the best F1. The scores may be another program's. "
            "Rows are joined by ids where both files have them. Maps of where images are anomalous "
            "are compared with masks, pixel by pixel."
            "\vExample:\n"
            "  unseen eval --scores runs/faces/prediction.csv --labels unknown-labels.npy\n"
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
                                        .masks = options.masks};
    unseen_status status = unseen_evaluate(&evaluate, &json, &error);
    int code = status == UNSEEN_OK ? cli_result_print(status, json, options.json, print_eval)
                                   : (int)cli_say_error(&error);
    cli_options_free(&options);
    return code;
}
