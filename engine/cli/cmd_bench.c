#include <math.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "table.h"

static void row(cli_table *table, const char *name, char *value) {
    cli_table_cell(table, name);
    cli_table_take(table, value);
}

static void print_bench(const cJSON *result) {
    cli_table table;
    cli_table_begin(&table, "ll");
    row(&table, "config",
        cli_format("%s, batch %lld", cli_text(result, "config"),
                   (long long)cli_integer(result, "batch")));
    row(&table, "device", cli_format("%s", cli_text(result, "device")));
    row(&table, "training",
        cli_format("%.0f images/s", cli_number(result, "train_images_per_second")));
    row(&table, "scoring",
        cli_format("%.0f images/s", cli_number(result, "score_images_per_second")));
    row(&table, "arithmetic",
        cli_format("%.1f GFLOP/s of %.1f that the device can do, %.1f%%",
                   cli_number(result, "gflops"), cli_number(result, "peak_gflops"),
                   100 * cli_number(result, "fraction_of_peak")));
    cli_table_end(&table, 0);
}

int cli_cmd_bench(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "CONFIG",
        .help =
            "Measures how fast a config trains and scores on a device, on random images, and which "
            "share that is of the arithmetic that the device was measured to be capable of."
            "\vExample:\n"
            "  unseen bench configs/medium.json --batch 128 --device cpu",
        .groups = CLI_OPTION_CONFIG | CLI_OPTION_DEVICE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = 1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    unseen_config *config = NULL;
    int code = cli_options_config(&options, options.arguments[0], &config);
    if (config) {
        cli_progress progress;
        cli_progress_begin(&progress, options.quiet);
        unseen_events events = cli_progress_events(&progress);
        char *json = NULL;
        unseen_error error = {0};
        unseen_status status = unseen_bench(config, options.device, &events, &json, &error);
        cli_progress_end(&progress);
        code = status == UNSEEN_OK ? cli_result_print(status, json, options.json, print_bench)
                                   : (int)cli_say_error(&error);
    }
    unseen_config_free(config);
    cli_options_free(&options);
    return code;
}
