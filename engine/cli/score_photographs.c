/* SPDX-License-Identifier: MIT */
#include "score_photographs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "progress.h"
#include "table.h"

/* A file that cannot be scored has an answer, too. */
static char *failed_answer(const char *path, const char *message) {
    cJSON *object = cli_need(cJSON_CreateObject());
    cli_need(cJSON_AddStringToObject(object, "path", path));
    cli_need(cJSON_AddStringToObject(object, "error", message));
    char *text = cli_need(cJSON_PrintUnformatted(object));
    cJSON_Delete(object);
    return text;
}

/* ---- as arguments ---- */

static void print_table(const cJSON *result) {
    cli_table table;
    cli_table_begin(&table, "lrrl");
    const char *const header[] = {"photograph", "score", "percentile", "verdict"};
    for (int i = 0; i < 4; i++)
        cli_table_cell(&table, header[i]);
    const cJSON *image;
    cJSON_ArrayForEach(image, cJSON_GetObjectItemCaseSensitive(result, "images")) {
        const double percentile = cli_number(image, "percentile");
        const bool failed = cJSON_HasObjectItem(image, "error");
        cli_table_cell(&table, cli_text(image, "path"));
        cli_table_take(&table,
                       failed ? cli_format("-") : cli_format("%.6g", cli_number(image, "score")));
        cli_table_take(&table,
                       isfinite(percentile) ? cli_format("%.1f", percentile) : cli_format("-"));
        cli_table_cell(&table, failed ? "not scored" : cli_text(image, "verdict"));
    }
    cli_table_end(&table, 0);
    char *normal = cli_grouped(cli_integer(result, "normal_images"));
    printf("\nScores from %.6g on are anomalous. ", cli_number(result, "threshold"));
    if (cli_integer(result, "normal_images") > 0)
        printf("Percentiles are among the scores of %s %s.\n", normal,
               cli_text(result, "calibrated_on"));
    else
        puts("Percentiles are not known: the model is of a version that did not keep the scores of "
             "normal images.");
    free(normal);
}

/* What fails is said at once, and the others are scored. Returns the exit code. */
static int score_arguments(const cli_options *options, unseen_scorer *scorer, cJSON *result) {
    cJSON *images = cli_need(cJSON_AddArrayToObject(result, "images"));
    int code = UNSEEN_OK;
    for (size_t i = 1; i < options->argument_count; i++) {
        unseen_error error = {0};
        char *json;
        unseen_status status = unseen_scorer_score(scorer, options->arguments[i], &json, &error);
        if (status != UNSEEN_OK) code = cli_say_error(&error);
        if (status != UNSEEN_OK && status != UNSEEN_BAD_INPUT) break;
        char *text = json ? json : failed_answer(options->arguments[i], error.message);
        cJSON_AddItemToArray(images, cli_need(cJSON_Parse(text)));
        unseen_string_free(text);
    }
    return code;
}

static int answer_arguments(const cli_options *options, unseen_scorer *scorer, const char *about) {
    cJSON *result = cli_need(cJSON_Parse(about));
    int code = score_arguments(options, scorer, result);
    int printed = UNSEEN_OK;
    if (code == UNSEEN_OK || code == UNSEEN_BAD_INPUT)
        printed =
            cli_result_print(UNSEEN_OK, cli_need(cJSON_Print(result)), options->json, print_table);
    cJSON_Delete(result);
    return code == UNSEEN_OK ? printed : code;
}

/* ---- as they are named on standard input ---- */

/* The answer to a line; NULL: the device or the system has failed, which was said. */
static char *answer_line(unseen_scorer *scorer, const char *line, size_t length, int *code) {
    unseen_error error = {0};
    char *json = NULL;
    if (strlen(line) < length) return failed_answer(line, "a path holds no NUL byte");
    unseen_status status = unseen_scorer_score(scorer, line, &json, &error);
    if (status == UNSEEN_OK) return json;
    if (status == UNSEEN_BAD_INPUT) return failed_answer(line, error.message);
    *code = cli_say_error(&error);
    return NULL;
}

static int watch(unseen_scorer *scorer) {
    char *line = NULL;
    size_t room = 0;
    int code = UNSEEN_OK;
    for (ssize_t length; (length = getline(&line, &room, stdin)) >= 0;) {
        if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
        char *answer = answer_line(scorer, line, (size_t)length, &code);
        if (!answer) break;
        fputs(answer, stdout);
        putchar('\n');
        unseen_string_free(answer);
        if (fflush(stdout) != 0) break;
    }
    free(line);
    return cli_finish_output(code);
}

int cli_score_photographs(const cli_options *options) {
    cli_progress progress;
    unseen_scorer *scorer;
    unseen_error error = {0};
    char *about;
    /* Signals end the program again once the model is ready: nothing would be lost. */
    cli_progress_begin(&progress, options->quiet || options->watch);
    unseen_events events = cli_progress_events(&progress);
    unseen_status status = unseen_scorer_open(options->arguments[0], options->device, &events,
                                              &scorer, &about, &error);
    cli_progress_end(&progress);
    if (status != UNSEEN_OK) return cli_say_error(&error);
    const int code = options->watch ? watch(scorer) : answer_arguments(options, scorer, about);
    unseen_scorer_close(scorer);
    unseen_string_free(about);
    return code;
}
