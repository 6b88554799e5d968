/* SPDX-License-Identifier: MIT */
#include "training/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/folder.h"
#include "evaluation/locale.h"
#include "training/origin.h"
#include "tuning/tuning.h"

static const char *const moment_names[] = {"moment1", "moment2"};

/* ---- the JSON in the metadata ---- */

/* Doubles are stored as text with every digit, as JSON has no infinity and no NaN. */
static bool add_double(cJSON *object, const char *name, double value) {
    char text[40];
    us_locale locale = us_locale_enter();
    snprintf(text, sizeof text, "%.17g", value);
    us_locale_leave(locale);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool get_double(const cJSON *object, const char *name, double *value) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    if (!text) return false;
    us_locale locale = us_locale_enter();
    *value = strtod(text, NULL);
    us_locale_leave(locale);
    return true;
}

static bool to_integer(const cJSON *item, int64_t limit, int64_t *value) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > (double)limit)
        return false;
    *value = (int64_t)item->valuedouble;
    return true;
}

static bool get_integer(const cJSON *object, const char *name, int64_t limit, int64_t *value) {
    return to_integer(cJSON_GetObjectItemCaseSensitive(object, name), limit, value);
}

static bool add_updates(cJSON *object, const us_checkpoint *c) {
    cJSON *updates = cJSON_AddArrayToObject(object, "updates");
    for (int i = 0; updates && i < c->detector->spec->network_count; i++)
        if (!cJSON_AddItemToArray(updates, cJSON_CreateNumber((double)c->progress->updates[i])))
            return false;
    return updates != NULL;
}

static bool get_updates(const cJSON *object, const us_checkpoint *c) {
    const cJSON *updates = cJSON_GetObjectItemCaseSensitive(object, "updates"), *item;
    if (cJSON_GetArraySize(updates) != c->detector->spec->network_count) return false;
    int64_t *update = c->progress->updates;
    cJSON_ArrayForEach(item, updates) {
        if (!to_integer(item, INT64_C(1) << 53, update++)) return false;
    }
    return true;
}

/* Three numbers for each signal. */
static bool add_symptoms(cJSON *object, const us_checkpoint *c) {
    const us_symptom_run *runs = c->progress->collapse.runs;
    double numbers[3 * US_MAX_SIGNALS];
    for (int i = 0; i < c->signals->count; i++) {
        numbers[3 * i] = runs[i].symptom;
        numbers[3 * i + 1] = (double)runs[i].first;
        numbers[3 * i + 2] = (double)runs[i].length;
    }
    return cJSON_AddItemToObject(object, "symptoms",
                                 cJSON_CreateDoubleArray(numbers, 3 * c->signals->count));
}

static bool get_symptoms(const cJSON *object, const us_checkpoint *c) {
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, "symptoms"), *item;
    int64_t numbers[3 * US_MAX_SIGNALS];
    int count = 0;
    if (cJSON_GetArraySize(array) != 3 * c->signals->count) return false;
    cJSON_ArrayForEach(item, array) {
        int64_t limit = count % 3 ? INT64_C(1) << 53 : US_SYMPTOM_CONSTANT;
        if (!to_integer(item, limit, &numbers[count++])) return false;
    }
    for (int i = 0; i < c->signals->count; i++)
        c->progress->collapse.runs[i] =
            (us_symptom_run){(int)numbers[3 * i], numbers[3 * i + 1], numbers[3 * i + 2]};
    return true;
}

static bool add_shares(cJSON *object, const us_checkpoint *c) {
    const us_group *group = c->detector->group;
    cJSON *shares = group ? cJSON_AddArrayToObject(object, "shares") : NULL;
    for (int p = 0; shares && p < us_group_processes(group); p++)
        if (!cJSON_AddItemToArray(shares, cJSON_CreateNumber(us_group_process_count(group, p))))
            return false;
    return !group || shares;
}

unseen_status us_checkpoint_shares(const char *path, int ranks, int *counts, bool *found,
                                   unseen_error *error) {
    us_safetensors file;
    *found = false;
    US_TRY(us_safetensors_open(path, &file, error));
    cJSON *object, *item;
    unseen_status status = us_safetensors_metadata_json(&file, "progress", &object, error);
    const cJSON *shares = cJSON_GetObjectItemCaseSensitive(object, "shares");
    if (cJSON_GetArraySize(shares) == ranks) {
        *found = true;
        cJSON_ArrayForEach(item, shares) {
            int64_t count = 0;
            *found = *found && to_integer(item, INT32_MAX, &count) && count > 0;
            *counts++ = (int)count;
        }
    }
    cJSON_Delete(object);
    us_safetensors_close(&file);
    return status;
}

