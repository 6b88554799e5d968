/* SPDX-License-Identifier: MIT */
/* Tables of keys: reading an object by one, and the JSON Schema that it implies. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_internal.h"

static bool is_integer(const us_key *key) {
    return key->kind == US_KEY_INT || key->kind == US_KEY_INT64 || key->kind == US_KEY_INTS;
}

/* The limits in force: the table's, within what the type holds. */
static void bounds(const us_key *key, double *low, double *high) {
    bool limited = key->minimum != 0 || key->maximum != 0;
    *low = limited || key->above_minimum ? key->minimum : -INFINITY;
    *high = limited ? key->maximum : INFINITY;
    double least = -INFINITY, most = INFINITY;
    if (key->kind == US_KEY_INT64) {
        least = -US_JSON_LARGEST_INTEGER;
        most = US_JSON_LARGEST_INTEGER;
    } else if (is_integer(key)) {
        least = INT_MIN;
        most = INT_MAX;
    }
    if (*low < least) *low = least;
    if (*high > most) *high = most;
}

/* ---- messages ---- */

enum { EXPECTED = 160 };

static void expected_number(const us_key *key, char text[EXPECTED]) {
    double low, high;
    bounds(key, &low, &high);
    char least[US_JSON_NUMBER], most[US_JSON_NUMBER];
    us_json_number(low, least);
    us_json_number(high, most);
    const char *noun = is_integer(key) ? "an integer" : "a number";
    if (isfinite(low) && isfinite(high))
        snprintf(text, EXPECTED,
                 key->above_minimum ? "%s above %s and at most %s" : "%s from %s to %s", noun,
                 least, most);
    else if (isfinite(low))
        snprintf(text, EXPECTED, key->above_minimum ? "%s above %s" : "%s of at least %s", noun,
                 least);
    else if (isfinite(high))
        snprintf(text, EXPECTED, "%s of at most %s", noun, most);
    else
        snprintf(text, EXPECTED, "%s", noun);
}

static unseen_status fail_expected(const us_json *at, const char *expected, unseen_error *error) {
    char found[US_JSON_DESCRIPTION];
    us_json_describe(at->value, found);
    return us_json_fail(at, error, "expected %s, found %s", expected, found);
}

/* Names in quotes, separated by commas, as many as there is room for. */
static void list_names(const char *const *names, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; names[i] && used < size; i++) {
        int length = snprintf(text + used, size - used, "%s\"%s\"", i ? ", " : "", names[i]);
        used += length > 0 ? (size_t)length : 0;
    }
}

static unseen_status fail_choice(const us_json *at, const us_key *key, unseen_error *error) {
    char names[1024], found[US_JSON_DESCRIPTION];
    list_names(key->choices, names, sizeof names);
    us_json_describe(at->value, found);
    const char *nearest =
        cJSON_IsString(at->value) ? unseen_nearest(at->value->valuestring, key->choices) : NULL;
    if (nearest)
        return us_json_fail(at, error, "expected one of %s, found %s; did you mean \"%s\"?", names,
                            found, nearest);
    return us_json_fail(at, error, "expected one of %s, found %s", names, found);
}

/* ---- reading ---- */

static size_t key_count(const us_key *keys) {
    size_t count = 0;
    while (keys[count].kind != US_KEY_END)
        count++;
    return count;
}

static unseen_status fail_unknown(const us_json *member, const char *name, const us_key *keys,
                                  unseen_error *error) {
    size_t count = key_count(keys);
    const char **names = calloc(count + 1, sizeof *names);
    if (!names) return us_fail_memory(error, member->file);
    for (size_t i = 0; i < count; i++)
        names[i] = keys[i].name;
    const char *nearest = unseen_nearest(name, names);
    unseen_status status;
    if (nearest) {
        status = us_json_fail(member, error, "unknown key; did you mean \"%s\"?", nearest);
    } else if (count == 0) {
        status = us_json_fail(member, error, "unknown key; no keys are known here");
    } else {
        char list[1024];
        list_names(names, list, sizeof list);
        status = us_json_fail(member, error, "unknown key; known keys: %s", list);
    }
    free(names);
    return status;
}

static unseen_status check_keys(const us_json *object, const us_key *keys, unseen_error *error) {
    const cJSON *child;
    cJSON_ArrayForEach(child, object->value) {
        if (child->string[0] == '$') continue;
        const us_key *key = keys;
        while (key->kind != US_KEY_END && strcmp(key->name, child->string) != 0)
            key++;
        if (key->kind != US_KEY_END) continue;
        us_json member = us_json_extend(object, child->string, NULL);
        return fail_unknown(&member, child->string, keys, error);
    }
    return UNSEEN_OK;
}

