/* SPDX-License-Identifier: MIT */
#include "jobs/run_folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "data/archive.h"
#include "jobs/members.h"
#include "training/origin.h"
#include "training/trace.h"

/* ---- what a run may write over ---- */

/* A folder with a model or a checkpoint is somebody's work. */
static unseen_status check_earlier(const unseen_config *config, const unseen_run_options *options,
                                   unseen_error *error) {
    bool checkpoint, model;
    if (options->resume || options->overwrite) return UNSEEN_OK;
    US_TRY(us_folder_holds(options->out, US_RUN_CHECKPOINT, &checkpoint, error));
    US_TRY(us_folder_holds(options->out, US_RUN_MODEL, &model, error));
    if (!checkpoint && !model) return us_members_check_earlier(config, options->out, error);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s already holds a run: continue it with --resume, give another folder with "
                   "--out, or remove that run and begin anew with --overwrite",
                   options->out);
}

/* To go on, a run reads the config that it has written; to begin, it would write over it. */
static unseen_status check_config_apart(const unseen_config *config,
                                        const unseen_run_options *options, unseen_error *error) {
    char *path;
    US_TRY(us_folder_path(options->out, US_RUN_CONFIG, &path, error));
    bool same = us_same_file(path, config->path);
    free(path);
    if (!same || options->resume) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s would be replaced by the run's own: give another folder with --out, or, "
                   "where it is that of a run begun there, continue it with --resume",
                   config->path);
}

/* No input is a file that the run writes, and neither is the trace. */
static unseen_status check_apart(const unseen_config *config, const unseen_run_options *options,
                                 unseen_error *error) {
    const char *out = options->out;
    const us_output trace = {
        .path = options->profile, .option = "--profile", .recognize = us_trace_recognize};
    US_TRY(check_config_apart(config, options, error));
    for (int i = 0; i < US_DATA_FILES; i++) {
        const us_data_file file = us_data_file_of(&config->data, i);
        char *plain = file.path ? us_archive_file(file.path) : NULL;
        unseen_status status = us_folder_spares(out, US_FOLDER_RUN, file.what, plain, error);
        if (status == UNSEEN_OK) status = us_output_spares(&trace, file.what, plain, error);
        free(plain);
        US_TRY(status);
    }
    US_TRY(us_folder_spares(out, US_FOLDER_RUN, "the trace of --profile", trace.path, error));
    US_TRY(us_output_spares(&trace, "the config", config->path, error));
    US_TRY(us_output_check(&trace, error));
    return options->overwrite ? UNSEEN_OK : us_output_replaces(&trace, error);
}

/* A path of data that holds from anywhere. JSON has to be UTF-8: where the file behind a link has
 * another name, the link's own serves. Heap; NULL: there is no such path. */
static char *lasting_file(const char *path) {
    char *real = realpath(path, NULL), *here = NULL;
    if (!real || us_utf8_valid(real)) return real;
    free(real);
    char *folder = *path == '/' ? strdup("") : getcwd(NULL, 0);
    if (folder && asprintf(&here, *path == '/' ? "%s%s" : "%s/%s", folder, path) < 0) here = NULL;
    free(folder);
    if (here && us_utf8_valid(here)) return here;
    free(here);
    return NULL;
}

/* The same of a file in an archive. */
static char *lasting_path(const char *path) {
    char *archive = us_archive_file(path), *whole = NULL;
    char *lasting = archive ? lasting_file(archive) : NULL;
    if (lasting && asprintf(&whole, "%s%s", lasting, path + strlen(archive)) < 0) whole = NULL;
    free(lasting);
    free(archive);
    return whole;
}

/* The folder's name and those of the data are written into JSON. */
static unseen_status check_names(const unseen_config *config, const char *out,
                                 unseen_error *error) {
    US_TRY(us_json_check_name(out, error));
    for (int i = 0; i < US_DATA_FILES; i++) {
        const char *path = us_data_file_of(&config->data, i).path;
        char *real = path ? realpath(path, NULL) : NULL;
        char *lasting = real ? lasting_path(path) : NULL;
        unseen_status status = real && !lasting ? us_json_check_name(real, error) : UNSEEN_OK;
        free(lasting);
        free(real);
        US_TRY(status);
    }
    return UNSEEN_OK;
}

unseen_status us_run_folder_claim(const unseen_config *config, const unseen_run_options *options,
                                  us_claim *claim, unseen_error *error) {
    US_TRY(check_names(config, options->out, error));
    US_TRY(us_folder_claim(options->out, US_FOLDER_RUN, options->overwrite, claim, error));
    US_TRY(check_earlier(config, options, error));
    return check_apart(config, options, error);
}

/* ---- the config that is written there ---- */

/* "auto" as it turned out on the training images, so that later images are read alike. */
static bool settle_range(const us_dataset *training, cJSON *config) {
    cJSON *input = cJSON_GetObjectItemCaseSensitive(config, "input");
    const char *range = us_range_names[training->scale.range];
    return cJSON_ReplaceItemInObjectCaseSensitive(input, "range", cJSON_CreateString(range));
}

/* The config as it is run: defaults written out, and data by paths that hold from anywhere. */
unseen_status us_run_config_resolve(const unseen_config *config, const us_dataset *training,
                                    char **resolved, char **origin, unseen_error *error) {
    cJSON *copy = cJSON_Duplicate(config->root.value, true);
    cJSON *data = cJSON_GetObjectItemCaseSensitive(copy, "data");
    const us_origin_source source = {.data = &config->data,
                                     .images = us_images_file(&training->images),
                                     .by_class = training->by_class};
    unseen_status status =
        copy && settle_range(training, copy) ? UNSEEN_OK : us_fail_memory(error, "a config");
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "$schema");
    for (int i = 0; status == UNSEEN_OK && i < US_DATA_FILES; i++) {
        const us_data_file file = us_data_file_of(&config->data, i);
        char *absolute = file.path ? lasting_path(file.path) : NULL;
        if (absolute &&
            !cJSON_ReplaceItemInObjectCaseSensitive(data, file.key, cJSON_CreateString(absolute)))
            status = us_fail_memory(error, "a config");
        free(absolute);
    }
    if (status == UNSEEN_OK && !(*resolved = us_json_print(copy)))
        status = us_fail_memory(error, "a config");
    if (status == UNSEEN_OK) status = us_origin_read(copy, &source, origin, error);
    cJSON_Delete(copy);
    return status;
}