static char *print_progress(const us_checkpoint *c) {
    const us_progress *progress = c->progress;
    cJSON *object = cJSON_CreateObject();
    bool complete = cJSON_AddNumberToObject(object, "epoch", progress->epoch) &&
                    cJSON_AddNumberToObject(object, "step", (double)progress->step) &&
                    cJSON_AddNumberToObject(object, "images", (double)c->images) &&
                    cJSON_AddNumberToObject(object, "batch", c->batch) &&
                    cJSON_AddNumberToObject(object, "seed", (double)c->config->training.seed) &&
                    cJSON_AddNumberToObject(object, "restarts", progress->restarts) &&
                    cJSON_AddNumberToObject(object, "records", progress->records) &&
                    add_symptoms(object, c) &&
                    cJSON_AddNumberToObject(object, "stale", progress->stopping.stale) &&
                    add_shares(object, c) && add_updates(object, c) &&
                    add_double(object, "best", progress->stopping.best) &&
                    add_double(object, "seconds", progress->seconds) &&
                    add_double(object, "loss", progress->loss) &&
                    add_double(object, "held_out_loss", progress->held_out_loss) &&
                    add_double(object, "first_loss", progress->first_loss);
    char *text = complete ? us_json_print_line(object) : NULL;
    cJSON_Delete(object);
    return text;
}

static unseen_status read_progress(const us_checkpoint *c, const us_safetensors *file,
                                   unseen_error *error) {
    us_progress *progress = c->progress;
    cJSON *object;
    US_TRY(us_safetensors_metadata_json(file, "progress", &object, error));
    int64_t epoch = 0, step = 0, images = 0, batch = 0, seed = 0, stale = 0, restarts = 0,
            records = 0;
    bool complete = get_integer(object, "epoch", INT32_MAX, &epoch) &&
                    get_integer(object, "step", INT64_C(1) << 53, &step) &&
                    get_integer(object, "images", INT64_C(1) << 53, &images) &&
                    get_integer(object, "batch", INT32_MAX, &batch) &&
                    get_integer(object, "seed", INT64_C(1) << 53, &seed) &&
                    get_integer(object, "restarts", INT32_MAX, &restarts) &&
                    get_integer(object, "records", INT32_MAX, &records) &&
                    get_symptoms(object, c) && get_integer(object, "stale", INT32_MAX, &stale) &&
                    get_updates(object, c) &&
                    get_double(object, "best", &progress->stopping.best) &&
                    get_double(object, "seconds", &progress->seconds) &&
                    get_double(object, "loss", &progress->loss) &&
                    get_double(object, "held_out_loss", &progress->held_out_loss);
    progress->first_loss = NAN; /* a checkpoint of an earlier version does not know it */
    get_double(object, "first_loss", &progress->first_loss);
    cJSON_Delete(object);
    if (!complete)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: not a checkpoint, or a damaged one",
                       file->path);
    if (batch > images) batch = images; /* as an earlier version had it */
    if (images != c->images || batch != c->batch)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: the checkpoint was made with %" PRId64
                       " training images in batches of %" PRId64 ", and now there are %" PRId64
                       " in batches of %d; a run continues on its own images and batch",
                       file->path, images, batch, c->images, c->batch);
    /* Another seed would hold out images that have been trained on. */
    if (seed != c->config->training.seed)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: the checkpoint was made with the seed %" PRId64
                       ", and now it is %" PRId64 "; a run continues with its own seed",
                       file->path, seed, c->config->training.seed);
    if (step > c->signals->steps_per_epoch)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: a damaged checkpoint: step %" PRId64 " of %" PRId64, file->path, step,
                       c->signals->steps_per_epoch);
    progress->epoch = (int)epoch;
    progress->step = step;
    progress->stopping.stale = (int)stale;
    progress->restarts = (int)restarts;
    progress->records = (int)records;
    progress->collapse.next = epoch * c->signals->steps_per_epoch + step;
    return UNSEEN_OK;
}

/* ---- moments ---- */

static unseen_status save_moments(const us_checkpoint *c, us_safetensors_builder *builder,
                                  unseen_error *error) {
    for (int i = 0; i < c->detector->spec->network_count; i++) {
        const us_network *network = c->detector->networks[i];
        US_TRY(us_network_save_like(network, c->moment1[i], moment_names[0], builder, error));
        US_TRY(us_network_save_like(network, c->moment2[i], moment_names[1], builder, error));
    }
    return UNSEEN_OK;
}

static unseen_status load_moments(const us_checkpoint *c, const us_safetensors *file,
                                  unseen_error *error) {
    for (int i = 0; i < c->detector->spec->network_count; i++) {
        const us_network *network = c->detector->networks[i];
        US_TRY(us_network_load_like(network, c->moment1[i], moment_names[0], file, error));
        US_TRY(us_network_load_like(network, c->moment2[i], moment_names[1], file, error));
    }
    return UNSEEN_OK;
}

/* ---- signals of the epoch under way, whose means will be needed ---- */

