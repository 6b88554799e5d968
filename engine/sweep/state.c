/* SPDX-License-Identifier: MIT */
#include "sweep/state.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/thread.h"
#include "data/archive.h"
#include "sweep/estimate.h"
#include "sweep/identity.h"

/* ---- checking ---- */

/* "run 3 (/training/batch=64, ..)" */
static void describe(const us_sweep *sweep, const us_entry *entry, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "run %zu (", (size_t)(entry - sweep->entries) + 1);
    for (size_t i = 0; i < entry->overrides->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 entry->overrides->items[i]);
    if (!entry->overrides->count && used < size)
        used += (size_t)snprintf(text + used, size - used, "the base config");
    snprintf(used + 1 < size ? text + used : text + size - 5, 5, used + 1 < size ? ")" : "..)");
}

enum { DESCRIPTION = 300 };

unseen_status us_sweep_config(const us_sweep *sweep, const us_entry *entry, unseen_config **config,
                              unseen_error *error) {
    const us_overrides *set = &sweep->plan.set, *own = entry->overrides;
    const unseen_sweep_options *options = sweep->options;
    size_t count = 0;
    const char **all = calloc(set->count + options->override_count + own->count + 1, sizeof *all);
    if (!all) return us_fail_memory(error, "a config");
    for (size_t i = 0; i < set->count; i++)
        all[count++] = set->items[i];
    for (size_t i = 0; i < options->override_count; i++)
        all[count++] = options->overrides[i];
    for (size_t i = 0; i < own->count; i++)
        all[count++] = own->items[i];
    unseen_status status =
        us_config_read(sweep->plan.base, sweep->base.value, all, count, config, error);
    free(all);
    return status;
}

static unseen_status check_files(const unseen_config *config, unseen_error *error) {
    if (!config->data.train)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: /data/train: no images to train on: give --train FILE, or set it in "
                       "the base config or the plan's \"set\"",
                       config->path);
    for (int i = 0; i < US_DATA_FILES; i++) {
        const us_data_file file = us_data_file_of(&config->data, i);
        char *plain = file.path ? us_archive_file(file.path) : NULL;
        const bool there = !file.path || (plain && access(plain, R_OK) == 0);
        free(plain);
        if (!there)
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: /data/%s: %s: %s", config->path, file.key,
                           file.path, strerror(errno));
    }
    return UNSEEN_OK;
}

/* Neither the plan nor what its runs read is a file that the sweep writes. */
static unseen_status check_apart(const us_sweep *sweep, const us_data_settings *data,
                                 unseen_error *error) {
    const struct {
        const char *what, *path;
    } inputs[] = {{"the plan", sweep->plan.path},
                  {"the base config", sweep->plan.base},
                  {"the training images", data->train},
                  {"the labels of the training images", data->train_labels},
                  {"the images to score", data->test},
                  {"the labels of the images to score", data->labels}};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        US_TRY(us_folder_spares(sweep->options->out, US_FOLDER_SWEEP, inputs[i].what,
                                inputs[i].path, error));
    return UNSEEN_OK;
}

static us_digest_text digest_data(const unseen_config *config) {
    static const char *const members[] = {"data", "input"};
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return (us_digest_text){""};
    for (size_t i = 0; i < 2; i++) {
        char *text =
            us_json_print_line(cJSON_GetObjectItemCaseSensitive(config->root.value, members[i]));
        if (text) us_digest_add(stream, text, strlen(text));
        unseen_string_free(text);
    }
    return us_digest_end(stream);
}

/* Members are as one training, of the epochs of the longest. */
static void count_work(const unseen_config *config, us_entry *entry) {
    const int members = config->member_count;
    double flops = 0;
    entry->epochs = members ? 1 : config->training.epochs;
    for (int m = 0; m < members; m++) {
        const unseen_config *member = config->members[m];
        if (member->training.epochs > entry->epochs) entry->epochs = member->training.epochs;
        flops += us_detector_training_flops(&member->detector) * member->training.epochs;
    }
    entry->flops = members ? flops / entry->epochs : us_detector_training_flops(&config->detector);
}

/* before: a run whose files are known to be right, or NULL. */
static unseen_status check_entry(const us_sweep *sweep, us_entry *entry, const us_entry *before,
                                 us_real_paths *paths, unseen_error *error) {
    unseen_config *config;
    unseen_status status = UNSEEN_OK;
    US_TRY(us_sweep_config(sweep, entry, &config, error));
    entry->data = digest_data(config);
    const bool known =
        before && entry->data.text[0] && strcmp(entry->data.text, before->data.text) == 0;
    if (!known) {
        status = check_files(config, error);
        if (status == UNSEEN_OK && !sweep->options->list_only)
            status = check_apart(sweep, &config->data, error);
    }
    if (status == UNSEEN_OK && !(entry->identity = us_identity(config, paths)))
        status = us_fail_memory(error, "a config");
    entry->parameters = (double)us_config_parameters(config);
    entry->detector = config->detector.type;
    entry->synthetic_epochs = config->training.synthetic_epochs;
    count_work(config, entry);
    entry->held_out = config->training.held_out;
    unseen_config_free(config);
    return status;
}

