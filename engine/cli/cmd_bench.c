/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "table.h"

static void row(cli_table *table, const char *name, char *value) {
    cli_table_cell(table, name);
    cli_table_take(table, value);
}

static char *memory_text(const cJSON *result) {
    char *device = cli_bytes(cli_number(result, "device_memory_bytes"));
    double bytes = cli_number(result, "host_memory_bytes");
    char *host = bytes > 0 ? cli_bytes(bytes) : NULL;
    char *text = host ? cli_format("%s of the device's; the process %s at most", device, host)
                      : cli_format("%s of the device's", device);
    free(device);
    free(host);
    return text;
}

/* Where the images are, as far as it matters to the speed. */
static char *images_text(const cJSON *result) {
    const char *place = cli_text(result, "images");
    if (strcmp(place, "resident") == 0) return cli_format("kept in the device's memory");
    if (strcmp(place, "streamed") == 0)
        return cli_format("sent with every batch, as they do not fit into the device's memory");
    return cli_format("read in the host's memory");
}

static char *scoring_text(const cJSON *result) {
    double first = cli_number(result, "score_images_per_second");
    double again = cli_number(result, "score_resident_images_per_second");
    if (isnan(again)) return cli_format("%.0f images/s", first);
    return cli_format("%.0f images/s from the host's memory, %.0f once they are on the device",
                      first, again);
}

static void print_totals(const cJSON *result) {
    cli_table table;
    cli_table_begin(&table, "ll");
    row(&table, "config",
        cli_format("%s, batch %lld", cli_text(result, "config"),
                   (long long)cli_integer(result, "batch")));
    row(&table, "device", cli_format("%s", cli_text(result, "device")));
    row(&table, "training",
        cli_format("%.0f images/s", cli_number(result, "train_images_per_second")));
    row(&table, "scoring", scoring_text(result));
    row(&table, "images", images_text(result));
    row(&table, "arithmetic",
        cli_format("%.1f GFLOP/s of %.1f that the device can do, %.1f%%",
                   cli_number(result, "gflops"), cli_number(result, "peak_gflops"),
                   100 * cli_number(result, "fraction_of_peak")));
    row(&table, "memory", memory_text(result));
    row(&table, "copying",
        cli_format("%.1f GB/s, read and written", cli_number(result, "peak_gbytes_per_second")));
    row(&table, "first step",
        cli_format("%.2f s after opening the device", cli_number(result, "seconds_to_first_step")));
    cli_table_end(&table, 0);
}

/* ---- the table of layers ---- */

static bool is_phase(const cJSON *layer, const char *phase) {
    return strcmp(cli_text(layer, "phase"), phase) == 0;
}

static double phase_seconds(const cJSON *layers, const char *phase) {
    double seconds = 0;
    const cJSON *layer;
    cJSON_ArrayForEach(layer, layers) if (is_phase(layer, phase)) seconds +=
        cli_number(layer, "seconds");
    return seconds;
}

/* A number where there is one. */
static void figure(cli_table *table, const char *format, double value) {
    if (isnan(value)) {
        cli_table_cell(table, "");
        return;
    }
    char text[32];
    snprintf(text, sizeof text, format, value);
    cli_table_cell(table, text);
}

static void figures(cli_table *table, double seconds, double whole, double gflops, double fraction,
                    double gbytes) {
    figure(table, "%.3f", 1e3 * seconds);
    figure(table, "%.1f%%", 100 * seconds / whole);
    figure(table, "%.1f", gflops);
    figure(table, "%.1f%%", 100 * fraction);
    figure(table, "%.1f", gbytes);
}

/* Names are printed only where they differ from those in the row above. */
static void name_layer(cli_table *table, const cJSON *layer, const cJSON *above) {
    const char *network = cli_text(layer, "network"), *type = cli_text(layer, "layer");
    const char *pass = cli_text(layer, "pass");
    const char *path = cli_text(layer, "path");
    bool known = above && strcmp(network, cli_text(above, "network")) == 0;
    bool same = known && strcmp(path, cli_text(above, "path")) == 0;
    if (!*network) {
        cli_table_cell(table, pass);
        pass = "";
    } else {
        cli_table_cell(table, known ? "" : network);
    }
    cli_table_cell(table, same ? "" : path);
    cli_table_cell(table, same ? "" : type);
    cli_table_cell(table, pass);
}

static void print_step(const cJSON *layers, cli_table *table) {
    double whole = phase_seconds(layers, "training");
    const cJSON *layer, *above = NULL;
    cJSON_ArrayForEach(layer, layers) {
        if (!is_phase(layer, "training")) continue;
        name_layer(table, layer, above);
        figures(table, cli_number(layer, "seconds"), whole, cli_number(layer, "gflops"),
                cli_number(layer, "fraction_of_peak"), cli_number(layer, "gbytes_per_second"));
        above = layer;
    }
}

