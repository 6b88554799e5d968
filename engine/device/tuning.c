#include "device/tuning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/private_file.h"
#include "device/program_source.h"

enum { FILE_LIMIT = 16 << 20, FORMAT = 1 };

static us_device *device_of(const void *spec) {
    us_device *device;
    memcpy(&device, spec, sizeof device);
    return device;
}

/* ---- identity ---- */

/* What the speed of a kernel depends on besides the kernel. NULL: no memory. */
static cJSON *describe_device(const us_device *device) {
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "platform", device->platform_name) &&
        cJSON_AddStringToObject(object, "name", device->name) &&
        cJSON_AddStringToObject(object, "driver", device->driver) &&
        cJSON_AddStringToObject(object, "version", device->version) &&
        cJSON_AddStringToObject(object, "execution",
                                device->execution == US_EXECUTION_LANES ? "lanes" : "vector") &&
        cJSON_AddNumberToObject(object, "vector_width", device->vector_width) &&
        cJSON_AddNumberToObject(object, "group_size", device->group_size) &&
        cJSON_AddNumberToObject(object, "compute_units", device->compute_units);
    if (complete) return object;
    cJSON_Delete(object);
    return NULL;
}

/* FOLDER/tuning/NAME-HASH.json, the hash being the digest of the whole identity; NULL: no folder,
 * or no memory. */
static char *file_path(const us_device *device) {
    char *folder = us_cache_folder(), *path = NULL;
    cJSON *identity = describe_device(device);
    char *text = identity ? us_json_print_line(identity) : NULL;
    char name[32];
    size_t length = 0;
    for (const char *c = device->name; *c && length < sizeof name - 1; c++)
        name[length++] =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ? *c
                                                                                             : '-';
    name[length] = '\0';
    if (folder && text &&
        asprintf(&path, "%s/tuning/%s-%s.json", folder, name, us_digest(text, strlen(text)).text) <
            0)
        path = NULL;
    free(folder);
    unseen_string_free(text);
    cJSON_Delete(identity);
    return path;
}

/* Of the kernels and of the program, whose default may have become better than an old winner. */
static unseen_status hash_sources(const us_tunable *tunable, us_digest_text *hash,
                                  unseen_error *error) {
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return us_fail_memory(error, "tuned parameters");
    us_digest_add(stream, unseen_version(), strlen(unseen_version()));
    unseen_status status = UNSEEN_OK;
    for (const char *const *source = tunable->sources; *source && status == UNSEEN_OK; source++) {
        char file[80], *text;
        snprintf(file, sizeof file, "%s.cl", *source);
        status = us_source_assemble(file, &text, error);
        if (status == UNSEEN_OK) us_digest_add(stream, text, strlen(text));
        if (status == UNSEEN_OK) free(text);
    }
    *hash = us_digest_end(stream);
    return status;
}

/* ---- the document: {format, device, kernels: {NAME: {source, shapes: {KEY: {parameters,
 * default_ms, best_ms}}}}} ---- */

/* NULL: not one of this device. */
static cJSON *parse(const us_device *device, const char *text) {
    cJSON *root = text ? cJSON_Parse(text) : NULL;
    cJSON *identity = describe_device(device);
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    bool ours = identity && cJSON_IsNumber(format) && format->valuedouble == FORMAT &&
                cJSON_Compare(cJSON_GetObjectItemCaseSensitive(root, "device"), identity, true);
    cJSON_Delete(identity);
    if (ours) return root;
    cJSON_Delete(root);
    return NULL;
}

static const char *name_of(const char *path) {
    return strrchr(path, '/') + 1;
}

static cJSON *load(const us_device *device, const char *path) {
    us_private_folder folder = {.descriptor = -1};
    char *text = NULL;
    size_t size;
    if (path && us_private_cache("tuning", false, &folder, NULL) == UNSEEN_OK)
        us_private_read(&folder, name_of(path), FILE_LIMIT, &text, &size, NULL);
    us_private_close(&folder);
    cJSON *root = parse(device, text);
    free(text);
    return root;
}

