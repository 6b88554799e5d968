/* SPDX-License-Identifier: MIT */
#include "training/members.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* What the outer config itself reads of /scoring; the first three are the members', too. */
#define JOINED(field) offsetof(struct unseen_config, field)
static const char *const joins[] = {"norm", "sum", "maximum", NULL};
static const us_key scoring_keys[] = {
    {.name = "false_positive_rate",
     .kind = US_KEY_NUMBER,
     .offset = JOINED(detector.scoring.false_positive_rate),
     .maximum = 0.5,
     .above_minimum = true,
     .fallback = {0.05},
     .help = "Share of normal images that the calibrated threshold may call anomalous"},
    {.name = "map_smoothing",
     .kind = US_KEY_NUMBER,
     .offset = JOINED(detector.scoring.map_smoothing),
     .maximum = 1000,
     .fallback = {1},
     .help = "Standard deviation, in pixels, of the Gaussian that smooths maps"},
    {.name = "top_windows",
     .kind = US_KEY_INT,
     .offset = JOINED(detector.scoring.top_windows),
     .minimum = 1,
     .maximum = 1000000,
     .fallback = {1},
     .help = "Windows of an image whose largest scores count"},
    {.name = "join",
     .kind = US_KEY_CHOICE,
     .offset = JOINED(joining.join),
     .choices = joins,
     .help = "How the scores of members become one"},
    {.name = "weights", .kind = US_KEY_OBJECT, .help = "Factors on the weights of members"},
    {.kind = US_KEY_END},
};
enum { OF_MEMBERS_TOO = 3 };
static const double usual_held_out = 0.1;

static const us_key seeds_keys[] = {
    {.name = "seeds",
     .kind = US_KEY_INT,
     .minimum = 1,
     .maximum = US_MEMBERS_MOST,
     .fallback = {1},
     .help = "As how many members, with rising seeds, this one is trained"},
    {.kind = US_KEY_END},
};

/* ---- what members take from the outer config ---- */

/* Gives `own` what only `common` has. */
static bool complete(cJSON *own, const cJSON *common) {
    const cJSON *item;
    if (!cJSON_IsObject(own) || !cJSON_IsObject(common)) return true;
    cJSON_ArrayForEach(item, common) {
        cJSON *there = cJSON_GetObjectItemCaseSensitive(own, item->string);
        if (there ? !complete(there, item)
                  : !cJSON_AddItemToObject(own, item->string, cJSON_Duplicate(item, true)))
            return false;
    }
    return true;
}

static unseen_status inherit(const us_json *config, us_json *member, unseen_error *error) {
    static const char *const shared[] = {"input", "training"};
    for (int i = 0; i < 2; i++) {
        const cJSON *common = us_json_member(config, shared[i]).value;
        us_json own = us_json_member_object(member, shared[i]);
        if (!own.value || (common && !complete(own.value, common)))
            return us_fail_memory(error, "a config");
    }
    const us_json common = us_json_member(config, "scoring");
    us_json own = us_json_member_object(member, "scoring");
    if (!own.value) return us_fail_memory(error, "a config");
    for (int i = 0; common.value && cJSON_IsObject(own.value) && i < OF_MEMBERS_TOO; i++) {
        const char *name = scoring_keys[i].name;
        const cJSON *item = us_json_member(&common, name).value;
        if (item && !us_json_member(&own, name).value &&
            !cJSON_AddItemToObject(own.value, name, cJSON_Duplicate(item, true)))
            return us_fail_memory(error, "a config");
    }
    return UNSEEN_OK;
}

static unseen_status check_count(const us_json *members, unseen_error *error) {
    const int count = cJSON_GetArraySize(members->value);
    if (count >= 1 && count <= US_MEMBERS_MOST) return UNSEEN_OK;
    return us_json_fail(members, error, "expected 1 to %d members, found %d", US_MEMBERS_MOST,
                        count);
}

/* ---- files ---- */

static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    char *joined = NULL;
    if (name[0] == '/' || !slash) return strdup(name);
    if (asprintf(&joined, "%.*s%s", (int)(slash - path) + 1, path, name) < 0) return NULL;
    return joined;
}

/* A member that is the path of a config becomes what that file holds. */
static unseen_status load(us_json *member, unseen_error *error) {
    char *path = beside(member->file, member->value->valuestring);
    if (!path) return us_fail_memory(error, "a path");
    us_json file;
    unseen_status status = us_json_load(path, &file, error);
    free(path);
    if (status != UNSEEN_OK) us_error_context(error, "%s: %s", member->file, member->pointer);
    US_TRY(status);
    cJSON_DeleteItemFromObjectCaseSensitive(file.value, "$schema");
    /* In place, as nothing else keeps its position in the array. */
    cJSON *value = member->value;
    free(value->valuestring);
    value->valuestring = NULL;
    value->type = file.value->type;
    value->child = file.value->child;
    file.value->child = NULL;
    if (cJSON_IsString(file.value) || cJSON_IsArray(file.value) || !cJSON_IsObject(file.value))
        status = us_json_fail(member, error, "that file holds no config");
    cJSON_Delete(file.value);
    return status;
}

