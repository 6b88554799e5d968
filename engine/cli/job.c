/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "progress.h"
#include "table.h"

/* The config's own name, which is what the default folder is called after. */
static unseen_status config_name(const unseen_config *config, char **name) {
    char *json = NULL;
    unseen_error error = {0};
    if (unseen_config_resolved(config, &json, &error) != UNSEEN_OK) return cli_say_error(&error);
    cJSON *resolved = cli_need(cJSON_Parse(json));
    unseen_string_free(json);
    *name = cli_format("%s", cli_text(resolved, "name"));
    cJSON_Delete(resolved);
    if (**name && !strchr(*name, '/') && **name != '.') return UNSEEN_OK;
    cli_say("the config's name \"%s\" names no folder: say where the run goes with --out DIR",
            *name);
    return UNSEEN_BAD_INPUT;
}

/* runs/NAME. The library takes care that no earlier run there is lost. */
static unseen_status default_folder(const unseen_config *config, char **folder) {
    char *name = NULL;
    unseen_status status = config_name(config, &name);
    if (status == UNSEEN_OK) *folder = cli_format("runs/%s", name);
    free(name);
    return status;
}

static void print_job(const cJSON *result) {
    cli_print_metrics(result);
    cli_table table;
    cli_table_begin(&table, "ll");
    int64_t scored = cli_integer(result, "n");
    if (scored >= 0 && !cJSON_HasObjectItem(result, "auc")) {
        cli_table_cell(&table, "images");
        cli_table_take(
            &table, cli_format("%lld scored; without labels there is no AUC", (long long)scored));
    }
    char *seconds = cli_duration(cli_number(result, "train_seconds"));
    const cJSON *members = cJSON_GetObjectItemCaseSensitive(result, "members"), *member;
    cli_table_cell(&table, "training");
    const long long epochs = (long long)cli_integer(result, "epochs");
    if (members)
        cli_table_take(&table, cli_format("%d members, %lld epochs in %s",
                                          cJSON_GetArraySize(members), epochs, seconds));
    else if (epochs)
        cli_table_take(&table, cli_format("%lld epochs in %s, last loss %.6g", epochs, seconds,
                                          cli_number(result, "loss")));
    else
        cli_table_take(&table, cli_format("no epochs, %s", seconds));
    free(seconds);
    cJSON_ArrayForEach(member, members) {
        cli_table_cell(&table, member->string);
        cli_table_take(&table, cli_format("weight %.2f, AUC %.3f on synthetic anomalies",
                                          cli_number(member, "weight"),
                                          cli_number(member, "synthetic_auc")));
    }
    cli_table_cell(&table, "without labels");
    cli_table_take(&table, cli_format("AUC %.3f on synthetic anomalies made of normal images",
                                      cli_number(result, "synthetic_auc")));
    cli_table_cell(&table, "device");
    cli_table_cell(&table, cli_text(result, "device"));
    cli_table_cell(&table, "files");
    cli_table_cell(&table, cli_text(result, "out"));
    cli_table_end(&table, 0);
}

/* With --quiet, warnings were not printed as events; a result that means little must still say so.
 */
static void print_job_quiet(const cJSON *result) {
    print_job(result);
    cli_print_warnings(result);
}

/* Another rank says why the job failed. MPI's launchers end all ranks as soon as one has ended with
 * a failure, so that this one must not be the first; it is ended once the other one has. */
static void let_first_rank_speak(void) {
    enum { SECONDS = 2 };
    nanosleep(&(struct timespec){.tv_sec = SECONDS}, NULL);
}

static int do_job(const cli_options *options, const unseen_config *config, bool train_only) {
    char *folder = NULL;
    if (!options->out) {
        unseen_status status = default_folder(config, &folder);
        if (status != UNSEEN_OK) return status;
    }
    unseen_run_options run = {.device = options->device,
                              .out = options->out ? options->out : folder,
                              .csv_header = options->csv_header,
                              .resume = options->resume,
                              .train_only = train_only,
                              .profile = cli_output_path(options->profile),
                              .overwrite = options->overwrite,
                              .parallel = true,
                              .shares = options->shares};
    const bool taken = cli_is_stdout(options->profile);
    if (cli_check_stdout(taken, options->json) != UNSEEN_OK) {
        free(folder);
        return UNSEEN_BAD_INPUT;
    }
    cli_progress progress;
    cli_progress_begin(&progress, options->quiet || cli_is_further_rank());
    unseen_events events = cli_progress_events(&progress);
    char *json = NULL;
    unseen_error error = {0};
    unseen_status status = unseen_run(config, &run, &events, &json, &error);
    cli_progress_end(&progress);
    free(folder);
    if (status != UNSEEN_OK && !*error.message) let_first_rank_speak();
    if (status != UNSEEN_OK) return cli_say_error(&error);
    if (!json) return status; /* rank 0 has it */
    return cli_result_print(status, json, options->json,
                            taken            ? NULL
                            : options->quiet ? print_job_quiet
                                             : print_job);
}

/* NULL, which has been said, where there is none. */
static char *usual_config(void) {
    char *path = cli_config_path("default");
    if (strchr(path, '/')) return path;
    cli_say(
        "no CONFIG was named, and default.json, which is used then, is not where this program's "
        "configs should be: name a CONFIG");
    free(path);
    return NULL;
}

int cli_job(const cli_usage *usage, int argc, char **argv, bool train_only) {
    cli_options options;
    cli_options_parse(usage, argc, argv, &options);
    char *path = NULL;
    int status = UNSEEN_BAD_INPUT;
    if (options.argument_count)
        path = cli_format("%s", options.arguments[0]);
    else if (!options.resume)
        path = usual_config();
    else if (options.out)
        path = cli_format("%s/config.json", options.out);
    else
        cli_say("--resume needs the run's folder, --out DIR, or a CONFIG");
    unseen_config *config = NULL;
    if (path) status = cli_options_config(&options, path, &config);
    if (config) status = do_job(&options, config, train_only);
    unseen_config_free(config);
    free(path);
    cli_options_free(&options);
    return status;
}
