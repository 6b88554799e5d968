/* SPDX-License-Identifier: MIT */
#include "tuning/tuning.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/private_file.h"
#include "device/program_source.h"

enum { FILE_LIMIT = 16 << 20, FORMAT = 2 };

/* ---- identity ---- */

/* What the speed of a kernel depends on besides the kernel. NULL: no memory. */
static cJSON *describe_device(const us_device_facts *device) {
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
static char *file_path(const us_device_facts *device) {
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

static unseen_status hash_source(const char *name, us_digest_stream *stream, unseen_error *error) {
    char file[80], *text;
    snprintf(file, sizeof file, "%s.cl", name);
    US_TRY(us_source_assemble(file, &text, error));
    us_digest_add(stream, text, strlen(text));
    free(text);
    return UNSEEN_OK;
}

/* The hash is of the kernels and of the program, whose default may have become better than an old
 * winner. */
static unseen_status hash_sources(const us_tunable *tunable, us_digest_text *hash,
                                  unseen_error *error) {
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return us_fail_memory(error, "tuned parameters");
    us_digest_add(stream, unseen_version(), strlen(unseen_version()));
    unseen_status status = UNSEEN_OK;
    for (const us_algorithm *const *algorithm = tunable->algorithms; *algorithm; algorithm++)
        for (const char *const *source = (*algorithm)->sources; *source; source++)
            if (status == UNSEEN_OK) status = hash_source(*source, stream, error);
    *hash = us_digest_end(stream);
    return status;
}

/* ---- the document: {format, device, kernels: {NAME: {source, shapes: {KEY: {algorithm,
 * parameters, default_ms, best_ms}}}}} ---- */

/* NULL: not one of this device. */
static cJSON *parse(const us_device_facts *device, const char *text) {
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

static cJSON *load(const us_device_facts *device, const char *path) {
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

static cJSON *create_document(const us_device_facts *device) {
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

bool us_choice_print(const us_tunable *tunable, const us_choice *choice, cJSON *object) {
    const us_algorithm *algorithm = us_choice_algorithm(tunable, choice);
    bool complete = cJSON_AddStringToObject(object, "algorithm", algorithm->name) != NULL;
    cJSON *parameters = cJSON_AddObjectToObject(object, "parameters");
    for (const us_parameter *p = algorithm->parameters; p->name; p++)
        complete = complete && cJSON_AddNumberToObject(parameters, p->name,
                                                       us_parameter_value(p, choice->parameters));
    return complete;
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
    return us_choice_print(tunable, &entry->choice, shape) &&
           us_json_add_number(shape, "default_ms", entry->default_ms) &&
           us_json_add_number(shape, "best_ms", entry->best_ms);
}

/* The algorithm of that name; -1: there is none. */
static int find_algorithm(const us_tunable *tunable, const char *name) {
    for (int i = 0; name && tunable->algorithms[i]; i++)
        if (strcmp(tunable->algorithms[i]->name, name) == 0) return i;
    return -1;
}

static bool read_choice(const cJSON *shape, const us_tunable *tunable, us_choice *choice) {
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(shape, "parameters");
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(shape, "algorithm");
    *choice = (us_choice){.algorithm = find_algorithm(tunable, cJSON_GetStringValue(name))};
    if (choice->algorithm < 0) return false;
    int count = 0;
    const us_parameter *p = us_choice_algorithm(tunable, choice)->parameters;
    for (; p[count].name; count++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(parameters, p[count].name);
        if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= 1 << 30) ||
            item->valuedouble != (int)item->valuedouble)
            return false;
        *us_parameter_in(&p[count], choice->parameters) = (int)item->valuedouble;
    }
    return cJSON_GetArraySize(parameters) == count;
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

static bool read_entry(const cJSON *shape, const us_tunable *tunable, us_tuning_entry *entry) {
    if (!read_choice(shape, tunable, &entry->choice)) return false;
    const cJSON *default_ms = cJSON_GetObjectItemCaseSensitive(shape, "default_ms");
    const cJSON *best_ms = cJSON_GetObjectItemCaseSensitive(shape, "best_ms");
    entry->default_ms = cJSON_IsNumber(default_ms) ? default_ms->valuedouble : NAN;
    entry->best_ms = cJSON_IsNumber(best_ms) ? best_ms->valuedouble : NAN;
    return true;
}

/* ---- opening ---- */

/* Takes path and root, also on failure. */
static unseen_status replace(us_tuning **tuning, const us_device_facts *device, char *path,
                             cJSON *root, unseen_error *error) {
    us_tuning *made = calloc(1, sizeof *made);
    if (!made) {
        free(path);
        cJSON_Delete(root);
        return us_fail_memory(error, "tuned parameters");
    }
    made->device = *device;
    made->path = path;
    made->root = root;
    us_tuning_close(tuning);
    *tuning = made;
    return UNSEEN_OK;
}

unseen_status us_tuning_open(const us_device_facts *device, us_tuning **tuning,
                             unseen_error *error) {
    char *path = file_path(device);
    return replace(tuning, device, path, load(device, path), error);
}

unseen_status us_tuning_restore(const us_device_facts *device, const char *record,
                                us_tuning **tuning, bool *elsewhere, unseen_error *error) {
    *elsewhere = false;
    if (!record) return replace(tuning, device, NULL, NULL, error);
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
    if (!root) return us_tuning_open(device, tuning, error);
    US_TRY(replace(tuning, device, NULL, root, error));
    (*tuning)->recorded = true;
    return UNSEEN_OK;
}

static void release_made(us_tuning_made *made) {
    free(made->problem);
    free(made->key);
    free(made);
}

void us_tuning_close(us_tuning **tuning) {
    us_tuning *closed = *tuning;
    if (!closed) return;
    *tuning = NULL;
    while (closed->made) {
        us_tuning_made *made = closed->made;
        closed->made = made->next;
        release_made(made);
    }
    cJSON_Delete(closed->root);
    free(closed->path);
    free(closed);
}

/* ---- choosing ---- */

/* Remembers what was chosen, once. */
static unseen_status remember(us_tuning *tuning, const us_tunable *tunable, const void *problem,
                              const us_choice *choice, unseen_error *error) {
    char key[US_TUNABLE_TEXT];
    tunable->key(problem, key);
    us_tuning_made **end = &tuning->made;
    for (; *end; end = &(*end)->next)
        if ((*end)->tunable == tunable && strcmp((*end)->key, key) == 0) return UNSEEN_OK;
    us_tuning_made *made = calloc(1, sizeof *made);
    if (made) {
        made->tunable = tunable;
        made->key = strdup(key);
        made->problem = malloc(tunable->problem_size);
        made->choice = *choice;
    }
    if (!made || !made->key || !made->problem) {
        if (made) release_made(made);
        return us_fail_memory(error, "tuned parameters");
    }
    memcpy(made->problem, problem, tunable->problem_size);
    *end = made;
    return UNSEEN_OK;
}

unseen_status us_tuning_find(const us_tuning *tuning, const us_tunable *tunable,
                             const void *problem, us_tuning_entry *entry, bool *found,
                             unseen_error *error) {
    us_digest_text hash;
    char key[US_TUNABLE_TEXT];
    *found = false;
    if (!tuning->root) return UNSEEN_OK;
    US_TRY(hash_sources(tunable, &hash, error));
    tunable->key(problem, key);
    const cJSON *shape = find_shape(tuning->root, tunable, hash.text, key);
    *found = read_entry(shape, tunable, entry) &&
             us_choice_algorithm(tunable, &entry->choice)
                 ->valid(&tuning->device, problem, entry->choice.parameters);
    if (shape && !*found && tuning->recorded)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the checkpoint is damaged: no kernel %s can be built with the parameters "
                       "that it was made with",
                       tunable->name);
    return UNSEEN_OK;
}

unseen_status us_tuning_choose(us_tuning *tuning, const us_device_facts *device,
                               const us_tunable *tunable, const void *problem, us_choice *choice,
                               unseen_error *error) {
    us_tuning_entry entry;
    bool found = false;
    if (tuning) US_TRY(us_tuning_find(tuning, tunable, problem, &entry, &found, error));
    *choice = found ? entry.choice : us_tunable_default(tunable, device, problem);
    return tuning ? remember(tuning, tunable, problem, choice, error) : UNSEEN_OK;
}

/* ---- writing ---- */

/* Once for each tunable: a checkpoint may be written many times a second. */
static unseen_status hash_made(const us_tuning *tuning, us_tuning_made *made, unseen_error *error) {
    if (*made->source.text) return UNSEEN_OK;
    for (const us_tuning_made *other = tuning->made; other != made; other = other->next)
        if (other->tunable == made->tunable) {
            made->source = other->source;
            return UNSEEN_OK;
        }
    return hash_sources(made->tunable, &made->source, error);
}

unseen_status us_tuning_record(us_tuning *tuning, char **record, unseen_error *error) {
    *record = NULL;
    if (!tuning) return UNSEEN_OK;
    cJSON *root = create_document(&tuning->device);
    unseen_status status = root ? UNSEEN_OK : us_fail_memory(error, "tuned parameters");
    us_tuning_made *made = tuning->made;
    for (; status == UNSEEN_OK && made; made = made->next) {
        const us_tuning_entry entry = {made->choice, NAN, NAN};
        status = hash_made(tuning, made, error);
        if (status == UNSEEN_OK &&
            !put_entry(root, made->tunable, made->source.text, made->key, &entry))
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
    errno = 0;
    if (us_private_cache("tuning", true, folder, &why) == UNSEEN_OK) return UNSEEN_OK;
    if (errno == ENOMEM) return us_fail(error, UNSEEN_FAILURE, "%s", why.message);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s; tuned parameters need a folder that is yours alone (UNSEEN_CACHE_DIR names "
                   "it)",
                   why.message);
}

unseen_status us_tuning_prepare(const us_tuning *tuning, unseen_error *error) {
    us_private_folder folder;
    if (!tuning->path) {
        char *cache = us_cache_folder();
        bool is_set = cache != NULL;
        free(cache);
        if (is_set) return us_fail_memory(error, "the name of the file of tuned parameters");
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "there is no folder to keep tuned parameters in: set UNSEEN_CACHE_DIR");
    }
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

unseen_status us_tuning_store(us_tuning *tuning, const us_tunable *tunable, const void *problem,
                              const us_tuning_entry *entry, unseen_error *error) {
    us_digest_text hash;
    char key[US_TUNABLE_TEXT];
    US_TRY(us_tuning_prepare(tuning, error));
    US_TRY(hash_sources(tunable, &hash, error));
    tunable->key(problem, key);
    cJSON *root = load(&tuning->device, tuning->path);
    if (!root) root = create_document(&tuning->device);
    if (!root || !put_entry(root, tunable, hash.text, key, entry)) {
        cJSON_Delete(root);
        return us_fail_memory(error, "tuned parameters");
    }
    cJSON_Delete(tuning->root);
    tuning->root = root;
    return write_file(tuning->path, root, error);
}
