/* SPDX-License-Identifier: MIT */
#include "data/file_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/archive.h"
#include "data/labels_read.h"

unseen_status us_file_set_add(us_file_set *set, const us_set_file *file, unseen_error *error) {
    if (set->count == INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: more than %d photographs", set->path,
                       INT32_MAX);
    if (set->count == set->room) {
        int64_t room = set->room ? 2 * set->room : 1024;
        us_set_file *longer = realloc(set->files, (size_t)room * sizeof *longer);
        if (!longer) return us_fail_memory(error, "names of photographs");
        set->files = longer;
        set->room = room;
    }
    us_set_file *added = &set->files[set->count];
    *added = *file;
    added->name = strdup(file->name);
    added->of = file->of ? strdup(file->of) : NULL;
    set->count++;
    return added->name && (added->of || !file->of) ? UNSEEN_OK
                                                   : us_fail_memory(error, "names of photographs");
}

void us_file_set_skip(us_file_set *set, const char *name) {
    if (set->skipped++ == 0)
        snprintf(set->first_skipped, sizeof set->first_skipped, "%.120s", name);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const us_set_file *)a)->name, ((const us_set_file *)b)->name);
}

/* ---- classes ---- */

/* The class of a file is the outermost folder below the set that it is in. */
static int64_t add_class(us_words *words, const char *name) {
    char class[4096];
    const char *slash = strchr(name, '/');
    snprintf(class, sizeof class, "%.*s", slash ? (int)(slash - name) : 1, slash ? name : ".");
    return us_words_add(words, class);
}

static unseen_status number_classes(us_file_set *set, us_words *words, unseen_error *error) {
    us_labels *labels = &set->labels;
    labels->values = malloc((size_t)set->count * sizeof *labels->values);
    labels->path = strdup(set->path);
    if (!labels->values || !labels->path) return us_fail_memory(error, "labels");
    for (int64_t i = 0; i < set->count; i++)
        if ((labels->values[i] = add_class(words, set->files[i].name)) < 0)
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: more than %d folders", set->path,
                           US_WORDS_MOST);
    labels->count = set->count;
    labels->ids = (us_ids){.path = labels->path, .what = "labels", .count = set->count};
    strcpy(labels->joined, "by folder");
    return us_words_finish(words, labels, error);
}

static unseen_status label_by_folder(us_file_set *set, unseen_error *error) {
    bool any = false;
    for (int64_t i = 0; i < set->count && !any; i++)
        any = strchr(set->files[i].name, '/') != NULL;
    if (!any) return UNSEEN_OK;
    us_words words = {0};
    unseen_status status = number_classes(set, &words, error);
    us_words_release(&words);
    return status;
}

/* ---- the whole ---- */

static unseen_status open_single(us_file_set *set, unseen_error *error) {
    struct stat about;
    const char *slash = strrchr(set->path, '/');
    if (stat(set->path, &about) != 0) return us_fail_errno(error, set->path, "cannot open");
    set->base = strndup(set->path, slash ? (size_t)(slash - set->path) + 1 : 0);
    if (!set->base) return us_fail_memory(error, "a path");
    char *name = strdup(slash ? slash + 1 : set->path);
    if (!name) return us_fail_memory(error, "a path");
    const us_set_file file = {.name = name, .size = about.st_size, .modified = about.st_mtim};
    unseen_status status = us_file_set_add(set, &file, error);
    free(name);
    return status;
}

static unseen_status fill(us_file_set *set, const us_file_set_request *request,
                          unseen_error *error) {
    switch (set->kind) {
    case US_FILE_SET_FOLDER:
        return us_file_set_from_folder(set, error);
    case US_FILE_SET_LIST:
        return us_file_set_from_list(set, &request->list, error);
    case US_FILE_SET_ARCHIVE:
        return us_archive_photographs(set, error);
    case US_FILE_SET_SINGLE:
        return open_single(set, error);
    }
    return UNSEEN_OK;
}

static unseen_status check_empty(const us_file_set *set, unseen_error *error) {
    if (set->count > 0) return UNSEEN_OK;
    const char *what = set->kind == US_FILE_SET_ARCHIVE ? "archive" : "folder";
    if (set->skipped == 0)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: no photographs in this %s: it is empty",
                       set->path, what);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: no photographs in this %s: none of its %lld files is a PNG, JPEG, TIFF, "
                   "WebP, BMP, PNM or GIF picture (%s is the first)",
                   set->path, what, (long long)set->skipped, set->first_skipped);
}

unseen_status us_file_set_open(const char *path, const us_file_set_request *request,
                               us_file_set *set, unseen_error *error) {
    *set = (us_file_set){.kind = request->kind, .path = path};
    unseen_status status = fill(set, request, error);
    if (status == UNSEEN_OK) status = check_empty(set, error);
    if (status == UNSEEN_OK && set->kind != US_FILE_SET_LIST) {
        qsort(set->files, (size_t)set->count, sizeof *set->files, compare_names);
        status = label_by_folder(set, error);
    }
    if (status != UNSEEN_OK) us_file_set_close(set);
    return status;
}

void us_file_set_close(us_file_set *set) {
    for (int64_t i = 0; i < set->count; i++) {
        free(set->files[i].name);
        free(set->files[i].of);
    }
    free(set->files);
    free(set->base);
    us_labels_close(&set->labels);
    *set = (us_file_set){0};
}

char *us_file_set_path(const us_file_set *set, int64_t i) {
    const char *name = set->files[i].name;
    if (!set->base || *name == '/') return strdup(name);
    char *path = NULL;
    const size_t length = strlen(set->base);
    const bool ended = length == 0 || set->base[length - 1] == '/';
    return asprintf(&path, "%s%s%s", set->base, ended ? "" : "/", name) < 0 ? NULL : path;
}

static const char *id_of(const us_set_file *file) {
    return file->of ? file->of : file->name;
}

unseen_status us_file_set_ids(const us_file_set *set, const char *what, us_ids *ids,
                              unseen_error *error) {
    size_t bytes = 0;
    for (int64_t i = 0; i < set->count; i++)
        bytes += strlen(id_of(&set->files[i])) + 1;
    *ids = (us_ids){.path = set->path,
                    .what = what,
                    .count = set->count,
                    .number_column = -1,
                    .name_column = -1,
                    .name_header = "file"};
    ids->text = malloc(bytes);
    ids->names = malloc((size_t)set->count * sizeof *ids->names);
    if (!ids->text || !ids->names) {
        us_ids_release(ids);
        return us_fail_memory(error, "names of photographs");
    }
    char *at = ids->text;
    for (int64_t i = 0; i < set->count; i++) {
        const size_t length = strlen(id_of(&set->files[i]));
        memcpy(at, id_of(&set->files[i]), length + 1);
        ids->names[i] = (us_name){at, length};
        at += length + 1;
    }
    return UNSEEN_OK;
}
