/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "table.h"

static char *milliseconds(const cJSON *shape, const char *name) {
    double value = cli_number(shape, name);
    return isfinite(value) ? cli_format("%.3f", value) : cli_format("-");
}

/* "direct: channels 12, vectors 2" */
static char *parameters(const cJSON *shape) {
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(shape, "parameters"), *parameter;
    if (cJSON_IsNull(object)) return cli_format("every candidate failed");
    char *text = cli_format("%s", cli_text(shape, "algorithm"));
    cJSON_ArrayForEach(parameter, object) {
        char *longer = cli_format("%s%s %s %.0f", text, parameter == object->child ? ":" : ",",
                                  parameter->string, parameter->valuedouble);
        free(text);
        text = longer;
    }
    return text;
}

static void print_tune(const cJSON *result) {
    static const char *const header[] = {"kernel", "shape", "default ms", "best ms",
                                         "times",  "tried", "parameters"};
    const cJSON *shapes = cJSON_GetObjectItemCaseSensitive(result, "shapes"), *shape;
    cli_table table;
    cli_table_begin(&table, "llrrrrl");
    for (int i = 0; i < 7; i++)
        cli_table_cell(&table, header[i]);
    double before = 0, after = 0;
    cJSON_ArrayForEach(shape, shapes) {
        double speedup = cli_number(shape, "speedup");
        cli_table_cell(&table, cli_text(shape, "kernel"));
        cli_table_cell(&table, cli_text(shape, "shape"));
        cli_table_take(&table, milliseconds(shape, "default_ms"));
        cli_table_take(&table, milliseconds(shape, "best_ms"));
        cli_table_take(&table, isfinite(speedup) ? cli_format("%.2f", speedup) : cli_format("-"));
        cli_table_take(&table, cli_format("%lld", (long long)cli_integer(shape, "candidates")));
        cli_table_take(&table, parameters(shape));
        if (!isfinite(speedup)) continue;
        before += cli_number(shape, "default_ms");
        after += cli_number(shape, "best_ms");
    }
    cli_table_end(&table, 0);
    if (after > 0)
        printf("\nAll of them: %.2f ms with the defaults, %.2f ms tuned, %.2f times as fast.\n",
               before, after, before / after);
    fputs("Device: ", stdout);
    cli_put_clean(cli_text(result, "device"), stdout);
    fputs("\nKept in ", stdout);
    cli_put_clean(cli_text(result, "file"), stdout);
    putchar('\n');
}

static int tune(const cli_options *options, const unseen_config *config,
                const unseen_tune_options *how) {
    cli_progress progress;
    cli_progress_begin(&progress, options->quiet);
    unseen_events events = cli_progress_events(&progress);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_tune(config, how, &events, &json, &error);
    cli_progress_end(&progress);
    return status == UNSEEN_OK ? cli_result_print(status, json, options->json, print_tune)
                               : (int)cli_say_error(&error);
}

int cli_cmd_tune(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "CONFIG",
        .help =
            "Finds, for every kernel and shape that a config needs, the parameters that are "
            "fastest "
            "on a device. Later runs use them by themselves. Winners are kept as soon as they are "
            "known, so that a search which was interrupted goes on with the same command."
            "\vExample:\n"
            "  unseen tune configs/strong.json --batch 128 --device gpu",
        .groups = CLI_OPTION_CONFIG | CLI_OPTION_DEVICE | CLI_OPTION_TUNE | CLI_OPTION_JSON |
                  CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = 1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    unseen_tune_options how = {.device = options.device, .force = options.force};
    unseen_config *config = NULL;
    int code = UNSEEN_BAD_INPUT;
    if (cli_options_seconds(&options, &how.seconds))
        code = cli_options_config(&options, options.arguments[0], &config);
    if (config) code = tune(&options, config, &how);
    unseen_config_free(config);
    cli_options_free(&options);
    return code;
}
