/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "options.h"

static int print_schema(void) {
    char *json = NULL;
    unseen_error error = {0};
    if (unseen_config_schema(&json, &error) != UNSEEN_OK) return cli_say_error(&error);
    return cli_result_print(UNSEEN_OK, json, true, NULL);
}

/* Whether a file is this program's own schema, which lies beside the configs: checking the
 * whole folder is no mistake. */
static bool is_schema(const char *path) {
    char *schema = NULL;
    struct stat about; /* opening a pipe might wait for ever */
    FILE *file = stat(path, &about) == 0 && S_ISREG(about.st_mode) ? fopen(path, "rb") : NULL;
    bool same = file && unseen_config_schema(&schema, NULL) == UNSEEN_OK;
    if (same) {
        size_t length = strlen(schema);
        char *text = cli_need(malloc(length + 1));
        same = fread(text, 1, length + 1, file) == length && memcmp(text, schema, length) == 0;
        free(text);
    }
    unseen_string_free(schema);
    if (file) fclose(file);
    return same;
}

/* Checks one file: shapes too, so a layer that does not fit is found. Adds to `files` what --json
 * prints. */
static unseen_status check_file(const cli_options *options, const char *path, cJSON *files) {
    unseen_config *config = NULL;
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_config_load(path, (const char *const *)options->overrides,
                                              options->override_count, &config, &error);
    if (status == UNSEEN_OK) status = unseen_show(config, &json, &error);
    unseen_string_free(json);
    unseen_config_free(config);

    bool schema = status != UNSEEN_OK && is_schema(path);
    if (schema) status = UNSEEN_OK;
    bool ok = status == UNSEEN_OK;
    if (options->json) {
        cJSON *file = cli_need(cJSON_CreateObject());
        cli_need(cJSON_AddStringToObject(file, "file", path));
        cli_need(cJSON_AddBoolToObject(file, "ok", ok));
        if (!ok) cli_need(cJSON_AddStringToObject(file, "error", error.message));
        cJSON_AddItemToArray(files, file);
    } else if (ok && !options->quiet) {
        cli_put_clean(path, stdout);
        puts(schema ? ": OK, the schema of configs" : ": OK");
    }
    if (!ok && !options->json) cli_say_error(&error);
    return status;
}

/* Names of files may hold bytes that are no UTF-8, and JSON may not. */
static void put_utf8(const char *text) {
    for (size_t size; *text; text += size ? size : 1) {
        size = cli_character(text);
        if (size)
            fwrite(text, 1, size, stdout);
        else
            fputs("\xEF\xBF\xBD", stdout);
    }
}

int cli_cmd_check(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "CONFIG...",
        .help = "Checks configs without using a device: every key, and whether the layers fit each "
                "other. Says OK or what is wrong for each file; the exit code is 2 if any is wrong."
                "\vExamples:\n"
                "  unseen check configs/*.json\n"
                "  unseen check --schema > configs/schema.json",
        .groups = CLI_OPTION_CONFIG | CLI_OPTION_SCHEMA | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 1,
        .maximum = -1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    if (options.schema) {
        cli_options_free(&options);
        return print_schema();
    }
    cJSON *result = cli_need(cJSON_CreateObject());
    cJSON *files = cli_need(cJSON_AddArrayToObject(result, "files"));
    unseen_status worst = UNSEEN_OK;
    for (size_t i = 0; i < options.argument_count; i++) {
        char *path = cli_config_path(options.arguments[i]);
        unseen_status status = check_file(&options, path, files);
        free(path);
        if (status > worst) worst = status;
    }
    if (options.json) {
        cli_need(cJSON_AddBoolToObject(result, "ok", worst == UNSEEN_OK));
        char *json = cli_need(cJSON_Print(result));
        put_utf8(json);
        putchar('\n');
        cJSON_free(json);
    }
    cJSON_Delete(result);
    cli_options_free(&options);
    return cli_finish_output(worst);
}
