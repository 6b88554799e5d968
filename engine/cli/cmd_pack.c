/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "table.h"

static void print_pack(const cJSON *result) {
    char *n = cli_grouped(cli_integer(result, "n"));
    cli_table table;
    cli_table_begin(&table, "ll");
    cli_table_cell(&table, "photographs");
    cli_table_take(&table,
                   cli_format("%s, as %s of %lldx%lld in %lld channel%s", n,
                              cli_text(result, "type"), (long long)cli_integer(result, "height"),
                              (long long)cli_integer(result, "width"),
                              (long long)cli_integer(result, "channels"),
                              cli_integer(result, "channels") == 1 ? "" : "s"));
    free(n);
    cli_table_cell(&table, "array");
    cli_table_cell(&table, cli_text(result, "out"));
    cli_table_cell(&table, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "labelled"))
                               ? "names, labels"
                               : "names");
    cli_table_cell(&table, cli_text(result, "table"));
    cli_table_end(&table, 0);
}

/* "64x48": rows, then columns. */
static unseen_status read_size(const char *text, unseen_pack_options *pack) {
    char rest;
    if (sscanf(text, "%dx%d%c", &pack->height, &pack->width, &rest) == 2) return UNSEEN_OK;
    cli_say("--size %s: expected HEIGHTxWIDTH, as in 64x64", text);
    return UNSEEN_BAD_INPUT;
}

/* The input of a config, as its networks need it. */
static unseen_status read_config(const cli_options *options, unseen_pack_options *pack,
                                 cJSON **resolved) {
    unseen_config *config;
    unseen_error error = {0};
    char *json = NULL;
    unseen_status status = cli_options_config(options, options->config, &config);
    if (status != UNSEEN_OK) return status;
    status = unseen_config_resolved(config, &json, &error);
    unseen_config_free(config);
    if (status != UNSEEN_OK) return cli_say_error(&error);
    *resolved = cli_need(cJSON_Parse(json));
    unseen_string_free(json);
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(*resolved, "input");
    const int channels = (int)cli_integer(input, "channels");
    pack->height = (int)cli_integer(input, "height");
    pack->width = (int)cli_integer(input, "width");
    if (!pack->channels) pack->channels = channels;
    if (!pack->fit) pack->fit = cli_text(input, "fit");
    return UNSEEN_OK;
}

static unseen_status read_form(const cli_options *options, unseen_pack_options *pack,
                               cJSON **resolved) {
    if (options->channels) pack->channels = atoi(options->channels);
    if (options->channels && pack->channels != 1 && pack->channels != 3) {
        cli_say("--channels %s: expected 1 (grey) or 3 (RGB)", options->channels);
        return UNSEEN_BAD_INPUT;
    }
    if (options->config) {
        unseen_status status = read_config(options, pack, resolved);
        if (status != UNSEEN_OK) return status;
    }
    if (options->size) return read_size(options->size, pack);
    if (options->config) return UNSEEN_OK;
    cli_say("how large the images become: --size HEIGHTxWIDTH, or --config CONFIG");
    return UNSEEN_BAD_INPUT;
}

static int pack_photographs(const cli_options *options, unseen_pack_options *pack) {
    cli_progress progress;
    cli_progress_begin(&progress, options->quiet);
    unseen_events events = cli_progress_events(&progress);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_pack(pack, &events, &json, &error);
    cli_progress_end(&progress);
    if (status != UNSEEN_OK) return cli_say_error(&error);
    return cli_result_print(status, json, options->json, print_pack);
}

int cli_cmd_pack(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "PHOTOGRAPHS OUT.npy",
        .help =
            "Decodes photographs (a folder and those below it, a list of files, or an archive), "
            "makes all of them the same size, and writes them as one array. OUT.csv tells which "
            "photograph each image is, and its class where photographs lie in folders of classes."
            "\vExample:\n"
            "  unseen pack tiles/test tiles.npy --size 64x64",
        .groups = CLI_OPTION_PACK | CLI_OPTION_OVERWRITE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 2,
        .maximum = 2,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    unseen_pack_options pack = {.data = options.arguments[0],
                                .out = options.arguments[1],
                                .fit = options.fit,
                                .split = options.split,
                                .object = options.object,
                                .label_column = options.label_column,
                                .overwrite = options.overwrite};
    cJSON *resolved = NULL;
    int code = read_form(&options, &pack, &resolved);
    if (code == UNSEEN_OK) code = pack_photographs(&options, &pack);
    cJSON_Delete(resolved);
    cli_options_free(&options);
    return code;
}