unseen_status us_members_place(us_json *config, unseen_error *error) {
    const us_json members =
        cJSON_IsObject(config->value) ? us_json_member(config, "members") : (us_json){0};
    if (!cJSON_IsArray(members.value)) return UNSEEN_OK;
    US_TRY(check_count(&members, error));
    for (int i = 0; i < cJSON_GetArraySize(members.value); i++) {
        us_json member = us_json_element(&members, i);
        if (cJSON_IsString(member.value)) US_TRY(load(&member, error));
        if (!cJSON_IsObject(member.value))
            return us_json_fail(&member, error, "expected a config, or the path of one");
        US_TRY(inherit(config, &member, error));
    }
    return UNSEEN_OK;
}

/* ---- overrides ---- */

static bool begins(const char *pointer, const char *with) {
    const size_t length = strlen(with);
    return strncmp(pointer, with, length) == 0 &&
           (pointer[length] == '/' || pointer[length] == '=');
}

/* Whether members take what an override sets, given without its first '/'. */
static bool is_common(const char *pointer) {
    if (begins(pointer, "input") || begins(pointer, "training")) return true;
    if (!begins(pointer, "scoring") || pointer[strlen("scoring")] != '/') return false;
    for (int i = 0; i < OF_MEMBERS_TOO; i++)
        if (begins(pointer + strlen("scoring/"), scoring_keys[i].name)) return true;
    return false;
}

unseen_status us_members_override(us_json *config, const char *override, unseen_error *error) {
    US_TRY(us_json_override(config, override, error));
    const char *pointer = override + (*override == '/');
    if (begins(pointer, "members")) return us_members_place(config, error);
    const us_json members = us_json_member(config, "members");
    if (!cJSON_IsArray(members.value) || !is_common(pointer)) return UNSEEN_OK;
    for (int i = 0; i < cJSON_GetArraySize(members.value); i++) {
        char *own = NULL;
        if (asprintf(&own, "/members/%d/%s", i, pointer) < 0)
            return us_fail_memory(error, "an override");
        unseen_status status = us_json_override(config, own, error);
        free(own);
        US_TRY(status);
    }
    return UNSEEN_OK;
}

/* ---- reading ---- */

static unseen_status check_name(const us_json *member, unseen_error *error) {
    const us_json name = us_json_member(member, "name");
    const char *text = cJSON_GetStringValue(name.value);
    if (!name.value)
        return us_json_fail(member, error,
                            "the key \"name\" is missing: a member's scores are called by it");
    bool fine = text && *text && *text != '.' && strlen(text) <= US_MEMBERS_NAME;
    for (const char *c = text; fine && *c; c++)
        fine = isalnum((unsigned char)*c) || strchr("._-", *c);
    if (fine && strcmp(text, "combined") != 0 && strcmp(text, "anomalous") != 0) return UNSEEN_OK;
    return us_json_fail(&name, error,
                        "a member's name is a folder's and a column's: expected 1 to %d letters, "
                        "digits, '.', '_' or '-', not \"combined\" or \"anomalous\"",
                        US_MEMBERS_NAME);
}

/* A member of several seeds becomes so many members. */
static unseen_status repeat(const us_json *members, int *index, unseen_error *error) {
    us_json member = us_json_element(members, *index);
    cJSON *given = cJSON_DetachItemFromObjectCaseSensitive(member.value, "seeds");
    int seeds = 1;
    if (!given) return UNSEEN_OK;
    us_json alone = {.file = member.file, .value = cJSON_CreateObject()};
    strcpy(alone.pointer, member.pointer);
    unseen_status status = UNSEEN_OK;
    if (!alone.value || !cJSON_AddItemToObject(alone.value, "seeds", given)) {
        cJSON_Delete(given);
        status = us_fail_memory(error, "a config");
    }
    if (status == UNSEEN_OK) status = us_json_read(&alone, seeds_keys, &seeds, error);
    cJSON_Delete(alone.value);
    if (status == UNSEEN_OK) status = check_name(&member, error);
    US_TRY(status);
    us_json training = us_json_member(&member, "training");
    const cJSON *seed = us_json_member(&training, "seed").value;
    const double first = cJSON_IsNumber(seed) ? seed->valuedouble : 1;
    const char *name = us_json_member(&member, "name").value->valuestring;
    for (int s = 0; seeds > 1 && s < seeds; s++) {
        char own[64];
        snprintf(own, sizeof own, "%.40s-%d", name, s + 1);
        cJSON *copy = cJSON_Duplicate(member.value, true);
        cJSON *training_copy = cJSON_GetObjectItemCaseSensitive(copy, "training");
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "name");
        cJSON_DeleteItemFromObjectCaseSensitive(training_copy, "seed");
        if (!cJSON_AddStringToObject(copy, "name", own) ||
            !cJSON_AddNumberToObject(training_copy, "seed", first + s) ||
            !cJSON_InsertItemInArray(members->value, *index + 1 + s, copy))
            return us_fail_memory(error, "a config");
    }
    if (seeds > 1) cJSON_DeleteItemFromArray(members->value, *index);
    *index += seeds - 1;
    return UNSEEN_OK;
}