static cJSON *create_document(const us_device *device) {
    cJSON *root = cJSON_CreateObject(), *identity = describe_device(device);
    bool complete = cJSON_AddNumberToObject(root, "format", FORMAT) && identity &&
                    cJSON_AddItemToObject(root, "device", identity);
    if (complete) return root;
    if (!cJSON_GetObjectItemCaseSensitive(root, "device")) cJSON_Delete(identity);
    cJSON_Delete(root);
    return NULL;
}

/* The member, made an empty object unless it is an object already. */
static cJSON *member_object(cJSON *object, const char *name) {
    cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    if (cJSON_IsObject(member)) return member;
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    return cJSON_AddObjectToObject(object, name);
}

static bool add_milliseconds(cJSON *object, const char *name, double value) {
    return isfinite(value) ? cJSON_AddNumberToObject(object, name, value) != NULL
                           : cJSON_AddNullToObject(object, name) != NULL;
}

static bool put_entry(cJSON *root, const us_tunable *tunable, const char *hash, const char *key,
                      const us_tuning_entry *entry) {
    cJSON *kernel = member_object(member_object(root, "kernels"), tunable->name);
    const char *known = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(kernel, "source"));
    if (!known || strcmp(known, hash) != 0) {
        /* Other kernels than now: their winners say nothing. */
        cJSON_DeleteItemFromObjectCaseSensitive(kernel, "source");
        cJSON_DeleteItemFromObjectCaseSensitive(kernel, "shapes");
        if (!cJSON_AddStringToObject(kernel, "source", hash)) return false;
    }
    cJSON *shapes = member_object(kernel, "shapes");
    cJSON_DeleteItemFromObjectCaseSensitive(shapes, key);
    cJSON *shape = cJSON_AddObjectToObject(shapes, key);
    cJSON *parameters = cJSON_AddObjectToObject(shape, "parameters");
    bool complete = parameters != NULL;
    for (int i = 0; tunable->parameters[i]; i++)
        complete = complete &&
                   cJSON_AddNumberToObject(parameters, tunable->parameters[i], entry->values[i]);
    return complete && add_milliseconds(shape, "default_ms", entry->default_ms) &&
           add_milliseconds(shape, "best_ms", entry->best_ms);
}

static const cJSON *find_shape(const cJSON *root, const us_tunable *tunable, const char *hash,
                               const char *key) {
    const cJSON *kernels = cJSON_GetObjectItemCaseSensitive(root, "kernels");
    const cJSON *kernel = cJSON_GetObjectItemCaseSensitive(kernels, tunable->name);
    const char *known = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(kernel, "source"));
    const cJSON *shapes = cJSON_GetObjectItemCaseSensitive(kernel, "shapes");
    if (!known || strcmp(known, hash) != 0) return NULL;
    return cJSON_GetObjectItemCaseSensitive(shapes, key);
}

static bool read_entry(const cJSON *shape, const us_tunable *tunable, const void *spec,
                       us_tuning_entry *entry) {
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(shape, "parameters");
    int count = us_tunable_count(tunable);
    if (cJSON_GetArraySize(parameters) != count) return false;
    for (int i = 0; i < count; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(parameters, tunable->parameters[i]);
        if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= 1 << 30) ||
            item->valuedouble != (int)item->valuedouble)
            return false;
        entry->values[i] = (int)item->valuedouble;
    }
    const cJSON *default_ms = cJSON_GetObjectItemCaseSensitive(shape, "default_ms");
    const cJSON *best_ms = cJSON_GetObjectItemCaseSensitive(shape, "best_ms");
    entry->default_ms = cJSON_IsNumber(default_ms) ? default_ms->valuedouble : NAN;
    entry->best_ms = cJSON_IsNumber(best_ms) ? best_ms->valuedouble : NAN;
    return tunable->valid(spec, entry->values);
}

/* ---- opening ---- */

static unseen_status attach(us_device *device, char *path, cJSON *root, unseen_error *error) {
    us_tuning *tuning = calloc(1, sizeof *tuning);
    if (!tuning) {
        free(path);
        cJSON_Delete(root);
        return us_fail_memory(error, "tuned parameters");
    }
    tuning->path = path;
    tuning->root = root;
    us_tuning_close(device->tuning);
    device->tuning = tuning;
    return UNSEEN_OK;
}