static unseen_status save_signals(const us_checkpoint *c, us_safetensors_builder *builder,
                                  unseen_error *error) {
    const int dims[2] = {(int)c->progress->step, c->signals->count};
    return us_safetensors_add_floats(builder, "signals", 2, dims, c->signals->values, error);
}

static unseen_status load_signals(const us_checkpoint *c, const us_safetensors *file,
                                  unseen_error *error) {
    const us_safetensors_tensor *signals = us_safetensors_find(file, "signals");
    size_t bytes = (size_t)c->progress->step * (size_t)c->signals->count * sizeof(float);
    if (!signals || signals->bytes != bytes)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: the losses of the epoch are missing",
                       file->path);
    if (bytes) memcpy(c->signals->values, signals->data, bytes);
    return UNSEEN_OK;
}

/* ---- what kernels were built with: other parameters would round otherwise ---- */

static unseen_status save_tuning(const us_checkpoint *c, us_safetensors_builder *builder,
                                 unseen_error *error) {
    char *record;
    US_TRY(us_tuning_record(c->detector->device->tuning, &record, error));
    if (!record) return UNSEEN_OK;
    unseen_status status = us_safetensors_add_metadata(builder, "tuning", record, error);
    unseen_string_free(record);
    return status;
}

unseen_status us_checkpoint_tuning(const char *path, us_device *device, const unseen_events *events,
                                   unseen_error *error) {
    us_safetensors file;
    bool elsewhere = false;
    unseen_status status = us_safetensors_open(path, &file, error);
    if (status == UNSEEN_OK) {
        status = us_tuning_restore(&device->facts, us_safetensors_metadata(&file, "tuning"),
                                   &device->tuning, &elsewhere, error);
        if (status != UNSEEN_OK) us_error_context(error, "%s", path);
        if (us_safetensors_check(&file, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
        us_safetensors_close(&file);
    }
    if (status == UNSEEN_OK && elsewhere)
        us_event_message(events, UNSEEN_EVENT_WARNING,
                         "%s was made on another device or with another driver than %s: the run "
                         "goes on, but rounds otherwise from here on",
                         path, device->facts.name);
    return status;
}

/* ---- what the run began with ---- */

static unseen_status check_origin(const us_checkpoint *c, const us_safetensors *file,
                                  unseen_error *error) {
    const char *before = us_safetensors_metadata(file, "origin");
    if (before) return us_origin_compare(before, c->origin, &c->config->data, file->path, error);
    us_event_message(c->events, UNSEEN_EVENT_WARNING,
                     "%s: of an older version, so it does not say which images and config it was "
                     "made with: see that they are still the same",
                     file->path);
    return UNSEEN_OK;
}

/* ---- the file ---- */

static unseen_status build(const us_checkpoint *c, us_safetensors_builder *builder,
                           unseen_error *error) {
    US_TRY(us_safetensors_begin(builder, error));
    char *progress = print_progress(c);
    if (!progress) return us_fail_memory(error, "a checkpoint");
    unseen_status status = us_safetensors_add_metadata(builder, "progress", progress, error);
    unseen_string_free(progress);
    US_TRY(status);
    US_TRY(us_safetensors_add_metadata(builder, "origin", c->origin, error));
    US_TRY(save_tuning(c, builder, error));
    US_TRY(us_detector_save(c->detector, builder, error));
    US_TRY(save_moments(c, builder, error));
    return save_signals(c, builder, error);
}

unseen_status us_checkpoint_save(const us_checkpoint *c, unseen_error *error) {
    char *path = us_path_join(c->folder, US_RUN_CHECKPOINT);
    char *folder = us_path_join(c->folder, US_RUN_CHECKPOINTS);
    us_safetensors_builder builder = {0};
    unseen_status status = path && folder ? UNSEEN_OK : us_fail_memory(error, "a path");
    if (status == UNSEEN_OK) status = us_folder_create(folder, error);
    if (status == UNSEEN_OK) status = build(c, &builder, error);
    if (status == UNSEEN_OK) status = us_safetensors_write(&builder, path, error);
    us_safetensors_end(&builder);
    free(path);
    free(folder);
    return status;
}

unseen_status us_checkpoint_load(const us_checkpoint *c, const char *path, unseen_error *error) {
    us_safetensors file;
    US_TRY(us_safetensors_open(path, &file, error));
    unseen_status status = read_progress(c, &file, error);
    if (status == UNSEEN_OK) status = check_origin(c, &file, error);
    if (status == UNSEEN_OK) status = us_detector_load(c->detector, &file, error);
    if (status == UNSEEN_OK) status = load_moments(c, &file, error);
    if (status == UNSEEN_OK) status = load_signals(c, &file, error);
    if (us_safetensors_check(&file, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
    us_safetensors_close(&file);
    return status;
}