/* In the place of what is there, so that a resolved config resolves to the same text. */
static bool set_number(cJSON *object, const char *name, double value) {
    if (!cJSON_GetObjectItemCaseSensitive(object, name))
        return cJSON_AddNumberToObject(object, name, value);
    cJSON *number = cJSON_CreateNumber(value);
    return number && cJSON_ReplaceItemInObjectCaseSensitive(object, name, number);
}

/* The member's document as a config of its own. */
static unseen_status make_document(const struct unseen_config *config, const us_json *member,
                                   cJSON **document, unseen_error *error) {
    const us_training_settings *outer = &config->training;
    const char *const not_here[] = {"data", "members"};
    for (int i = 0; i < 2; i++) {
        const us_json key = us_json_member(member, not_here[i]);
        if (key.value)
            return us_json_fail(&key, error,
                                "a member has no %s of its own: it is one detector, "
                                "on the images of the whole",
                                not_here[i]);
    }
    US_TRY(check_name(member, error));
    cJSON *copy = *document = cJSON_Duplicate(member->value, true);
    cJSON *training = cJSON_GetObjectItemCaseSensitive(copy, "training");
    cJSON *data = cJSON_Duplicate(us_json_member(&config->root, "data").value, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "$schema");
    if (!data || !cJSON_AddItemToObject(copy, "data", data)) {
        cJSON_Delete(data);
        return us_fail_memory(error, "a config");
    }
    if (!cJSON_IsObject(training)) return UNSEEN_OK; /* an error of its own */
    const int64_t seed = outer->held_out_seed < 0 ? outer->seed : outer->held_out_seed;
    if (set_number(training, "held_out", outer->held_out) &&
        set_number(training, "held_out_seed", (double)seed))
        return UNSEEN_OK;
    return us_fail_memory(error, "a config");
}

/* Into the outer document, completed, but for the data. */
static bool put_back(const struct unseen_config *config, const us_json *members, int index) {
    cJSON *copy = cJSON_Duplicate(config->root.value, true);
    if (!copy) return false;
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "data");
    return cJSON_ReplaceItemInArray(members->value, index, copy);
}

static unseen_status read_member(struct unseen_config *config, const us_json *members, int index,
                                 unseen_error *error) {
    const us_json member = us_json_element(members, index);
    struct unseen_config *own = calloc(1, sizeof *own);
    if (!own) return us_fail_memory(error, "a config");
    config->members[index] = own;
    config->member_count = index + 1;
    if (!(own->path = strdup(config->path))) return us_fail_memory(error, "a config");
    own->root = (us_json){.file = own->path};
    strcpy(own->root.pointer, member.pointer);
    US_TRY(make_document(config, &member, &own->root.value, error));
    US_TRY(us_config_fill(own, error));
    for (int i = 0; i < index; i++)
        if (strcmp(config->members[i]->name, own->name) == 0) {
            const us_json name = us_json_member(&member, "name");
            return us_json_fail(&name, error, "there are two members called \"%s\"", own->name);
        }
    return put_back(own, members, index) ? UNSEEN_OK : us_fail_memory(error, "a config");
}

/* The outer config's own part of /training; what else is there is for the members, which check it.
 */
static unseen_status read_training(struct unseen_config *config, unseen_error *error) {
    us_json training = us_json_member_object(&config->root, "training");
    us_json copy = training;
    copy.value = cJSON_Duplicate(training.value, true);
    if (!copy.value) return us_fail_memory(error, "a config");
    unseen_status status = UNSEEN_OK;
    if (cJSON_IsObject(copy.value) && !us_json_member(&copy, "held_out").value &&
        !cJSON_AddNumberToObject(copy.value, "held_out", usual_held_out))
        status = us_fail_memory(error, "a config");
    if (status == UNSEEN_OK)
        status = us_json_read(&copy, us_training_keys, &config->training, error);
    cJSON_Delete(copy.value);
    US_TRY(status);
    const us_training_settings *own = &config->training;
    config->detector.precision = (us_precision)own->precision;
    if (set_number(training.value, "seed", (double)own->seed) &&
        set_number(training.value, "batch", own->batch) &&
        set_number(training.value, "held_out", own->held_out))
        return UNSEEN_OK;
    return us_fail_memory(error, "a config");
}

