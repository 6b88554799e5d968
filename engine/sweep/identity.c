/* SPDX-License-Identifier: MIT */
#include "sweep/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- paths ---- */

void us_real_paths_release(us_real_paths *paths) {
    for (int i = 0; i < US_DATA_FILES; i++) {
        free(paths->asked[i]);
        free(paths->real[i]);
    }
    *paths = (us_real_paths){0};
}

/* NULL: there is no such file, or no memory. */
static const char *real_path(us_real_paths *paths, int file, const char *path) {
    if (paths->asked[file] && strcmp(paths->asked[file], path) == 0) return paths->real[file];
    free(paths->asked[file]);
    free(paths->real[file]);
    paths->asked[file] = strdup(path);
    return paths->real[file] = realpath(path, NULL);
}

/* ---- text ---- */

static int by_name(const void *a, const void *b) {
    return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* What is written is read by nobody else meanwhile, so that no character needs a lock. */
static void put_integer(FILE *out, long long number) {
    char digits[24], *first = digits + sizeof digits;
    unsigned long long left =
        number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number;
    do {
        *--first = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0) *--first = '-';
    fwrite_unlocked(first, 1, (size_t)(digits + sizeof digits - first), out);
}

/* The text's length, the mark, the text and the end. */
static void put_text(FILE *out, const char *text, char mark, char end) {
    const size_t length = strlen(text);
    put_integer(out, (long long)length);
    putc_unlocked(mark, out);
    fwrite_unlocked(text, 1, length, out);
    putc_unlocked(end, out);
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
    putc_unlocked('{', out);
    bool done = true;
    for (i = 0; done && i < count; i++) {
        put_text(out, members[i]->string, ':', ' ');
        done = put(out, members[i]);
    }
    putc_unlocked('}', out);
    free(members);
    return done;
}

static bool put(FILE *out, const cJSON *value) {
    if (cJSON_IsObject(value)) return put_object(out, value);
    if (cJSON_IsArray(value)) {
        bool done = true;
        const cJSON *child;
        putc_unlocked('[', out);
        cJSON_ArrayForEach(child, value) {
            done = done && put(out, child);
        }
        putc_unlocked(']', out);
        return done;
    }
    if (cJSON_IsString(value)) {
        put_text(out, value->valuestring, '"', ',');
    } else if (cJSON_IsNumber(value) && value->valuedouble == (double)value->valueint) {
        put_integer(out, value->valueint); /* as below, and in less time */
        putc_unlocked(',', out);
    } else if (cJSON_IsNumber(value)) {
        fprintf(out, "%.17g,", value->valuedouble);
    } else {
        fputs_unlocked(cJSON_IsTrue(value)    ? "true,"
                       : cJSON_IsFalse(value) ? "false,"
                                              : "null,",
                       out);
    }
    return true;
}

/* Removes what two configs of the same run may differ in: words for people, and how a path is
 * written. */
static bool normalize(cJSON *config, us_real_paths *paths) {
    static const us_data_settings none;
    cJSON_DeleteItemFromObjectCaseSensitive(config, "$schema");
    cJSON_DeleteItemFromObjectCaseSensitive(config, "description");
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    bool done = true;
    for (int i = 0; i < US_DATA_FILES; i++) {
        const char *key = us_data_file_of(&none, i).key;
        const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, key));
        const char *whole = path ? real_path(paths, i, path) : NULL;
        if (whole && strcmp(whole, path) != 0)
            done = done &&
                   cJSON_ReplaceItemInObjectCaseSensitive(data, key, cJSON_CreateString(whole));
    }
    return done;
}

/* Heap; NULL: no memory. */
static char *print(const cJSON *normalized) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool done = out && put(out, normalized);
    done = out && !ferror(out) && fclose(out) == 0 && done;
    if (done) return text;
    free(text);
    return NULL;
}

char *us_identity(const unseen_config *config, us_real_paths *paths) {
    us_real_paths own = {0};
    cJSON *copy = cJSON_Duplicate(config->root.value, true);
    char *text = copy && normalize(copy, paths ? paths : &own) ? print(copy) : NULL;
    cJSON_Delete(copy);
    us_real_paths_release(&own);
    return text;
}

static int compare(const void *a, const void *b) {
    return strcmp((*(us_entry *const *)a)->identity, (*(us_entry *const *)b)->identity);
}

us_entry **us_identity_sort(const us_sweep *sweep) {
    us_entry **sorted = calloc(sweep->count, sizeof(us_entry *));
    for (size_t i = 0; sorted && i < sweep->count; i++)
        sorted[i] = &sweep->entries[i];
    if (sorted) qsort(sorted, sweep->count, sizeof *sorted, compare);
    return sorted;
}

/* As it is, and with the range found out: images whose range was found out when the run began have
 * it written there. */
static unseen_status look_up(cJSON *config, us_entry *const *sorted, size_t count,
                             us_real_paths *paths, us_entry **found, unseen_error *error) {
    us_real_paths own = {0};
    cJSON *input = cJSON_GetObjectItemCaseSensitive(config, "input");
    bool done = normalize(config, paths ? paths : &own);
    for (int i = 0; i < 2 && done && !*found; i++) {
        if (i == 1)
            done =
                cJSON_ReplaceItemInObjectCaseSensitive(input, "range", cJSON_CreateString("auto"));
        us_entry key = {.identity = done ? print(config) : NULL}, *wanted = &key;
        done = key.identity != NULL;
        us_entry *const *hit =
            done ? bsearch(&wanted, sorted, count, sizeof *sorted, compare) : NULL;
        if (hit) *found = *hit;
        free(key.identity);
    }
    us_real_paths_release(&own);
    return done ? UNSEEN_OK : us_fail_memory(error, "a config");
}

unseen_status us_identity_find(const char *path, us_entry *const *sorted, size_t count,
                               us_real_paths *paths, us_entry **found, unseen_error *error) {
    us_json root = {0};
    *found = NULL;
    if (us_json_load(path, &root, NULL) != UNSEEN_OK) return UNSEEN_OK;
    /* Runs write them complete, so that they need not be read as configs: for thousands this takes
     * its time. */
    unseen_status status = cJSON_GetObjectItemCaseSensitive(
                               cJSON_GetObjectItemCaseSensitive(root.value, "input"), "range")
                               ? look_up(root.value, sorted, count, paths, found, error)
                               : UNSEEN_OK;
    cJSON_Delete(root.value);
    if (status != UNSEEN_OK || *found) return status;
    /* Those of an earlier version lack keys, which have their defaults. */
    unseen_config *config;
    if (unseen_config_load(path, NULL, 0, &config, NULL) != UNSEEN_OK) return UNSEEN_OK;
    status = look_up(config->root.value, sorted, count, paths, found, error);
    unseen_config_free(config);
    return status;
}
