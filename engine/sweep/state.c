/* SPDX-License-Identifier: MIT */
#include "sweep/state.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/thread.h"
#include "data/archive.h"
#include "sweep/estimate.h"

/* ---- identities ---- */

static int by_name(const void *a, const void *b) {
    return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* Writes a value so that equal values give equal text whatever the order of their keys. */
static bool put(FILE *out, const cJSON *value);

static bool put_object(FILE *out, const cJSON *object) {
    size_t count = (size_t)cJSON_GetArraySize(object), i = 0;
    const cJSON **members = calloc(count + 1, sizeof *members), *child;
    if (!members) return false;
    cJSON_ArrayForEach(child, object) {
        members[i++] = child;
    }
    qsort(members, count, sizeof *members, by_name);
    fputc('{', out);
    bool done = true;
    for (i = 0; done && i < count; i++) {
        fprintf(out, "%zu:%s ", strlen(members[i]->string), members[i]->string);
        done = put(out, members[i]);
    }
    fputc('}', out);
    free(members);
    return done;
}

static bool put(FILE *out, const cJSON *value) {
    if (cJSON_IsObject(value)) return put_object(out, value);
    if (cJSON_IsArray(value)) {
        bool done = true;
        const cJSON *child;
        fputc('[', out);
        cJSON_ArrayForEach(child, value) {
            done = done && put(out, child);
        }
        fputc(']', out);
        return done;
    }
    if (cJSON_IsString(value))
        fprintf(out, "%zu\"%s,", strlen(value->valuestring), value->valuestring);
    else if (cJSON_IsNumber(value))
        fprintf(out, "%.17g,", value->valuedouble);
    else
        fputs(cJSON_IsTrue(value) ? "true," : cJSON_IsFalse(value) ? "false," : "null,", out);
    return true;
}

/* Removes what two configs of the same run may differ in: words for people, and how a path is
 * written. */
static bool normalize(cJSON *config, const us_data_settings *files, const char *range) {
    cJSON_DeleteItemFromObjectCaseSensitive(config, "$schema");
    cJSON_DeleteItemFromObjectCaseSensitive(config, "description");
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    bool done = true;
    for (int i = 0; i < US_DATA_FILES; i++) {
        const us_data_file file = us_data_file_of(files, i);
        char *whole = file.path ? realpath(file.path, NULL) : NULL;
        if (whole)
            done = done && cJSON_ReplaceItemInObjectCaseSensitive(data, file.key,
                                                                  cJSON_CreateString(whole));
        free(whole);
    }
    cJSON *input = cJSON_GetObjectItemCaseSensitive(config, "input");
    if (range)
        done = done &&
               cJSON_ReplaceItemInObjectCaseSensitive(input, "range", cJSON_CreateString(range));
    return done;
}

/* range: stands in for the config's own; NULL: does not. Heap; NULL: no memory. */
static char *identify(const unseen_config *config, const char *range) {
    cJSON *copy = cJSON_Duplicate(config->root.value, true);
    char *text = NULL;
    size_t size = 0;
    FILE *out = copy && normalize(copy, &config->data, range) ? open_memstream(&text, &size) : NULL;
    bool done = out && put(out, copy);
    done = out && !ferror(out) && fclose(out) == 0 && done;
    cJSON_Delete(copy);
    if (done) return text;
    free(text);
    return NULL;
}

static int by_identity(const void *a, const void *b) {
    return strcmp((*(us_entry *const *)a)->identity, (*(us_entry *const *)b)->identity);
}

/* The entries in the order of their identities; NULL: no memory. */
static us_entry **sort_entries(const us_sweep *sweep) {
    us_entry **sorted = calloc(sweep->count, sizeof(us_entry *));
    for (size_t i = 0; sorted && i < sweep->count; i++)
        sorted[i] = &sweep->entries[i];
    if (sorted) qsort(sorted, sweep->count, sizeof *sorted, by_identity);
    return sorted;
}

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

static unseen_status check_entry(const us_sweep *sweep, us_entry *entry, unseen_error *error) {
    unseen_config *config;
    US_TRY(us_sweep_config(sweep, entry, &config, error));
    unseen_status status = check_files(config, error);
    if (status == UNSEEN_OK && !sweep->options->list_only)
        status = check_apart(sweep, &config->data, error);
    if (status == UNSEEN_OK && !(entry->identity = identify(config, NULL)))
        status = us_fail_memory(error, "a config");
    entry->parameters = (double)us_config_parameters(config);
    entry->detector = config->detector.type;
    entry->synthetic_epochs = config->training.synthetic_epochs;
    count_work(config, entry);
    entry->held_out = config->training.held_out;
    entry->data = digest_data(config);
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
    us_entry **sorted = sort_entries(sweep);
    if (!sorted) return us_fail_memory(error, "a plan");
    unseen_status status = UNSEEN_OK;
    for (size_t i = 1; i < sweep->count && status == UNSEEN_OK; i++) {
        if (by_identity(&sorted[i - 1], &sorted[i]) != 0) continue;
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

/* Runs that one thread checks, as there may be thousands. */
typedef struct check_share {
    us_sweep *sweep;
    size_t first, end;
    unseen_status status; /* of the first that is wrong */
    unseen_error error;
} check_share;

static void *check_entries(void *user) {
    check_share *share = user;
    us_sweep *sweep = share->sweep;
    for (size_t i = share->first; i < share->end && share->status == UNSEEN_OK; i++) {
        us_entry *entry = &sweep->entries[i];
        entry->overrides = &sweep->plan.runs[i];
        share->status = check_caller(sweep, entry, &share->error);
        if (share->status != UNSEEN_OK) break;
        share->status = check_entry(sweep, entry, &share->error);
        if (share->status == UNSEEN_OK) continue;
        char text[DESCRIPTION];
        describe(sweep, entry, text, sizeof text);
        us_error_context(&share->error, "%s: %s", sweep->plan.path, text);
    }
    return NULL;
}

static unseen_status check_all(us_sweep *sweep, unseen_error *error) {
    enum { MOST = 16, LEAST_SHARE = 64 };
    check_share shares[MOST];
    pthread_t threads[MOST];
    size_t count = (size_t)us_processor_count();
    if (count > MOST) count = MOST;
    if (count > sweep->count / LEAST_SHARE + 1) count = sweep->count / LEAST_SHARE + 1;
    size_t started = 1;
    for (size_t i = 0; i < count; i++)
        shares[i] = (check_share){.sweep = sweep,
                                  .first = sweep->count * i / count,
                                  .end = sweep->count * (i + 1) / count};
    while (started < count && us_thread_start(&threads[started], check_entries, &shares[started]))
        started++;
    check_entries(&shares[0]);
    for (size_t i = started; i < count; i++)
        check_entries(&shares[i]);
    for (size_t i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < count; i++) {
        if (shares[i].status == UNSEEN_OK) continue;
        if (error) *error = shares[i].error;
        return shares[i].status;
    }
    return UNSEEN_OK;
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
    cJSON_Delete(sweep->base.value);
    cJSON_Delete(sweep->final);
    us_estimate_release(sweep->estimate);
    us_sweep_plan_release(&sweep->plan);
    us_folder_release(&sweep->claim);
    *sweep = (us_sweep){.claim.lock = -1};
}

/* ---- folders ---- */

/* NNN-anything; a number of more digits than any sweep has is another's folder. */
static int is_run_folder(const struct dirent *entry) {
    size_t digits = strspn(entry->d_name, "0123456789");
    return digits >= 3 && digits <= 9 && entry->d_name[digits] == '-';
}

/* Which run a config makes, of those in the order of their identities; NULL: none. Images whose
 * range was found out when the run began have it written there. One that cannot be read is not this
 * sweep's, or it is damaged. */
static unseen_status find_run(const char *path, us_entry *const *sorted, size_t count,
                              us_entry **found, unseen_error *error) {
    static const char *const ranges[] = {NULL, "auto"};
    unseen_config *config = NULL;
    unseen_status status = UNSEEN_OK;
    *found = NULL;
    if (unseen_config_load(path, NULL, 0, &config, NULL) != UNSEEN_OK) return UNSEEN_OK;
    for (int i = 0; i < 2 && !*found && status == UNSEEN_OK; i++) {
        us_entry key = {.identity = identify(config, ranges[i])}, *wanted = &key;
        if (!key.identity) {
            status = us_fail_memory(error, "a config");
            break;
        }
        us_entry *const *hit = bsearch(&wanted, sorted, count, sizeof *sorted, by_identity);
        if (hit) *found = *hit;
        free(key.identity);
    }
    unseen_config_free(config);
    return status;
}

/* The same of a folder; claimed: it holds a config of any run. */
static unseen_status find_entry(const char *folder, us_entry *const *sorted, size_t count,
                                us_entry **found, bool *claimed, unseen_error *error) {
    char *path = us_path_join(folder, US_RUN_CONFIG);
    if (!path) return us_fail_memory(error, "a path");
    *found = NULL;
    *claimed = us_file_exists(path);
    unseen_status status = *claimed ? find_run(path, sorted, count, found, error) : UNSEEN_OK;
    free(path);
    return status;
}

double us_entry_metric(const us_entry *entry, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(entry->metrics, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* A run that has its results is done; they are written last. */
static void look_for_results(us_entry *entry, const char *path) {
    us_json metrics = {0};
    if (!us_file_exists(path) || us_json_load(path, &metrics, NULL) != UNSEEN_OK) return;
    cJSON_Delete(entry->metrics);
    entry->metrics = metrics.value;
    entry->status = US_ENTRY_DONE;
}

static bool is_later(struct timespec a, struct timespec b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/* {status, message} */
static unseen_status look_for_failure(const us_sweep *sweep, us_entry *entry, const char *path,
                                      unseen_error *error) {
    struct stat about;
    us_json failure = {0};
    if (stat(path, &about) != 0 || !is_later(about.st_mtim, sweep->since) ||
        us_json_load(path, &failure, NULL) != UNSEEN_OK)
        return UNSEEN_OK;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(failure.value, "status");
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(failure.value, "message");
    bool complete = true;
    if (cJSON_IsNumber(status) && cJSON_IsString(message)) {
        free(entry->message);
        entry->message = strdup(message->valuestring);
        entry->failure = (unseen_status)status->valueint;
        entry->status = entry->failure == UNSEEN_DIVERGED ? US_ENTRY_DIVERGED : US_ENTRY_FAILED;
        complete = entry->message != NULL;
    }
    cJSON_Delete(failure.value);
    return complete ? UNSEEN_OK : us_fail_memory(error, "a message");
}

/* A config that another process has put there since the folders were found. */
static unseen_status recognize(us_entry *entry, const char *config, unseen_error *error) {
    us_entry *found;
    if (!entry->started || entry->known) return UNSEEN_OK;
    US_TRY(find_run(config, &entry, 1, &found, error));
    entry->known = found != NULL;
    if (entry->known) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: another plan's run has been put there meanwhile: sweeps of different plans "
                   "that run at one time need folders of their own (--out)",
                   entry->folder);
}

const char *us_sweep_criterion(const us_sweep *sweep) {
    const char *by = sweep->options->by ? sweep->options->by : us_criteria[sweep->plan.rank_by];
    return strcmp(by, us_criteria[0]) == 0 ? NULL : by;
}

unseen_status us_sweep_look_into(const us_sweep *sweep, us_entry *entry, unseen_error *error) {
    char *metrics = us_path_join(entry->folder, US_RUN_METRICS);
    char *failure = us_path_join(entry->folder, US_RUN_FAILURE);
    char *config = us_path_join(entry->folder, US_RUN_CONFIG);
    char *checkpoint = us_path_join(entry->folder, US_RUN_CHECKPOINT);
    char *members = us_path_join(entry->folder, US_RUN_MEMBERS);
    unseen_status status = metrics && failure && config && checkpoint && members
                               ? UNSEEN_OK
                               : us_fail_memory(error, "a path");
    if (status == UNSEEN_OK) {
        entry->started = us_file_exists(config);
        entry->resumed = us_file_exists(checkpoint) || us_file_exists(members);
        entry->status = us_folder_is_held(entry->folder) ? US_ENTRY_RUNNING : US_ENTRY_WAITING;
        status = recognize(entry, config, error);
    }
    if (status == UNSEEN_OK) look_for_results(entry, metrics);
    if (status == UNSEEN_OK && entry->status == US_ENTRY_WAITING)
        status = look_for_failure(sweep, entry, failure, error);
    free(members);
    free(metrics);
    free(failure);
    free(config);
    free(checkpoint);
    return status;
}

unseen_status us_sweep_keep_failure(const us_entry *entry, unseen_error *error) {
    if (!us_file_exists(entry->folder)) return UNSEEN_OK;
    char *path = us_path_join(entry->folder, US_RUN_FAILURE), *text = NULL;
    cJSON *failure = cJSON_CreateObject();
    if (path && cJSON_AddNumberToObject(failure, "status", entry->failure) &&
        us_json_add_string(failure, "message", entry->message))
        text = us_json_print(failure);
    unseen_status status =
        text ? us_file_write(path, text, strlen(text), error) : us_fail_memory(error, "a failure");
    cJSON_Delete(failure);
    free(text);
    free(path);
    return status;
}

/* The numbers of folders that are in use, each once or more. */
typedef struct numbers {
    size_t *items, count, largest;
} numbers;

static unseen_status take_folder(us_sweep *sweep, us_entry *const *sorted, const char *name,
                                 numbers *taken, unseen_error *error) {
    char *folder = us_path_join(sweep->options->out, name);
    if (!folder) return us_fail_memory(error, "a path");
    us_entry *entry = NULL;
    bool claimed = false;
    unseen_status status = find_entry(folder, sorted, sweep->count, &entry, &claimed, error);
    if (claimed) {
        size_t number = strtoul(name, NULL, 10);
        taken->items[taken->count++] = number;
        if (number > taken->largest) taken->largest = number;
    }
    if (status == UNSEEN_OK && entry && !entry->folder) {
        entry->folder = folder;
        entry->known = true;
        return us_sweep_look_into(sweep, entry, error);
    }
    sweep->strangers += claimed;
    free(folder);
    return status;
}

static bool is_taken(const numbers *taken, size_t number) {
    for (size_t i = 0; i < taken->count; i++)
        if (taken->items[i] == number) return true;
    return false;
}

static unseen_status name_new_folders(us_sweep *sweep, numbers *taken, unseen_error *error) {
    size_t next = taken->largest > sweep->count ? taken->largest : sweep->count;
    for (size_t i = 0; i < sweep->count; i++) {
        us_entry *entry = &sweep->entries[i];
        if (entry->folder) continue;
        size_t number = is_taken(taken, i + 1) ? ++next : i + 1;
        char *slug = us_sweep_slug(entry->overrides), *name = NULL;
        if (slug && asprintf(&name, "%03zu-%s", number, slug) < 0) name = NULL;
        entry->folder = name ? us_path_join(sweep->options->out, name) : NULL;
        free(name);
        free(slug);
        if (!entry->folder) return us_fail_memory(error, "a path");
    }
    return UNSEEN_OK;
}

unseen_status us_sweep_find_folders(us_sweep *sweep, unseen_error *error) {
    struct dirent **found = NULL;
    int count = scandir(sweep->options->out, &found, is_run_folder, alphasort);
    if (count < 0 && errno != ENOENT)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: cannot read the folder: %s",
                       sweep->options->out, strerror(errno));
    if (count < 0) count = 0;
    us_entry **sorted = sort_entries(sweep);
    numbers taken = {.items = calloc((size_t)count + 1, sizeof *taken.items)};
    unseen_status status =
        sorted && taken.items ? UNSEEN_OK : us_fail_memory(error, "a list of folders");
    for (int i = 0; i < count; i++) {
        if (status == UNSEEN_OK)
            status = take_folder(sweep, sorted, found[i]->d_name, &taken, error);
        free(found[i]);
    }
    free(found);
    if (status == UNSEEN_OK) status = name_new_folders(sweep, &taken, error);
    free(taken.items);
    free(sorted);
    return status;
}