static unseen_status read_weights(struct unseen_config *config, us_json *scoring,
                                  unseen_error *error) {
    us_key keys[US_MEMBERS_MOST + 1] = {0};
    us_json weights = us_json_member_object(scoring, "weights");
    if (!weights.value) return us_fail_memory(error, "a config");
    for (int i = 0; i < config->member_count; i++)
        keys[i] = (us_key){.name = config->members[i]->name,
                           .kind = US_KEY_NUMBER,
                           .offset = (size_t)i * sizeof(double),
                           .maximum = 1e6,
                           .fallback = {1}};
    keys[config->member_count].kind = US_KEY_END;
    return us_json_read(&weights, keys, config->joining.weights, error);
}

unseen_status us_members_read(struct unseen_config *config, unseen_error *error) {
    static const char *const not_here[] = {"networks", "detector"};
    const us_json members = us_json_member(&config->root, "members");
    for (int i = 0; i < 2; i++) {
        const us_json key = us_json_member(&config->root, not_here[i]);
        if (key.value)
            return us_json_fail(&key, error, "a config with members has no %s of its own",
                                not_here[i]);
    }
    config->detector.input = config->input;
    us_json scoring = us_json_member_object(&config->root, "scoring");
    if (!scoring.value) return us_fail_memory(error, "a config");
    US_TRY(us_json_read(&scoring, scoring_keys, config, error));
    US_TRY(read_training(config, error));
    for (int i = 0; i < cJSON_GetArraySize(members.value); i++)
        US_TRY(repeat(&members, &i, error));
    US_TRY(check_count(&members, error));
    const int count = cJSON_GetArraySize(members.value);
    config->members = calloc((size_t)count, sizeof(struct unseen_config *));
    if (!config->members) return us_fail_memory(error, "a config");
    for (int i = 0; i < count; i++)
        US_TRY(read_member(config, &members, i, error));
    return read_weights(config, &scoring, error);
}

void us_members_release(struct unseen_config *config) {
    for (int i = 0; i < config->member_count; i++)
        unseen_config_free(config->members[i]);
    free(config->members);
    config->members = NULL;
    config->member_count = 0;
}

/* ---- schema ---- */

cJSON *us_members_schema(void) {
    static const char *const same[] = {"name", "description", "networks", "detector", "scoring"};
    cJSON *schema = cJSON_CreateObject(), *seeds = us_json_schema(seeds_keys);
    cJSON *items = cJSON_AddObjectToObject(schema, "items");
    cJSON *either = cJSON_AddArrayToObject(items, "anyOf");
    cJSON *path = cJSON_CreateObject(), *config = cJSON_CreateObject();
    cJSON_AddItemToArray(either, path);
    cJSON_AddItemToArray(either, config);
    cJSON *properties = cJSON_AddObjectToObject(config, "properties");
    bool done = cJSON_AddStringToObject(schema, "type", "array") &&
                cJSON_AddNumberToObject(schema, "minItems", 1) &&
                cJSON_AddNumberToObject(schema, "maxItems", US_MEMBERS_MOST) &&
                cJSON_AddStringToObject(path, "type", "string") &&
                cJSON_AddStringToObject(config, "type", "object") && properties &&
                cJSON_AddFalseToObject(config, "additionalProperties");
    for (size_t i = 0; done && i < sizeof same / sizeof *same; i++) {
        char reference[64];
        snprintf(reference, sizeof reference, "#/properties/%s", same[i]);
        done = cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, same[i]), "$ref",
                                       reference);
    }
    /* Of these a member needs to say but a part. */
    static const char *const parts[] = {"input", "training"};
    for (int i = 0; done && i < 2; i++)
        done = cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, parts[i]), "type",
                                       "object");
    cJSON *seed = cJSON_DetachItemFromObjectCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(seeds, "properties"), "seeds");
    done = done && seed && cJSON_AddItemToObject(properties, "seeds", seed) &&
           cJSON_AddStringToObject(schema, "description",
                                   "Instead of networks and detector: configs or paths of them, "
                                   "whose models' scores are joined");
    cJSON_Delete(seeds);
    if (done) return schema;
    cJSON_Delete(schema);
    return NULL;
}
