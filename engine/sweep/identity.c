/* SPDX-License-Identifier: MIT */
#include "sweep/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

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
    else if (cJSON_IsNumber(value) && value->valuedouble == (double)value->valueint)
        fprintf(out, "%d,", value->valueint); /* as below, and in less time */
    else if (cJSON_IsNumber(value))
        fprintf(out, "%.17g,", value->valuedouble);
    else
        fputs(cJSON_IsTrue(value) ? "true," : cJSON_IsFalse(value) ? "false," : "null,", out);
    return true;
}

/* Removes what two configs of the same run may differ in: words for people, and how a path is
 * written. */
static bool normalize(cJSON *config) {
    static const us_data_settings none;
    cJSON_DeleteItemFromObjectCaseSensitive(config, "$schema");
    cJSON_DeleteItemFromObjectCaseSensitive(config, "description");
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    bool done = true;
    for (int i = 0; i < US_DATA_FILES; i++) {
        const char *key = us_data_file_of(&none, i).key;
        const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, key));
        char *whole = path ? realpath(path, NULL) : NULL;
        if (whole && strcmp(whole, path) != 0)
            done = done &&
                   cJSON_ReplaceItemInObjectCaseSensitive(data, key, cJSON_CreateString(whole));
        free(whole);
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

char *us_identity(const unseen_config *config) {
    cJSON *copy = cJSON_Duplicate(config->root.value, true);
    char *text = copy && normalize(copy) ? print(copy) : NULL;
    cJSON_Delete(copy);
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
static unseen_status look_up(cJSON *config, us_entry *const *sorted, size_t count, us_entry **found,
                             unseen_error *error) {
    cJSON *input = cJSON_GetObjectItemCaseSensitive(config, "input");
    bool done = normalize(config);
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
    return done ? UNSEEN_OK : us_fail_memory(error, "a config");
}

unseen_status us_identity_find(const char *path, us_entry *const *sorted, size_t count,
                               us_entry **found, unseen_error *error) {
    us_json root = {0};
    *found = NULL;
    if (us_json_load(path, &root, NULL) != UNSEEN_OK) return UNSEEN_OK;
    /* Runs write them complete, so that they need not be read as configs: for thousands this takes
     * its time. */
    unseen_status status = cJSON_GetObjectItemCaseSensitive(
                               cJSON_GetObjectItemCaseSensitive(root.value, "input"), "range")
                               ? look_up(root.value, sorted, count, found, error)
                               : UNSEEN_OK;
    cJSON_Delete(root.value);
    if (status != UNSEEN_OK || *found) return status;
    /* Those of an earlier version lack keys, which have their defaults. */
    unseen_config *config;
    if (unseen_config_load(path, NULL, 0, &config, NULL) != UNSEEN_OK) return UNSEEN_OK;
    status = look_up(config->root.value, sorted, count, found, error);
    unseen_config_free(config);
    return status;
}