static unseen_status read_number(const us_json *at, const us_key *key, double *number,
                                 unseen_error *error) {
    double low, high, value = cJSON_IsNumber(at->value) ? at->value->valuedouble : NAN;
    bounds(key, &low, &high);
    bool fine = isfinite(value) && value >= low && value <= high;
    if (key->above_minimum) fine = fine && value > low;
    if (is_integer(key)) fine = fine && nearbyint(value) == value;
    if (!fine) {
        char expected[EXPECTED];
        expected_number(key, expected);
        return fail_expected(at, expected, error);
    }
    *number = value;
    return UNSEEN_OK;
}

static void store_number(const us_key *key, double number, int index, char *slot) {
    if (key->kind == US_KEY_INT || key->kind == US_KEY_INTS)
        ((int *)(void *)slot)[index] = (int)number;
    else if (key->kind == US_KEY_INT64)
        *(int64_t *)(void *)slot = (int64_t)number;
    else
        ((double *)(void *)slot)[index] = number;
}

static unseen_status read_numbers(const us_json *at, const us_key *key, char *slot,
                                  unseen_error *error) {
    bool array = cJSON_IsArray(at->value);
    if ((array && cJSON_GetArraySize(at->value) != key->count) ||
        (!array && !cJSON_IsNumber(at->value))) {
        char one[EXPECTED], expected[EXPECTED + 64];
        expected_number(key, one);
        snprintf(expected, sizeof expected, "%s, or an array of %d such", one, key->count);
        return fail_expected(at, expected, error);
    }
    for (int i = 0; i < key->count; i++) {
        us_json element = array ? us_json_element(at, i) : *at;
        double number;
        US_TRY(read_number(&element, key, &number, error));
        store_number(key, number, i, slot);
    }
    return UNSEEN_OK;
}

static unseen_status read_choice(const us_json *at, const us_key *key, int *slot,
                                 unseen_error *error) {
    if (cJSON_IsString(at->value)) {
        for (int i = 0; key->choices[i]; i++) {
            if (strcmp(key->choices[i], at->value->valuestring) != 0) continue;
            *slot = i;
            return UNSEEN_OK;
        }
    }
    return fail_choice(at, key, error);
}

static unseen_status read_choices(const us_json *at, const us_key *key, unsigned *slot,
                                  unseen_error *error) {
    int size = cJSON_IsArray(at->value) ? cJSON_GetArraySize(at->value) : 0;
    if (size == 0) return fail_expected(at, "an array of at least one name", error);
    for (int i = 0; i < size; i++) {
        us_json element = us_json_element(at, i);
        int choice;
        US_TRY(read_choice(&element, key, &choice, error));
        if (*slot >> choice & 1)
            return us_json_fail(&element, error, "\"%s\" is there twice", key->choices[choice]);
        *slot |= 1u << choice;
    }
    return UNSEEN_OK;
}

static unseen_status read_string(const us_json *at, char **slot, unseen_error *error) {
    if (!cJSON_IsString(at->value)) return fail_expected(at, "a string", error);
    *slot = strdup(at->value->valuestring);
    return *slot ? UNSEEN_OK : us_fail_memory(error, at->pointer);
}

/* Resolves an object, so `at` is its own cursor. */
static unseen_status read_value(us_json *at, const us_key *key, char *slot, unseen_error *error) {
    double number;
    switch (key->kind) {
    case US_KEY_INT:
    case US_KEY_INT64:
    case US_KEY_NUMBER:
        US_TRY(read_number(at, key, &number, error));
        store_number(key, number, 0, slot);
        return UNSEEN_OK;
    case US_KEY_INTS:
    case US_KEY_NUMBERS:
        return read_numbers(at, key, slot, error);
    case US_KEY_BOOL:
        if (!cJSON_IsBool(at->value)) return fail_expected(at, "true or false", error);
        *(bool *)(void *)slot = cJSON_IsTrue(at->value);
        return UNSEEN_OK;
    case US_KEY_STRING:
        return read_string(at, (char **)(void *)slot, error);
    case US_KEY_CHOICE:
        return read_choice(at, key, (int *)(void *)slot, error);
    case US_KEY_CHOICES:
        return read_choices(at, key, (unsigned *)(void *)slot, error);
    case US_KEY_OBJECT:
        if (key->members) return us_json_read(at, key->members, slot, error);
        return cJSON_IsObject(at->value) ? UNSEEN_OK : fail_expected(at, "an object", error);
    case US_KEY_ARRAY:
        return cJSON_IsArray(at->value) ? UNSEEN_OK : fail_expected(at, "an array", error);
    default:
        return UNSEEN_OK;
    }
}