/* A flag on what the plan varies would be without effect. */
static unseen_status check_caller(const us_sweep *sweep, const us_entry *entry,
                                  unseen_error *error) {
    for (size_t i = 0; i < sweep->options->override_count; i++)
        for (size_t j = 0; j < entry->overrides->count; j++)
            if (us_override_same_place(sweep->options->overrides[i], entry->overrides->items[j]))
                return us_fail(error, UNSEEN_BAD_INPUT,
                               "%s: %s is given for all runs, but the plan sets it by run (%s): "
                               "leave one of them out",
                               sweep->plan.path, sweep->options->overrides[i],
                               entry->overrides->items[j]);
    return UNSEEN_OK;
}

static unseen_status check_distinct(const us_sweep *sweep, unseen_error *error) {
    us_entry **sorted = us_identity_sort(sweep);
    if (!sorted) return us_fail_memory(error, "a plan");
    unseen_status status = UNSEEN_OK;
    for (size_t i = 1; i < sweep->count && status == UNSEEN_OK; i++) {
        if (strcmp(sorted[i - 1]->identity, sorted[i]->identity) != 0) continue;
        char one[DESCRIPTION], other[DESCRIPTION];
        describe(sweep, sorted[i - 1], one, sizeof one);
        describe(sweep, sorted[i], other, sizeof other);
        status = us_fail(error, UNSEEN_BAD_INPUT,
                         "%s: %s and %s are the same config: leave one of them out",
                         sweep->plan.path, one, other);
    }
    free(sorted);
    return status;
}

/* The first run that is wrong, of those that several threads look at, as there may be thousands. */
typedef struct check {
    us_sweep *sweep;
    pthread_mutex_t lock;
    size_t wrong;
    unseen_error error;
} check;

static void check_some(void *user, size_t first, size_t end) {
    check *all = user;
    us_sweep *sweep = all->sweep;
    us_real_paths paths = {0};
    unseen_status status = UNSEEN_OK;
    unseen_error error;
    for (size_t i = first; i < end && status == UNSEEN_OK; i++) {
        us_entry *entry = &sweep->entries[i];
        entry->overrides = &sweep->plan.runs[i];
        status = check_caller(sweep, entry, &error);
        const bool fits = status == UNSEEN_OK;
        if (fits) status = check_entry(sweep, entry, i > first ? entry - 1 : NULL, &paths, &error);
        if (status == UNSEEN_OK) continue;
        char text[DESCRIPTION];
        describe(sweep, entry, text, sizeof text);
        if (fits) us_error_context(&error, "%s: %s", sweep->plan.path, text);
        pthread_mutex_lock(&all->lock);
        if (i < all->wrong) all->error = error;
        if (i < all->wrong) all->wrong = i;
        pthread_mutex_unlock(&all->lock);
    }
    us_real_paths_release(&paths);
}

static unseen_status check_all(us_sweep *sweep, unseen_error *error) {
    check all = {.sweep = sweep, .lock = PTHREAD_MUTEX_INITIALIZER, .wrong = sweep->count};
    us_thread_divide(sweep->count, US_SWEEP_LEAST_SHARE, check_some, &all);
    if (all.wrong == sweep->count) return UNSEEN_OK;
    if (error) *error = all.error;
    return all.error.status;
}

unseen_status us_sweep_open(const char *plan, const unseen_sweep_options *options,
                            const unseen_events *events, us_sweep *sweep, unseen_error *error) {
    *sweep = (us_sweep){.options = options, .events = events, .claim.lock = -1};
    US_TRY(us_sweep_plan_load(plan, &sweep->plan, error));
    US_TRY(us_json_load(sweep->plan.base, &sweep->base, error));
    sweep->entries = calloc(sweep->plan.run_count, sizeof *sweep->entries);
    if (!sweep->entries) return us_fail_memory(error, "a plan");
    sweep->count = sweep->plan.run_count;
    US_TRY(check_all(sweep, error));
    return check_distinct(sweep, error);
}

void us_sweep_close(us_sweep *sweep) {
    for (size_t i = 0; i < sweep->count; i++) {
        us_entry *entry = &sweep->entries[i];
        free(entry->identity);
        free(entry->folder);
        free(entry->message);
        cJSON_Delete(entry->metrics);
    }
    free(sweep->entries);
    unseen_string_free(sweep->document);
    cJSON_Delete(sweep->base.value);
    cJSON_Delete(sweep->final);
    us_estimate_release(sweep->estimate);
    us_sweep_plan_release(&sweep->plan);
    us_folder_release(&sweep->claim);
    *sweep = (us_sweep){.claim.lock = -1};
}

/* ---- facts ---- */

bool us_entry_take_metrics(us_entry *entry, cJSON *results) {
    static const char *const names[] = {"held_out_loss", "loss",           "auc",
                                        "auc_ci95",      "synthetic_auc",  "epochs",
                                        "train_seconds", "training_images"};
    bool complete = results != NULL;
    cJSON_Delete(entry->metrics);
    entry->metrics = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cJSON *item = cJSON_DetachItemFromObjectCaseSensitive(results, names[i]);
        if (!item || (entry->metrics && cJSON_AddItemToObject(entry->metrics, names[i], item)))
            continue;
        cJSON_Delete(item);
        complete = false;
    }
    cJSON_Delete(results);
    return complete && entry->metrics;
}

double us_entry_metric(const us_entry *entry, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(entry->metrics, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

const char *us_sweep_criterion(const us_sweep *sweep) {
    const char *by = sweep->options->by ? sweep->options->by : us_criteria[sweep->plan.rank_by];
    return strcmp(by, us_criteria[0]) == 0 ? NULL : by;
}
