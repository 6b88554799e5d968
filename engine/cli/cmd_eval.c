#include "cli.h"
#include "options.h"

static void print_eval(const cJSON *result) {
    cli_print_metrics(result);
    cli_print_warnings(result);
}

int cli_cmd_eval(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "",
        .help =
            "Compares a CSV of scores with labels: the area under the ROC curve with its "
            "confidence "
            "interval, average precision, the share of anomalous images found at given rates of "
            "false alarms, and the best F1. The scores may be another program's."
            "\vExample:\n"
            "  unseen eval --scores runs/faces/prediction.csv --labels unknown-labels.npy",
        .groups = CLI_OPTION_EVAL | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .required = {"scores"},
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status =
        unseen_evaluate(options.scores, options.labels, options.normal, &json, &error);
    int code = status == UNSEEN_OK ? cli_result_print(status, json, options.json, print_eval)
                                   : (int)cli_say_error(&error);
    cli_options_free(&options);
    return code;
}
