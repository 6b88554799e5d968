/* SPDX-License-Identifier: MIT */
/* Reading a config: the tables of its keys, and their schema. */
#include "training/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/fit.h"
#include "data/images.h"
#include "training/members.h"

#define CONFIG(field) offsetof(struct unseen_config, field)
#define DATA(field) offsetof(us_data_settings, field)

static const us_key root_keys[] = {
    {.name = "name",
     .kind = US_KEY_STRING,
     .offset = CONFIG(name),
     .fallback_string = "model",
     .help = "Short name of the model"},
    {.name = "description",
     .kind = US_KEY_STRING,
     .offset = CONFIG(description),
     .help = "What the model is, in a sentence"},
    {.name = "input",
     .kind = US_KEY_OBJECT,
     .required = true,
     .help = "The images that the networks see"},
    {.name = "networks",
     .kind = US_KEY_OBJECT,
     .help = "The detector's networks by name, each a list of layers; only patch_density has none"},
    {.name = "detector",
     .kind = US_KEY_OBJECT,
     .help = "How the networks are trained together and how an image is scored"},
    {.name = "members",
     .kind = US_KEY_ARRAY,
     .help = "Instead of networks and detector: several configs, whose scores are joined"},
    {.name = "training", .kind = US_KEY_OBJECT, .help = "How long and how to train"},
    {.name = "scoring", .kind = US_KEY_OBJECT, .help = "How scores are computed and combined"},
    {.name = "data",
     .kind = US_KEY_OBJECT,
     .help = "Files; usually given on the command line instead"},
    {.kind = US_KEY_END},
};

static const us_key input_keys[] = {
    {.name = "channels",
     .kind = US_KEY_INT,
     .offset = CONFIG(input.channels),
     .required = true,
     .minimum = 1,
     .maximum = 16,
     .help = "Channels: 1 for grey, 3 for RGB"},
    {.name = "height",
     .kind = US_KEY_INT,
     .offset = CONFIG(input.height),
     .required = true,
     .minimum = 1,
     .maximum = 4096,
     .help = "Height in pixels; images of another one are made to fit"},
    {.name = "width",
     .kind = US_KEY_INT,
     .offset = CONFIG(input.width),
     .required = true,
     .minimum = 1,
     .maximum = 4096,
     .help = "Width in pixels"},
    {.name = "range",
     .kind = US_KEY_CHOICE,
     .offset = CONFIG(range),
     .choices = us_range_names,
     .help =
         "The numbers that black and white have in the files; auto: as the training file tells"},
    {.name = "layout",
     .kind = US_KEY_CHOICE,
     .offset = CONFIG(layout),
     .choices = us_layout_names,
     .help =
         "Which axis of the files is which: N images of H rows, W columns and C channels; auto: "
         "as their shape and this input tell"},
    {.name = "fit",
     .kind = US_KEY_CHOICE,
     .offset = CONFIG(fit),
     .choices = us_fit_names,
     .help = "How images of another size fit: resized whatever their proportions; in the middle "
             "with black around them; cropped to the middle; or as they are, cut into "
             "overlapping windows of this size, of which the highest scores count"},
    {.name = "overlap",
     .kind = US_KEY_NUMBER,
     .offset = CONFIG(overlap),
     .minimum = 0,
     .maximum = 0.9,
     .fallback = {0.25},
     .help = "With fit \"tile\": the share of a window that its neighbour has, too, at least"},
    {.kind = US_KEY_END},
};

