/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "table.h"

static void cell_figures(cli_table *table, const cJSON *object) {
    cli_table_take(table, cli_grouped(cli_integer(object, "parameters")));
    cli_table_take(table, cli_count(cli_number(object, "flops_per_image")));
}

static void sum_row(cli_table *table, const char *name, const char *what, const cJSON *object) {
    cli_table_cell(table, name);
    cli_table_cell(table, "");
    cli_table_cell(table, what);
    cli_table_take(table, cli_shape(cJSON_GetObjectItemCaseSensitive(object, "output")));
    cell_figures(table, object);
}

static void print_layers(const cJSON *result) {
    cli_table table;
    cli_table_begin(&table, "llllrr");
    const char *const header[] = {"network", "", "layer", "output", "parameters", "FLOPs"};
    for (int i = 0; i < 6; i++)
        cli_table_cell(&table, header[i]);
    cli_table_rule(&table);
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(result, "layers"), *layer, *network;
    cJSON_ArrayForEach(network, cJSON_GetObjectItemCaseSensitive(result, "networks")) {
        cJSON_ArrayForEach(layer, layers) {
            if (strcmp(cli_text(layer, "network"), network->string) != 0) continue;
            cli_table_cell(&table, network->string);
            cli_table_cell(&table, cli_text(layer, "path"));
            cli_table_cell(&table, cli_text(layer, "layer"));
            cli_table_take(&table, cli_shape(cJSON_GetObjectItemCaseSensitive(layer, "output")));
            cell_figures(&table, layer);
        }
        sum_row(&table, network->string, "in all", network);
        cli_table_rule(&table);
    }
    sum_row(&table, "all networks", "", result);
    cli_table_end(&table, 0);
}

static void print_show(const cJSON *result) {
    const cJSON *members = cJSON_GetObjectItemCaseSensitive(result, "members"), *member;
    cJSON_ArrayForEach(member, members) {
        print_show(member);
        putchar('\n');
    }
    if (members) {
        char *parameters = cli_grouped(cli_integer(result, "parameters"));
        cli_put_clean(cli_text(result, "name"), stdout);
        printf(": %d members, %s parameters\n", cJSON_GetArraySize(members), parameters);
        free(parameters);
        return;
    }
    char *input = cli_shape(cJSON_GetObjectItemCaseSensitive(result, "input"));
    cli_put_clean(cli_text(result, "name"), stdout);
    printf(": detector %s, input %s, precision %s\n\n", cli_text(result, "detector"), input,
           cli_text(result, "precision"));
    free(input);
    print_layers(result);
    char *memory = cli_bytes(cli_number(result, "memory_bytes"));
    printf("\nDevice memory for training with batch %lld: %s, and what kernels need beside it\n",
           (long long)cli_integer(result, "batch"), memory);
    free(memory);
}

int cli_cmd_show(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "CONFIG",
        .help =
            "Shows the layers of a config's networks with the shape that each one puts out "
            "(channels x height x width), its parameters and the floating-point operations of one "
            "forward pass of one image, and the device memory that training takes."
            "\vExample:\n"
            "  unseen show configs/strong.json --batch 256",
        .groups = CLI_OPTION_CONFIG | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = 1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    unseen_config *config = NULL;
    int code = cli_options_config(&options, options.arguments[0], &config);
    if (config) {
        char *json = NULL;
        unseen_error error = {0};
        unseen_status status = unseen_show(config, &json, &error);
        code = status == UNSEEN_OK ? cli_result_print(status, json, options.json, print_show)
                                   : (int)cli_say_error(&error);
    }
    unseen_config_free(config);
    cli_options_free(&options);
    return code;
}
