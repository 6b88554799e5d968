/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "progress.h"
#include "table.h"

typedef struct group {
    int cases, failed;
    double worst; /* the largest share of its limit that an error takes */
} group;

static group sum_group(const cJSON *first) {
    const char *operator= cli_text(first, "operator");
    group sum = {0};
    for (const cJSON *result = first; result; result = result->next) {
        if (strcmp(cli_text(result, "operator"), operator) != 0) continue;
        sum.cases++;
        sum.failed += !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(result, "passed"));
        double error = cli_number(result, "error"), limit = cli_number(result, "limit");
        if (error == 0) continue; /* the limit may be 0 as well */
        if (error / limit > sum.worst || isnan(error)) sum.worst = error / limit;
    }
    return sum;
}

static bool seen_before(const cJSON *results, const cJSON *result) {
    for (const cJSON *other = results->child; other != result; other = other->next)
        if (strcmp(cli_text(other, "operator"), cli_text(result, "operator")) == 0) return true;
    return false;
}

static void print_selftest(const cJSON *result) {
    const cJSON *results = cJSON_GetObjectItemCaseSensitive(result, "results"), *one;
    fputs("Device: ", stdout);
    cli_put_clean(cli_text(result, "device"), stdout);
    puts("\n");
    cli_table table;
    cli_table_begin(&table, "lrrl");
    const char *const header[] = {"operator", "cases", "largest error / limit", "result"};
    for (int i = 0; i < 4; i++)
        cli_table_cell(&table, header[i]);
    cJSON_ArrayForEach(one, results) {
        if (seen_before(results, one)) continue;
        group sum = sum_group(one);
        cli_table_cell(&table, cli_text(one, "operator"));
        cli_table_take(&table, cli_format("%d", sum.cases));
        cli_table_take(&table, cli_format("%.2g", sum.worst));
        cli_table_take(&table,
                       sum.failed ? cli_format("%d FAILED", sum.failed) : cli_format("passed"));
    }
    cli_table_end(&table, 0);
    cJSON_ArrayForEach(one, results) {
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "passed"))) continue;
        printf("FAILED: %s, %s, %s: error %.3g, limit %.3g\n", cli_text(one, "operator"),
               cli_text(one, "what"), cli_text(one, "shape"), cli_number(one, "error"),
               cli_number(one, "limit"));
    }
    printf("\n%lld cases, %lld failed\n", (long long)cli_integer(result, "cases"),
           (long long)cli_integer(result, "failed"));
}

int cli_cmd_selftest(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "[PART...]",
        .help = "Runs every operator, forward and backward, on the device and compares the results "
                "with a reference that is computed on the host in double precision. A driver that "
                "computes wrongly is found here; the exit code is 4 then. With PARTs, only those "
                "run; an unknown name gives their list."
                "\vExamples:\n"
                "  unseen selftest --device gpu\n"
                "  unseen selftest --device gpu layers losses",
        .groups = CLI_OPTION_DEVICE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .maximum = -1,
    };
    cli_options options;
    cli_options_parse(&usage, argc, argv, &options);
    cli_progress progress;
    cli_progress_begin(&progress, options.quiet);
    unseen_events events = cli_progress_events(&progress);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_selftest(options.device, (const char *const *)options.arguments,
                                           options.argument_count, &events, &json, &error);
    cli_progress_end(&progress);
    int code = status;
    if (json) code = cli_result_print(status, json, options.json, print_selftest);
    if (status != UNSEEN_OK) code = cli_say_error(&error);
    cli_options_free(&options);
    return code;
}