static bool has_fallback(const us_key *key) {
    return !key->required && (key->kind != US_KEY_OBJECT || key->members) &&
           key->kind != US_KEY_ARRAY && (key->kind != US_KEY_STRING || key->fallback_string);
}

static cJSON *make_choices(const us_key *key) {
    const char *names[32];
    int count = 0;
    for (int i = 0; key->choices[i]; i++)
        if ((unsigned)key->fallback[0] >> i & 1) names[count++] = key->choices[i];
    return cJSON_CreateStringArray(names, count);
}

/* NULL: no memory. */
static cJSON *make_fallback(const us_key *key) {
    switch (key->kind) {
    case US_KEY_BOOL:
        return cJSON_CreateBool(key->fallback[0] != 0);
    case US_KEY_STRING:
        return cJSON_CreateString(key->fallback_string);
    case US_KEY_CHOICE:
        return cJSON_CreateString(key->choices[(int)key->fallback[0]]);
    case US_KEY_CHOICES:
        return make_choices(key);
    case US_KEY_OBJECT:
        return cJSON_CreateObject();
    case US_KEY_INTS:
    case US_KEY_NUMBERS:
        return cJSON_CreateDoubleArray(key->fallback, key->count);
    default:
        return cJSON_CreateNumber(key->fallback[0]);
    }
}

/* A fallback is added to the object first and then read like any other value, so that a resolved
 * config is sure to read back as the same one. */
static unseen_status read_key(us_json *object, const us_key *key, char *out, unseen_error *error) {
    us_json member = us_json_member(object, key->name);
    if (!member.value && key->required)
        return us_json_fail(object, error, "the key \"%s\" is missing%s%s", key->name,
                            key->help ? ": " : "", key->help ? key->help : "");
    if (!member.value) {
        if (!has_fallback(key)) return UNSEEN_OK;
        member.value = make_fallback(key);
        if (!member.value || !cJSON_AddItemToObject(object->value, key->name, member.value)) {
            cJSON_Delete(member.value);
            return us_fail_memory(error, key->name);
        }
    }
    return read_value(&member, key, out + key->offset, error);
}

static void clear(const us_key *key, char *out) {
    if (key->kind == US_KEY_OBJECT && key->members)
        for (const us_key *member = key->members; member->kind != US_KEY_END; member++)
            clear(member, out + key->offset);
    size_t count = (size_t)key->count;
    size_t size = key->kind == US_KEY_INT       ? sizeof(int)
                  : key->kind == US_KEY_CHOICE  ? sizeof(int)
                  : key->kind == US_KEY_CHOICES ? sizeof(unsigned)
                  : key->kind == US_KEY_INT64   ? sizeof(int64_t)
                  : key->kind == US_KEY_NUMBER  ? sizeof(double)
                  : key->kind == US_KEY_BOOL    ? sizeof(bool)
                  : key->kind == US_KEY_STRING  ? sizeof(char *)
                  : key->kind == US_KEY_INTS    ? count * sizeof(int)
                  : key->kind == US_KEY_NUMBERS ? count * sizeof(double)
                                                : 0;
    if (size) memset(out + key->offset, 0, size);
}

unseen_status us_json_read(us_json *object, const us_key *keys, void *out, unseen_error *error) {
    for (const us_key *key = keys; key->kind != US_KEY_END; key++)
        clear(key, out);
    if (!cJSON_IsObject(object->value)) return fail_expected(object, "an object", error);
    unseen_status status = check_keys(object, keys, error);
    for (const us_key *key = keys; key->kind != US_KEY_END && status == UNSEEN_OK; key++)
        status = read_key(object, key, out, error);
    if (status != UNSEEN_OK) us_json_release(keys, out);
    return status;
}

void us_json_release(const us_key *keys, void *out) {
    for (const us_key *key = keys; key->kind != US_KEY_END; key++) {
        if (key->kind == US_KEY_OBJECT && key->members)
            us_json_release(key->members, (char *)out + key->offset);
        if (key->kind != US_KEY_STRING) continue;
        char **slot = (char **)(void *)((char *)out + key->offset);
        free(*slot);
        *slot = NULL;
    }
}

/* ---- schema ---- */