unseen_status us_tuning_open(us_device *device, unseen_error *error) {
    char *path = file_path(device);
    return attach(device, path, load(device, path), error);
}

unseen_status us_tuning_restore(us_device *device, const char *record, bool *elsewhere,
                                unseen_error *error) {
    *elsewhere = false;
    if (!record) return attach(device, NULL, NULL, error);
    cJSON *root = cJSON_Parse(record);
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    bool whole = cJSON_IsNumber(format) &&
                 cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(root, "device")) &&
                 (!cJSON_HasObjectItem(root, "kernels") ||
                  cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(root, "kernels")));
    cJSON_Delete(root);
    if (!whole)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the record of the parameters that its kernels were built with is damaged");
    root = parse(device, record);
    *elsewhere = !root;
    if (!root) return us_tuning_open(device, error);
    US_TRY(attach(device, NULL, root, error));
    device->tuning->recorded = true;
    return UNSEEN_OK;
}

static void release_choice(us_tuning_choice *choice) {
    free(choice->spec);
    free(choice->key);
    free(choice);
}

void us_tuning_close(us_tuning *tuning) {
    if (!tuning) return;
    while (tuning->choices) {
        us_tuning_choice *choice = tuning->choices;
        tuning->choices = choice->next;
        release_choice(choice);
    }
    cJSON_Delete(tuning->root);
    free(tuning->path);
    free(tuning);
}

/* ---- choosing ---- */

/* Remembers what was chosen, once. */
static unseen_status remember(us_tuning *tuning, const us_tunable *tunable, const void *spec,
                              const char *key, const int *values, unseen_error *error) {
    us_tuning_choice **end = &tuning->choices;
    for (; *end; end = &(*end)->next)
        if ((*end)->tunable == tunable && strcmp((*end)->key, key) == 0) return UNSEEN_OK;
    us_tuning_choice *choice = calloc(1, sizeof *choice);
    if (choice) {
        choice->tunable = tunable;
        choice->key = strdup(key);
        choice->spec = malloc(tunable->spec_size);
    }
    if (!choice || !choice->key || !choice->spec) {
        if (choice) release_choice(choice);
        return us_fail_memory(error, "tuned parameters");
    }
    memcpy(choice->spec, spec, tunable->spec_size);
    memcpy(choice->values, values, (size_t)us_tunable_count(tunable) * sizeof *values);
    *end = choice;
    return UNSEEN_OK;
}

unseen_status us_tuning_find(const us_tunable *tunable, const void *spec, us_tuning_entry *entry,
                             bool *found, unseen_error *error) {
    us_tuning *tuning = device_of(spec)->tuning;
    us_digest_text hash;
    char key[US_TUNABLE_TEXT];
    *found = false;
    if (!tuning || !tuning->root) return UNSEEN_OK;
    US_TRY(hash_sources(tunable, &hash, error));
    tunable->key(spec, key);
    const cJSON *shape = find_shape(tuning->root, tunable, hash.text, key);
    *found = read_entry(shape, tunable, spec, entry);
    if (shape && !*found && tuning->recorded)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the checkpoint is damaged: no kernel %s can be built with the parameters "
                       "that it was made with",
                       tunable->name);
    return UNSEEN_OK;
}

unseen_status us_tuning_choose(const us_tunable *tunable, const void *spec, int *values,
                               unseen_error *error) {
    us_tuning *tuning = device_of(spec)->tuning;
    us_tuning_entry entry;
    bool found;
    US_TRY(us_tuning_find(tunable, spec, &entry, &found, error));
    if (found)
        memcpy(values, entry.values, (size_t)us_tunable_count(tunable) * sizeof *values);
    else
        tunable->defaults(spec, values);
    if (!tuning) return UNSEEN_OK;
    char key[US_TUNABLE_TEXT];
    tunable->key(spec, key);
    return remember(tuning, tunable, spec, key, values, error);
}

/* ---- writing ---- */

