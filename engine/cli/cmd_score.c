/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "score_photographs.h"
#include "table.h"

static void print_score(const cJSON *result) {
    char *n = cli_grouped(cli_integer(result, "n"));
    cli_table table;
    cli_table_begin(&table, "ll");
    cli_table_cell(&table, "images");
    double speed = cli_number(result, "images_per_second");
    cli_table_take(&table,
                   speed > 0 ? cli_format("%s, %.0f a second", n, speed) : cli_format("%s", n));
    free(n);
    if (cJSON_HasObjectItem(result, "threshold") && cli_integer(result, "above_threshold") >= 0) {
        char *above = cli_grouped(cli_integer(result, "above_threshold"));
        cli_table_cell(&table, "anomalous");
        cli_table_take(&table, cli_format("%s, with scores from %.6g", above,
                                          cli_number(result, "threshold")));
        free(above);
    }
    cli_table_cell(&table, "device");
    cli_table_cell(&table, cli_text(result, "device"));
    cli_table_cell(&table, "scores");
    cli_table_cell(&table, cli_text(result, "out"));
    if (cJSON_HasObjectItem(result, "maps")) {
        cli_table_cell(&table, "maps");
        cli_table_cell(&table, cli_text(result, "maps"));
    }
    cli_add_pixel_metrics(&table, result);
    cli_table_end(&table, 0);
}

/* With --quiet, warnings were not printed as events. */
static void print_score_quiet(const cJSON *result) {
    print_score(result);
    cli_print_warnings(result);
}

static int score_data(const cli_options *options) {
    unseen_score_options score = {.device = options->device,
                                  .csv_header = options->csv_header,
                                  .data = options->data,
                                  .out = cli_output_path(options->out),
                                  .columns = cli_output_path(options->columns),
                                  .maps = options->maps,
                                  .masks = options->masks,
                                  .verdict = options->verdict,
                                  .layout = options->layout,
                                  .overwrite = options->overwrite};
    const bool taken = cli_is_stdout(options->out) || cli_is_stdout(options->columns);
    if (cli_check_stdout(taken, options->json) != UNSEEN_OK) return UNSEEN_BAD_INPUT;
    cli_progress progress;
    cli_progress_begin(&progress, options->quiet);
    unseen_events events = cli_progress_events(&progress);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_score(options->arguments[0], &score, &events, &json, &error);
    cli_progress_end(&progress);
    if (status != UNSEEN_OK) return cli_say_error(&error);
    return cli_result_print(status, json, options->json,
                            taken            ? NULL
                            : options->quiet ? print_score_quiet
                                             : print_score);
}

/* Images come in one of three ways, and what belongs to files of them has no effect on photographs
 * that are answered one by one. */
static bool check_ways(const cli_options *o) {
    const bool photographs = o->argument_count > 1;
    const struct {
        bool given;
        const char *name;
    } of_data[] = {
        {o->data, "--data"},           {o->out, "--out"},
        {o->columns, "--columns"},     {o->csv_header, "--csv"},
        {o->maps, "--maps"},           {o->masks, "--masks"},
        {o->layout, "--layout"},       {o->verdict, "--verdict"},
        {o->overwrite, "--overwrite"}, {o->watch && o->json, "--json"},
    };
    if (photographs && o->watch) {
        cli_say("photographs come as arguments or, with --watch, from standard input: give one");
        return false;
    }
    for (size_t i = 0; (photographs || o->watch) && i < sizeof of_data / sizeof *of_data; i++) {
        if (!of_data[i].given) continue;
        cli_say("%s has no meaning with %s, which %s", of_data[i].name,
                o->watch ? "--watch" : "photographs as arguments",
                o->watch ? "answers each photograph with a line of JSON"
                         : "are answered on standard output; --data FILE --out FILE scores files "
                           "of images");
        return false;
    }
    if (photographs || o->watch || (o->data && o->out)) return true;
    if (o->data || o->out)
        cli_say("%s is missing", o->data ? "--out FILE" : "--data FILE");
    else
        cli_say("what is to be scored? Photographs as arguments, --data FILE --out FILE, or "
                "--watch");
    return false;
}

int cli_cmd_score(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "RUN PHOTOGRAPH...\nRUN --data FILE --out FILE\nRUN --watch",
        .help =
            "Scores images with the model in the run folder RUN. The higher the score, the less "
            "the image is like those that the model was trained on. Photographs are answered on "
            "standard output, each with its score, the share of normal images, in percent, that "
            "score lower, and a verdict by the threshold that was calibrated on normal images. "
            "--data writes a CSV with one line an image, ids from 0 or names of photographs."
            "\vExample:\n"
            "  unseen score runs/tiles photo.jpg\n"
            "  unseen score runs/faces --data unknown.npy --out unknown.csv\n"
            "  find inbox -name '*.jpg' | unseen score runs/tiles --watch",
        .groups = CLI_OPTION_SCORE | CLI_OPTION_CSV | CLI_OPTION_OVERWRITE | CLI_OPTION_DEVICE |
                  CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = -1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    int code = UNSEEN_BAD_INPUT;
    if (check_ways(&options))
        code = options.data ? score_data(&options) : cli_score_photographs(&options);
    cli_options_free(&options);
    return code;
}