/* Adds an item that may be NULL (no memory), and consumes it either way. */
static bool add(cJSON *object, const char *name, cJSON *item) {
    if (item && cJSON_AddItemToObject(object, name, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool add_element(cJSON *array, cJSON *item) {
    if (item && cJSON_AddItemToArray(array, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool add_number_schema(cJSON *schema, const us_key *key) {
    double low, high;
    bounds(key, &low, &high);
    bool done = add(schema, "type", cJSON_CreateString(is_integer(key) ? "integer" : "number"));
    if (isfinite(low))
        done = done && add(schema, key->above_minimum ? "exclusiveMinimum" : "minimum",
                           cJSON_CreateNumber(low));
    if (isfinite(high)) done = done && add(schema, "maximum", cJSON_CreateNumber(high));
    return done;
}

/* An empty object at the end of an array. */
static cJSON *add_object(cJSON *array) {
    cJSON *object = cJSON_CreateObject();
    return add_element(array, object) ? object : NULL;
}

/* One number, or an array of `count`. */
static bool add_numbers_schema(cJSON *schema, const us_key *key) {
    cJSON *either = cJSON_AddArrayToObject(schema, "anyOf");
    cJSON *one = add_object(either), *many = add_object(either);
    if (!one || !many) return false;
    cJSON *items = cJSON_AddObjectToObject(many, "items");
    return items && add_number_schema(one, key) && add_number_schema(items, key) &&
           add(many, "type", cJSON_CreateString("array")) &&
           add(many, "minItems", cJSON_CreateNumber(key->count)) &&
           add(many, "maxItems", cJSON_CreateNumber(key->count));
}

static bool add_choice_schema(cJSON *schema, const us_key *key) {
    cJSON *values = cJSON_AddArrayToObject(schema, "enum");
    bool done = values != NULL;
    for (int i = 0; done && key->choices[i]; i++)
        done = add_element(values, cJSON_CreateString(key->choices[i]));
    return done;
}

static bool add_choices_schema(cJSON *schema, const us_key *key) {
    int count = 0;
    while (key->choices[count])
        count++;
    cJSON *items = cJSON_AddObjectToObject(schema, "items");
    return items && add_choice_schema(items, key) &&
           add(schema, "type", cJSON_CreateString("array")) &&
           add(schema, "minItems", cJSON_CreateNumber(1)) &&
           add(schema, "maxItems", cJSON_CreateNumber(count)) &&
           add(schema, "uniqueItems", cJSON_CreateTrue());
}

static bool fill_schema(cJSON *schema, const us_key *keys);

static bool add_key_schema(cJSON *schema, const us_key *key) {
    bool done;
    switch (key->kind) {
    case US_KEY_INT:
    case US_KEY_INT64:
    case US_KEY_NUMBER:
        done = add_number_schema(schema, key);
        break;
    case US_KEY_INTS:
    case US_KEY_NUMBERS:
        done = add_numbers_schema(schema, key);
        break;
    case US_KEY_CHOICE:
        done = add_choice_schema(schema, key);
        break;
    case US_KEY_CHOICES:
        done = add_choices_schema(schema, key);
        break;
    case US_KEY_OBJECT:
        done = key->members ? fill_schema(schema, key->members)
                            : add(schema, "type", cJSON_CreateString("object"));
        break;
    default:
        done = add(schema, "type",
                   cJSON_CreateString(key->kind == US_KEY_BOOL     ? "boolean"
                                      : key->kind == US_KEY_STRING ? "string"
                                                                   : "array"));
    }
    if (has_fallback(key) && key->kind != US_KEY_OBJECT)
        done = done && add(schema, "default", make_fallback(key));
    if (key->help) done = done && add(schema, "description", cJSON_CreateString(key->help));
    return done;
}

/* The pattern is for the keys that us_json_read ignores. */
static bool fill_schema(cJSON *schema, const us_key *keys) {
    if (!add(schema, "type", cJSON_CreateString("object"))) return false;
    cJSON *properties = cJSON_AddObjectToObject(schema, "properties");
    cJSON *required = cJSON_AddArrayToObject(schema, "required");
    bool done = properties && required;
    for (const us_key *key = keys; done && key->kind != US_KEY_END; key++) {
        cJSON *property = cJSON_AddObjectToObject(properties, key->name);
        done = property && add_key_schema(property, key);
        if (key->required) done = done && add_element(required, cJSON_CreateString(key->name));
    }
    cJSON *ignored = done ? cJSON_AddObjectToObject(schema, "patternProperties") : NULL;
    return ignored && add(ignored, "^[$]", cJSON_CreateTrue()) &&
           add(schema, "additionalProperties", cJSON_CreateFalse());
}

cJSON *us_json_schema(const us_key *keys) {
    cJSON *schema = cJSON_CreateObject();
    if (!schema || fill_schema(schema, keys)) return schema;
    cJSON_Delete(schema);
    return NULL;
}

bool us_json_schema_replace(cJSON *schema, const char *name, cJSON *member) {
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    return member && cJSON_ReplaceItemInObjectCaseSensitive(properties, name, member);
}
