/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "table.h"

static void line(const char *label, char *text) {
    if (*text) {
        printf("      %-14s ", label);
        cli_put_clean(text, stdout);
        putchar('\n');
    }
    free(text);
}

/* How kernels are shaped for a device, in words. */
static const char *execution_words(const char *execution) {
    if (strcmp(execution, "vector") == 0) return "one work-item at a time, on whole vectors";
    if (strcmp(execution, "lanes") == 0) return "many work-items side by side, a number each";
    return execution;
}

static void print_device(const cJSON *device, const char *picked) {
    const char *index = cli_text(device, "index");
    bool usable = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(device, "usable"));
    printf("%c %s  ", *index && strcmp(index, picked) == 0 ? '*' : ' ', *index ? index : "-");
    cli_put_clean(*cli_text(device, "device") ? cli_text(device, "device") : "no device", stdout);
    putchar('\n');
    line("platform", cli_format("%s", cli_text(device, "platform")));
    line("type", cli_format("%s", cli_text(device, "type")));
    line("OpenCL", cli_format("%s", cli_text(device, "opencl")));
    line("driver", cli_format("%s", cli_text(device, "driver")));
    double units = cli_number(device, "compute_units"), memory = cli_number(device, "memory_bytes");
    if (units > 0) line("compute units", cli_format("%.0f", units));
    if (memory > 0) {
        char *all = cli_bytes(memory);
        char *largest = cli_bytes(cli_number(device, "largest_allocation_bytes"));
        line("memory", cli_format("%s, at most %s in one piece", all, largest));
        free(all);
        free(largest);
    }
    double width = cli_number(device, "vector_width");
    if (width > 1) line("vectors", cli_format("of %.0f floats", width));
    const char *units_of_matrices = cli_text(device, "matrix_units");
    if (strcmp(units_of_matrices, "none") != 0)
        line("matrix units", cli_format("%s", units_of_matrices));
    line("kernels", cli_format("%s", execution_words(cli_text(device, "execution"))));
    if (!usable) line("not usable", cli_format("%s", cli_text(device, "why_not")));
}

/* Drivers without a fault show in their devices. */
static void print_drivers(const cJSON *result) {
    const cJSON *drivers = cJSON_GetObjectItemCaseSensitive(result, "drivers"), *driver;
    bool any = false;
    cJSON_ArrayForEach(driver, drivers) {
        const char *fault = cli_text(driver, "fault");
        if (!*fault) continue;
        bool left_out = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(driver, "left_out"));
        char *text =
            cli_format("%s (%s): %s%s", cli_text(driver, "icd"),
                       *cli_text(driver, "library") ? cli_text(driver, "library") : "no library",
                       fault, left_out ? "; it is left out" : "");
        fputs("Driver ", stdout);
        cli_put_clean(text, stdout);
        putchar('\n');
        free(text);
        any = true;
    }
    if (any) putchar('\n');
}

static void print_devices(const cJSON *result) {
    const char *picked = cli_text(result, "picked");
    const cJSON *devices = cJSON_GetObjectItemCaseSensitive(result, "devices"), *device;
    cJSON_ArrayForEach(device, devices) {
        print_device(device, picked);
        putchar('\n');
    }
    print_drivers(result);
    if (*picked)
        printf("Picked: %s", picked);
    else
        fputs("No device would be picked", stdout);
    if (*cli_text(result, "why")) {
        fputs(", ", stdout);
        cli_put_clean(cli_text(result, "why"), stdout);
    }
    putchar('\n');
}

int cli_cmd_devices(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "",
        .help =
            "Lists every OpenCL platform and device of this machine, whether it can be used, and "
            "which one would be picked (marked *) and why, given --device or UNSEEN_DEVICE if "
            "there is one, and what is wrong with drivers: one that crashes or hangs while it is "
            "asked is named and left out. The exit code is 3 where none would be picked."
            "\vExample:\n"
            "  unseen devices --device gpu",
        .groups = CLI_OPTION_DEVICE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_devices(options.device, &json, &error);
    int code;
    if (status == UNSEEN_OK) {
        cJSON *result = cli_need(cJSON_Parse(json));
        if (!*cli_text(result, "picked")) status = UNSEEN_NO_DEVICE;
        cJSON_Delete(result);
        code = cli_result_print(status, json, options.json, print_devices);
    } else {
        code = cli_say_error(&error);
    }
    cli_options_free(&options);
    return code;
}
