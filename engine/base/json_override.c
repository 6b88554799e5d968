/* SPDX-License-Identifier: MIT */
/* "/a/b=VALUE": one value replaced or added by JSON Pointer. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_internal.h"

typedef struct pieces {
    char *text; /* the names, unescaped, each NUL-terminated */
    const char *names[US_JSON_DEPTH];
    int count;
} pieces;

/* Splits and unescapes the pointer of length `length` in place of a copy. */
static unseen_status split(const char *override, size_t length, pieces *path, unseen_error *error) {
    size_t at = length && override[0] == '/' ? 1 : 0;
    path->text = malloc(length + 1);
    if (!path->text) return us_fail_memory(error, override);
    char *out = path->text;
    for (;;) {
        if (path->count == US_JSON_DEPTH)
            return us_fail(error, UNSEEN_BAD_INPUT, "override %s: nested deeper than %d levels",
                           override, US_JSON_DEPTH);
        path->names[path->count++] = out;
        for (; at < length && override[at] != '/'; at++) {
            char c = override[at];
            if (c == '~') {
                char code = ++at < length ? override[at] : '\0';
                if (code != '0' && code != '1')
                    return us_fail(error, UNSEEN_BAD_INPUT,
                                   "override %s: '~' must be written ~0, and '/' within a key ~1",
                                   override);
                c = code == '0' ? '~' : '/';
            }
            *out++ = c;
        }
        *out++ = '\0';
        if (at >= length) return UNSEEN_OK;
        at++;
    }
}

static unseen_status parse_value(const char *override, const char *text, cJSON **value,
                                 unseen_error *error) {
    us_json parsed;
    if (us_json_parse(text, strlen(text), "override", &parsed, NULL) == UNSEEN_OK) {
        *value = parsed.value;
        return UNSEEN_OK;
    }
    if (!us_utf8_valid(text))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "override %s: the value is not UTF-8, as JSON has to be; a file with such a "
                       "name can be renamed, or linked to by another name",
                       override);
    *value = cJSON_CreateString(text);
    return *value ? UNSEEN_OK : us_fail_memory(error, override);
}

/* The index that a piece names in an array: its size for "-". */
static unseen_status array_index(const us_json *array, const char *name, int *index,
                                 const char *override, unseen_error *error) {
    int size = cJSON_GetArraySize(array->value);
    *index = size;
    if (strcmp(name, "-") == 0) return UNSEEN_OK;
    char *end;
    long number = *name >= '0' && *name <= '9' ? strtol(name, &end, 10) : LONG_MAX;
    if (number < size && *end == '\0' && (name[0] != '0' || name[1] == '\0')) {
        *index = (int)number;
        return UNSEEN_OK;
    }
    return us_json_fail(array, error,
                        "override %s: the array has %d elements; expected an index below that, or "
                        "\"-\" to append, found \"%s\"",
                        override, size, name);
}

/* Puts an item under a name, in the place of `existing` if that is not NULL. The item is consumed.
 * A replacement takes over the key, as cJSON's own function does not check its copy of it. */
static bool put(cJSON *parent, const char *name, cJSON *existing, cJSON *item) {
    bool done;
    if (existing) {
        item->string = existing->string;
        existing->string = NULL;
        done = cJSON_ReplaceItemViaPointer(parent, existing, item);
    } else if (cJSON_IsArray(parent)) {
        done = cJSON_AddItemToArray(parent, item);
    } else {
        done = cJSON_AddItemToObject(parent, name, item);
    }
    if (!done) cJSON_Delete(item);
    return done;
}

/* All errors are found before the first object is created: nothing below a created object can be
 * wrong. */
static unseen_status apply(us_json *root, const pieces *path, cJSON **value, const char *override,
                           unseen_error *error) {
    us_json at = *root;
    for (int i = 0; i < path->count; i++) {
        const char *name = path->names[i];
        bool last = i == path->count - 1;
        int index = 0;
        if (cJSON_IsArray(at.value)) {
            US_TRY(array_index(&at, name, &index, override, error));
        } else if (!cJSON_IsObject(at.value)) {
            char found[US_JSON_DESCRIPTION];
            us_json_describe(at.value, found);
            return us_json_fail(&at, error, "override %s: expected an object or an array, found %s",
                                override, found);
        }
        us_json next =
            cJSON_IsArray(at.value) ? us_json_element(&at, index) : us_json_member(&at, name);
        if (last || !next.value) {
            cJSON *item = last ? *value : cJSON_CreateObject();
            if (last) *value = NULL;
            if (!item || !put(at.value, name, next.value, item))
                return us_fail_memory(error, override);
            next.value = item;
        }
        at = next;
    }
    return UNSEEN_OK;
}

unseen_status us_json_override(us_json *root, const char *override, unseen_error *error) {
    const char *equals = strchr(override, '=');
    if (!equals || equals == override || (equals == override + 1 && *override == '/'))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "override %s: expected KEY=VALUE, for example /training/batch=64", override);
    pieces path = {0};
    cJSON *value = NULL;
    unseen_status status;
    US_CHECK(split(override, (size_t)(equals - override), &path, error));
    US_CHECK(parse_value(override, equals + 1, &value, error));
    if (path.count + us_json_depth(value) > US_JSON_DEPTH)
        US_CHECK(us_fail(error, UNSEEN_BAD_INPUT, "override %s: nested deeper than %d levels",
                         override, US_JSON_DEPTH));
    status = apply(root, &path, &value, override, error);
done:
    cJSON_Delete(value);
    free(path.text);
    return status;
}