static void total(cli_table *table, const char *what, double seconds, double whole) {
    const char *const cells[] = {what, "", "", ""};
    for (int i = 0; i < 4; i++)
        cli_table_cell(table, cells[i]);
    figures(table, seconds, whole, NAN, NAN, NAN);
}

/* A network's layers in one row each. */
static void print_scoring(const cJSON *layers, cli_table *table) {
    double whole = phase_seconds(layers, "scoring");
    const cJSON *layer;
    const char *network = "";
    double seconds = 0;
    cJSON_ArrayForEach(layer, layers) {
        if (!is_phase(layer, "scoring")) continue;
        const char *name = cli_text(layer, "network");
        if (*network && strcmp(name, network) != 0) {
            total(table, network, seconds, whole);
            seconds = 0;
        }
        network = name;
        seconds += cli_number(layer, "seconds");
        if (*network) continue;
        total(table, cli_text(layer, "pass"), seconds, whole);
        seconds = 0;
    }
    if (*network) total(table, network, seconds, whole);
}

static void print_layers(const cJSON *layers) {
    cli_table table;
    cli_table_begin(&table, "llllrrrrr");
    const char *const header[] = {"training", "",        "layer",   "pass", "ms",
                                  "of step",  "GFLOP/s", "of peak", "GB/s"};
    for (int i = 0; i < 9; i++)
        cli_table_cell(&table, header[i]);
    cli_table_rule(&table);
    print_step(layers, &table);
    cli_table_rule(&table);
    double seconds = phase_seconds(layers, "training");
    total(&table, "in all", seconds, seconds);
    total(&table, "", NAN, NAN);
    const char *const scoring[] = {"scoring", "", "", "", "ms", "of all", "", "", ""};
    for (int i = 0; i < 9; i++)
        cli_table_cell(&table, scoring[i]);
    cli_table_rule(&table);
    print_scoring(layers, &table);
    cli_table_rule(&table);
    seconds = phase_seconds(layers, "scoring");
    total(&table, "in all", seconds, seconds);
    cli_table_end(&table, 0);
}

static void print_bench(const cJSON *result) {
    const cJSON *members = cJSON_GetObjectItemCaseSensitive(result, "members"), *member;
    cJSON_ArrayForEach(member, members) {
        print_bench(member);
        putchar('\n');
    }
    if (members) {
        printf("all members, one after the other: %.0f images/s in training, %.0f in scoring\n",
               cli_number(result, "train_images_per_second"),
               cli_number(result, "score_images_per_second"));
        return;
    }
    print_totals(result);
    putchar('\n');
    print_layers(cJSON_GetObjectItemCaseSensitive(result, "layers"));
}

int cli_cmd_bench(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "CONFIG",
        .help =
            "Measures how fast a config trains and scores on a device, on random images, and which "
            "share that is of the arithmetic that the device was measured to be capable of; then "
            "what each layer takes of one batch, forward and backward. GB/s count what must be "
            "read and written at the least."
            "\vExample:\n"
            "  unseen bench configs/medium.json --batch 128 --device cpu",
        .groups = CLI_OPTION_CONFIG | CLI_OPTION_DEVICE | CLI_OPTION_PROFILE | CLI_OPTION_BENCH |
                  CLI_OPTION_OVERWRITE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = 1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    unseen_config *config = NULL;
    const bool taken = cli_is_stdout(options.profile);
    int code = cli_check_stdout(taken, options.json);
    double seconds = 0;
    if (code == UNSEEN_OK && !cli_options_seconds(&options, &seconds)) code = UNSEEN_BAD_INPUT;
    if (code == UNSEEN_OK) code = cli_options_config(&options, options.arguments[0], &config);
    if (config) {
        cli_progress progress;
        cli_progress_begin(&progress, options.quiet);
        unseen_events events = cli_progress_events(&progress);
        char *json = NULL;
        unseen_error error = {0};
        unseen_bench_options bench = {.device = options.device,
                                      .profile = cli_output_path(options.profile),
                                      .overwrite = options.overwrite,
                                      .seconds = seconds};
        unseen_status status = unseen_bench(config, &bench, &events, &json, &error);
        cli_progress_end(&progress);
        code = status == UNSEEN_OK
                   ? cli_result_print(status, json, options.json, taken ? NULL : print_bench)
                   : (int)cli_say_error(&error);
    }
    unseen_config_free(config);
    cli_options_free(&options);
    return code;
}
