/* SPDX-License-Identifier: MIT */
/* The folders of a sweep's runs, and what they say of them. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/thread.h"
#include "sweep/identity.h"

/* NNN-anything; a number of more digits than any sweep has is another's folder. */
static int is_run_folder(const struct dirent *entry) {
    size_t digits = strspn(entry->d_name, "0123456789");
    return digits >= 3 && digits <= 9 && entry->d_name[digits] == '-';
}

/* The run whose config a folder holds; claimed: it holds that of any run. */
static unseen_status find_entry(const char *folder, us_entry *const *sorted, size_t count,
                                us_real_paths *paths, us_entry **found, bool *claimed,
                                unseen_error *error) {
    char *path = us_path_join(folder, US_RUN_CONFIG);
    if (!path) return us_fail_memory(error, "a path");
    *found = NULL;
    *claimed = us_file_exists(path);
    unseen_status status =
        *claimed ? us_identity_find(path, sorted, count, paths, found, error) : UNSEEN_OK;
    free(path);
    return status;
}

/* A run that has its results is done; they are written last. */
static unseen_status look_for_results(us_entry *entry, const char *path, unseen_error *error) {
    us_json metrics = {0};
    if (!us_file_exists(path) || us_json_load(path, &metrics, NULL) != UNSEEN_OK) return UNSEEN_OK;
    entry->status = US_ENTRY_DONE;
    return us_entry_take_metrics(entry, metrics.value) ? UNSEEN_OK
                                                       : us_fail_memory(error, "results");
}

/* Whether another process trains it, or has done so since its results were looked for. */
static unseen_status look_for_others(us_entry *entry, const char *metrics, unseen_error *error) {
    if (entry->status == US_ENTRY_DONE) return UNSEEN_OK;
    entry->status = us_folder_is_held(entry->folder) ? US_ENTRY_RUNNING : US_ENTRY_WAITING;
    return look_for_results(entry, metrics, error);
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
    US_TRY(us_identity_find(config, &entry, 1, NULL, &found, error));
    entry->known = found != NULL;
    if (entry->known) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: another plan's run has been put there meanwhile: sweeps of different plans "
                   "that run at one time need folders of their own (--out)",
                   entry->folder);
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
        entry->status = US_ENTRY_WAITING;
        status = recognize(entry, config, error);
    }
    if (status == UNSEEN_OK) status = look_for_results(entry, metrics, error);
    if (status == UNSEEN_OK) status = look_for_others(entry, metrics, error);
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

/* A folder of OUT, and what several threads find out of each. */
typedef struct found_folder {
    const char *name;
    char *path;
    us_entry *entry; /* of the run that it holds; NULL: of none in the plan */
    bool claimed;
    unseen_status status;
    unseen_error error;
} found_folder;

typedef struct search {
    const us_sweep *sweep;
    us_entry **sorted;
    found_folder *folders;
    size_t count;
} search;

static void recognize_some(void *user, size_t first, size_t end) {
    const search *s = user;
    us_real_paths paths = {0};
    for (size_t i = first; i < end; i++) {
        found_folder *f = &s->folders[i];
        f->path = us_path_join(s->sweep->options->out, f->name);
        f->status = f->path ? find_entry(f->path, s->sorted, s->sweep->count, &paths, &f->entry,
                                         &f->claimed, &f->error)
                            : us_fail_memory(&f->error, "a path");
    }
    us_real_paths_release(&paths);
}

/* Each run's folder is the first of those that hold it. */
static void take_folders(us_sweep *sweep, search *s, numbers *taken) {
    for (size_t i = 0; i < s->count; i++) {
        found_folder *f = &s->folders[i];
        if (!f->claimed) continue;
        const size_t number = strtoul(f->name, NULL, 10);
        taken->items[taken->count++] = number;
        if (number > taken->largest) taken->largest = number;
        if (f->entry && !f->entry->folder) {
            f->entry->folder = f->path;
            f->entry->known = true;
            f->path = NULL;
        } else {
            f->entry = NULL;
            sweep->strangers++;
        }
    }
}

static void look_into_some(void *user, size_t first, size_t end) {
    const search *s = user;
    for (size_t i = first; i < end; i++) {
        found_folder *f = &s->folders[i];
        if (f->entry && f->status == UNSEEN_OK)
            f->status = us_sweep_look_into(s->sweep, f->entry, &f->error);
    }
}

static unseen_status first_failure(const search *s, unseen_error *error) {
    for (size_t i = 0; i < s->count; i++) {
        if (s->folders[i].status == UNSEEN_OK) continue;
        if (error) *error = s->folders[i].error;
        return s->folders[i].status;
    }
    return UNSEEN_OK;
}

static unseen_status search_folders(us_sweep *sweep, search *s, numbers *taken,
                                    unseen_error *error) {
    us_thread_divide(s->count, US_SWEEP_LEAST_SHARE, recognize_some, s);
    US_TRY(first_failure(s, error));
    take_folders(sweep, s, taken);
    us_thread_divide(s->count, US_SWEEP_LEAST_SHARE, look_into_some, s);
    return first_failure(s, error);
}

static int by_size(const void *a, const void *b) {
    const size_t one = *(const size_t *)a, other = *(const size_t *)b;
    return (one > other) - (one < other);
}

static bool is_taken(const numbers *taken, size_t number) {
    return taken->count && bsearch(&number, taken->items, taken->count, sizeof number, by_size);
}

static unseen_status name_new_folders(us_sweep *sweep, numbers *taken, unseen_error *error) {
    qsort(taken->items, taken->count, sizeof *taken->items, by_size);
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
    search s = {.sweep = sweep,
                .sorted = us_identity_sort(sweep),
                .folders = calloc((size_t)count + 1, sizeof *s.folders),
                .count = (size_t)count};
    numbers taken = {.items = calloc((size_t)count + 1, sizeof *taken.items)};
    unseen_status status =
        s.sorted && s.folders && taken.items ? UNSEEN_OK : us_fail_memory(error, "folders");
    for (int i = 0; i < count && status == UNSEEN_OK; i++)
        s.folders[i].name = found[i]->d_name;
    if (status == UNSEEN_OK) status = search_folders(sweep, &s, &taken, error);
    if (status == UNSEEN_OK) status = name_new_folders(sweep, &taken, error);
    for (int i = 0; i < count; i++) {
        if (s.folders) free(s.folders[i].path);
        free(found[i]);
    }
    free(found);
    free(s.folders);
    free(taken.items);
    free(s.sorted);
    return status;
}