static const us_key data_keys[] = {
    [US_DATA_TRAIN] =
        {.name = "train",
         .kind = US_KEY_STRING,
         .offset = DATA(train),
         .help = "Training images: .npy or IDX, or photographs (a folder, a list, an archive)"},
    [US_DATA_TRAIN_LABELS] = {.name = "train_labels",
                              .kind = US_KEY_STRING,
                              .offset = DATA(train_labels),
                              .help =
                                  "Classes of the training images, to keep only the normal one"},
    [US_DATA_TEST] = {.name = "test",
                      .kind = US_KEY_STRING,
                      .offset = DATA(test),
                      .help = "Images to score"},
    [US_DATA_LABELS] = {.name = "labels",
                        .kind = US_KEY_STRING,
                        .offset = DATA(labels),
                        .help = "Labels of the test images: 0 normal, 1 anomalous; or classes, "
                                "with normal"},
    [US_DATA_MASKS] = {.name = "masks",
                       .kind = US_KEY_STRING,
                       .offset = DATA(masks),
                       .help = "Masks of the test images: an array (number, height, width; 0 where "
                               "an image is normal), or photographs"},
    [US_DATA_FILES] = {.name = "normal",
                       .kind = US_KEY_STRING,
                       .offset = DATA(normal),
                       .help = "The normal class; every other class is anomalous"},
    {.name = "label_column",
     .kind = US_KEY_STRING,
     .offset = DATA(label_column),
     .help = "The column of labels in tables of them; else told by its name"},
    {.name = "object",
     .kind = US_KEY_STRING,
     .offset = DATA(object),
     .help = "Of lists of photographs, the rows that have this in their column object"},
    {.kind = US_KEY_END},
};

us_data_file us_data_file_of(const us_data_settings *data, int which) {
    static const char *const contents[US_DATA_FILES] = {
        [US_DATA_TRAIN] = "the training images",
        [US_DATA_TRAIN_LABELS] = "the labels of the training images",
        [US_DATA_TEST] = "the images to score",
        [US_DATA_LABELS] = "the labels of the images to score",
        [US_DATA_MASKS] = "the masks of the images to score",
    };
    const us_key *key = &data_keys[which];
    const char *path;
    memcpy(&path, (const char *)data + key->offset, sizeof path);
    return (us_data_file){.key = key->name, .what = contents[which], .path = path};
}

/* ---- reading ---- */

static unseen_status read_data(us_json *root, us_data_settings *settings, unseen_error *error) {
    us_json data = us_json_member_object(root, "data");
    if (!data.value) return us_fail_memory(error, "a config");
    /* Classes are numbers, so 7 is as good as "7". */
    us_json normal = us_json_member(&data, "normal");
    if (cJSON_IsNumber(normal.value)) {
        char text[32];
        snprintf(text, sizeof text, "%.17g", normal.value->valuedouble);
        if (!cJSON_ReplaceItemInObjectCaseSensitive(data.value, "normal", cJSON_CreateString(text)))
            return us_fail_memory(error, "a config");
    }
    return us_json_read(&data, data_keys, settings, error);
}

static unseen_status require(const us_json *root, const char *name, unseen_error *error) {
    if (us_json_member(root, name).value) return UNSEEN_OK;
    const us_key *key = root_keys;
    while (strcmp(key->name, name) != 0)
        key++;
    return us_json_fail(root, error, "the key \"%s\" is missing: %s", name, key->help);
}

unseen_status us_config_fill(struct unseen_config *config, unseen_error *error) {
    const bool joined = us_json_member(&config->root, "members").value != NULL;
    US_TRY(us_json_read(&config->root, root_keys, config, error));
    us_json input = us_json_member(&config->root, "input");
    US_TRY(us_json_read(&input, input_keys, config, error));
    if (joined) {
        US_TRY(read_data(&config->root, &config->data, error));
        return us_members_read(config, error);
    }
    US_TRY(require(&config->root, "detector", error));
    US_TRY(us_detector_spec_read(&config->root, config->input, &config->detector, error));
    US_TRY(us_training_settings_read(config, error));
    return read_data(&config->root, &config->data, error);
}

int64_t us_config_parameters(const unseen_config *config) {
    int64_t sum = 0;
    for (int i = 0; i < config->detector.network_count; i++)
        sum += us_network_spec_parameters(&config->detector.networks[i]);
    for (int i = 0; i < config->member_count; i++)
        sum += us_config_parameters(config->members[i]);
    return sum;
}