unseen_status us_tuning_record(const us_device *device, char **record, unseen_error *error) {
    *record = NULL;
    if (!device->tuning) return UNSEEN_OK;
    cJSON *root = create_document(device);
    unseen_status status = root ? UNSEEN_OK : us_fail_memory(error, "tuned parameters");
    const us_tuning_choice *choice = device->tuning->choices;
    for (; status == UNSEEN_OK && choice; choice = choice->next) {
        us_digest_text hash;
        us_tuning_entry entry = {.default_ms = NAN, .best_ms = NAN};
        memcpy(entry.values, choice->values, sizeof entry.values);
        status = hash_sources(choice->tunable, &hash, error);
        if (status == UNSEEN_OK &&
            !put_entry(root, choice->tunable, hash.text, choice->key, &entry))
            status = us_fail_memory(error, "tuned parameters");
    }
    if (status == UNSEEN_OK && !(*record = us_json_print_line(root)))
        status = us_fail_memory(error, "tuned parameters");
    cJSON_Delete(root);
    return status;
}

/* Here, other than in reading, the folder is what the user asks for. */
static unseen_status open_folder(us_private_folder *folder, unseen_error *error) {
    unseen_error why;
    if (us_private_cache("tuning", true, folder, &why) == UNSEEN_OK) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s; tuned parameters need a folder that is yours alone (UNSEEN_CACHE_DIR names "
                   "it)",
                   why.message);
}

unseen_status us_tuning_prepare(const us_device *device, unseen_error *error) {
    us_private_folder folder;
    if (!device->tuning->path)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "there is no folder to keep tuned parameters in: set UNSEEN_CACHE_DIR");
    US_TRY(open_folder(&folder, error));
    us_private_close(&folder);
    return UNSEEN_OK;
}

static unseen_status write_file(const char *path, const cJSON *root, unseen_error *error) {
    us_private_folder folder;
    US_TRY(open_folder(&folder, error));
    char *text = us_json_print(root);
    unseen_status status = text ? UNSEEN_OK : us_fail_memory(error, path);
    if (status == UNSEEN_OK) {
        const us_private_part part = {text, strlen(text)};
        status = us_private_write(&folder, name_of(path), &part, 1, error);
    }
    unseen_string_free(text);
    us_private_close(&folder);
    return status;
}

unseen_status us_tuning_store(const us_tunable *tunable, const void *spec,
                              const us_tuning_entry *entry, unseen_error *error) {
    us_device *device = device_of(spec);
    us_tuning *tuning = device->tuning;
    us_digest_text hash;
    char key[US_TUNABLE_TEXT];
    US_TRY(us_tuning_prepare(device, error));
    US_TRY(hash_sources(tunable, &hash, error));
    tunable->key(spec, key);
    cJSON *root = load(device, tuning->path);
    if (!root) root = create_document(device);
    if (!root || !put_entry(root, tunable, hash.text, key, entry)) {
        cJSON_Delete(root);
        return us_fail_memory(error, "tuned parameters");
    }
    cJSON_Delete(tuning->root);
    tuning->root = root;
    return write_file(tuning->path, root, error);
}

/* ---- what tunables share ---- */

int us_choices_add(int *choices, int count, int value) {
    int at = count;
    for (int i = 0; i < count; i++) {
        if (choices[i] == value) return count;
        if (choices[i] > value) {
            at = i;
            break;
        }
    }
    if (count == US_TUNABLE_CHOICES) return count;
    memmove(choices + at + 1, choices + at, (size_t)(count - at) * sizeof *choices);
    choices[at] = value;
    return count + 1;
}

int us_tiles_count(int size, int tile) {
    return (size + tile - 1) / tile;
}

int us_tiles_even(int size, int most) {
    return us_tiles_count(size, us_tiles_count(size, most));
}

int us_tiles_choices(int size, int most, int *choices) {
    int count = 0;
    for (int tile = 1; tile <= most && tile <= size; tile++)
        count = us_choices_add(choices, count, us_tiles_even(size, tile));
    return count;
}

int us_powers_choices(int most, int *choices) {
    int count = 0;
    for (int value = 1; value < most && count < US_TUNABLE_CHOICES - 1; value *= 2)
        choices[count++] = value;
    return us_choices_add(choices, count, most);
}