unseen_status us_config_read(const char *path, const cJSON *document, const char *const *overrides,
                             size_t override_count, unseen_config **out, unseen_error *error) {
    *out = NULL;
    struct unseen_config *config = calloc(1, sizeof *config);
    if (!config || !(config->path = strdup(path))) {
        free(config);
        return us_fail_memory(error, "a config");
    }
    unseen_status status = UNSEEN_OK;
    config->root = (us_json){.file = config->path, .value = cJSON_Duplicate(document, true)};
    if (!config->root.value) status = us_fail_memory(error, "a config");
    if (status == UNSEEN_OK) status = us_members_place(&config->root, error);
    for (size_t i = 0; status == UNSEEN_OK && i < override_count; i++)
        status = us_members_override(&config->root, overrides[i], error);
    if (status == UNSEEN_OK) status = us_config_fill(config, error);
    if (status == UNSEEN_OK)
        *out = config;
    else
        unseen_config_free(config);
    return status;
}

unseen_status unseen_config_load(const char *path, const char *const *overrides,
                                 size_t override_count, unseen_config **config,
                                 unseen_error *error) {
    us_json root = {0};
    *config = NULL;
    US_TRY(us_json_load(path, &root, error));
    unseen_status status =
        us_config_read(path, root.value, overrides, override_count, config, error);
    cJSON_Delete(root.value);
    return status;
}

void unseen_config_free(unseen_config *config) {
    if (!config) return;
    us_members_release(config);
    us_detector_spec_release(&config->detector);
    us_json_release(data_keys, &config->data);
    us_json_release(root_keys, config);
    cJSON_Delete(config->root.value);
    free(config->path);
    free(config);
}

unseen_status unseen_config_resolved(const unseen_config *config, char **json,
                                     unseen_error *error) {
    *json = us_json_print(config->root.value);
    return *json ? UNSEEN_OK : us_fail_memory(error, "a config");
}

/* ---- schema ---- */

/* A config has networks and a detector, or members. */
static bool require_either(cJSON *schema) {
    static const char *const one[] = {"networks", "detector"}, *const other[] = {"members"};
    cJSON *either = cJSON_AddArrayToObject(schema, "anyOf");
    cJSON *detector = cJSON_CreateObject(), *members = cJSON_CreateObject();
    return cJSON_AddItemToArray(either, detector) && cJSON_AddItemToArray(either, members) &&
           cJSON_AddItemToObject(detector, "required", cJSON_CreateStringArray(one, 2)) &&
           cJSON_AddItemToObject(members, "required", cJSON_CreateStringArray(other, 1));
}

unseen_status unseen_config_schema(char **json, unseen_error *error) {
    cJSON *schema = us_json_schema(root_keys);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    bool complete = us_json_schema_replace(schema, "input", us_json_schema(input_keys)) &&
                    us_json_schema_replace(schema, "training", us_training_schema()) &&
                    us_json_schema_replace(schema, "data", us_json_schema(data_keys));
    complete = complete && us_json_schema_replace(schema, "members", us_members_schema()) &&
               require_either(schema) &&
               cJSON_AddStringToObject(schema, "$schema",
                                       "https://json-schema.org/draft/2020-12/schema") &&
               cJSON_AddStringToObject(schema, "title", "A model of unseen") &&
               cJSON_AddItemToObject(schema, "$defs", us_network_schema_definitions()) &&
               cJSON_AddItemToObject(cJSON_AddObjectToObject(properties, "$schema"), "type",
                                     cJSON_CreateString("string"));
    unseen_status status =
        complete ? us_detector_schema(properties, error) : us_fail_memory(error, "the schema");
    *json = status == UNSEEN_OK ? us_json_print(schema) : NULL;
    cJSON_Delete(schema);
    if (status == UNSEEN_OK && !*json) return us_fail_memory(error, "the schema");
    return status;
}
