/* SPDX-License-Identifier: MIT */
/* Reading a detector, its networks and its scoring from a config. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detector/features.h"

static const char *const pixel_scores[] = {"root_sum", "mean",     "maximum", "top_k",
                                           "sum",      "relative", NULL};
static const char *const combinations[] = {"sum", "standardized_sum", "maximum", NULL};

static const us_key scoring_keys[] = {
    {.name = "pixel",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(us_scoring, pixel),
     .choices = pixel_scores,
     .help = "How the squared errors of an image's pixels become its reconstruction score"},
    {.name = "top_k",
     .kind = US_KEY_INT,
     .offset = offsetof(us_scoring, top_k),
     .minimum = 1,
     .maximum = 1 << 24,
     .fallback = {64},
     .help = "Pixels that top_k averages: those with the largest errors"},
    {.name = "combine",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(us_scoring, combine),
     .choices = combinations,
     .fallback = {US_COMBINE_STANDARDIZED_SUM},
     .help = "How a detector's several scores become one; standardised by training images"},
    {.name = "weights",
     .kind = US_KEY_OBJECT,
     .help = "Weight of each score in the combination, by its name"},
    {.name = "false_positive_rate",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_scoring, false_positive_rate),
     .maximum = 0.5,
     .above_minimum = true,
     .fallback = {0.05},
     .help = "Share of normal images that the calibrated threshold may call anomalous"},
    {.name = "map_smoothing",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_scoring, map_smoothing),
     .maximum = 1000,
     .fallback = {1},
     .help =
         "Standard deviation, in pixels, of the Gaussian that smooths maps of where an image is "
         "anomalous; 0: none"},
    {.name = "top_windows",
     .kind = US_KEY_INT,
     .offset = offsetof(us_scoring, top_windows),
     .minimum = 1,
     .maximum = 1000000,
     .fallback = {1},
     .help = "Of images that are cut into windows (/input/fit \"tile\"): an image's score is the "
             "mean of so many of its windows' largest"},
    {.name = "features",
     .kind = US_KEY_OBJECT,
     .help = "A further score, \"features\": how unlikely is what a layer makes of an image?"},
    {.kind = US_KEY_END},
};

int us_detector_own_columns(const us_detector_type *type) {
    int count = 0;
    while (type->columns[count].name)
        count++;
    return count;
}

int us_detector_column_count(const us_detector_spec *spec) {
    if (!spec->type) return 0;
    return us_detector_own_columns(spec->type) + (spec->scoring.features.layer != NULL);
}

struct us_detector_column us_detector_column(const us_detector_spec *spec, int column) {
    if (column < us_detector_own_columns(spec->type)) return spec->type->columns[column];
    return (struct us_detector_column){"features", 1,
                                       spec->networks[spec->scoring.features.network_index].name};
}

int us_detector_loss_count(const us_detector_type *type) {
    int count = 0;
    while (type->losses[count].name)
        count++;
    return count;
}

int us_detector_judges_before(const us_detector_type *type, int network) {
    int count = 0;
    for (int i = 0; i < network && type->networks[i].name; i++)
        count += type->networks[i].logits;
    return count;
}

int us_detector_judge_count(const us_detector_type *type) {
    return us_detector_judges_before(type, US_DETECTOR_MAX_NETWORKS);
}

static unseen_status find_type(const us_json *detector, const us_detector_type **type,
                               unseen_error *error) {
    us_json member = us_json_member(detector, "type");
    if (!cJSON_IsString(member.value))
        return us_json_fail(detector, error, "the key \"type\" must name the detector");
    const char *names[32] = {0};
    char list[512] = "";
    for (int i = 0; us_detector_types[i] && i < 31; i++) {
        names[i] = us_detector_types[i]->name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        if (strcmp(names[i], member.value->valuestring) == 0) {
            *type = us_detector_types[i];
            return UNSEEN_OK;
        }
    }
    const char *nearest = unseen_nearest(member.value->valuestring, names);
    if (nearest)
        return us_json_fail(&member, error, "unknown detector \"%.64s\"; did you mean \"%s\"?",
                            member.value->valuestring, nearest);
    return us_json_fail(&member, error, "unknown detector \"%.64s\"; there are %s",
                        member.value->valuestring, list);
}

static unseen_status read_detector(us_json *config, us_detector_spec *spec, unseen_error *error) {
    us_json json = us_json_member(config, "detector");
    US_TRY(find_type(&json, &spec->type, error));
    spec->attributes = calloc(1, spec->type->attributes_size + 1);
    if (!spec->attributes) return us_fail_memory(error, "a detector");
    cJSON *type = cJSON_DetachItemFromObjectCaseSensitive(json.value, "type");
    unseen_status status = us_json_read(&json, spec->type->keys, spec->attributes, error);
    cJSON_InsertItemInArray(json.value, 0, type);
    return status;
}

/* The shape a network's input has: the image's, or the output of an earlier network. */
static us_shape network_input(const us_detector_spec *spec, const char *input) {
    for (int i = 0; input && i < spec->network_count; i++)
        if (strcmp(spec->networks[i].name, input) == 0) return spec->networks[i].out;
    return spec->input;
}

static unseen_status read_networks(us_json *config, us_detector_spec *spec, unseen_error *error) {
    /* A table of the detector's networks, so that a misspelt one is found like any other key. */
    us_key keys[US_DETECTOR_MAX_NETWORKS + 1] = {0};
    int count = 0;
    for (; spec->type->networks[count].name; count++)
        keys[count] = (us_key){
            .name = spec->type->networks[count].name, .kind = US_KEY_ARRAY, .required = true};
    keys[count].kind = US_KEY_END;
    char unused = 0;
    us_json json = us_json_member(config, "networks");
    if (!json.value && count == 0) return UNSEEN_OK;
    if (!json.value)
        return us_json_fail(config, error,
                            "the key \"networks\" is missing: the detector's networks by name, "
                            "each a list of layers");
    US_TRY(us_json_read(&json, keys, &unused, error));

    for (int i = 0; i < count; i++) {
        const struct us_detector_network *network = &spec->type->networks[i];
        us_json layers = us_json_member(&json, network->name);
        us_network_spec *out = &spec->networks[i];
        US_TRY(us_network_spec_read(&layers, network->name, network_input(spec, network->input),
                                    out, error));
        spec->network_count = i + 1;
        us_shape in = spec->input;
        if (strcmp(network->name, "decoder") == 0 && memcmp(&out->out, &in, sizeof in) != 0)
            return us_json_fail(&layers, error,
                                "the decoder gives %d x %d x %d; it must give the input's %d x %d "
                                "x %d (channels x height x width)",
                                out->out.channels, out->out.height, out->out.width, in.channels,
                                in.height, in.width);
    }
    return UNSEEN_OK;
}

static int weight_keys(const us_detector_type *type, bool features,
                       us_key keys[US_DETECTOR_MAX_COLUMNS + 1]) {
    const int own = us_detector_own_columns(type), count = own + features;
    memset(keys, 0, (US_DETECTOR_MAX_COLUMNS + 1) * sizeof *keys);
    for (int i = 0; i < count; i++)
        keys[i] = (us_key){.name = i < own ? type->columns[i].name : "features",
                           .kind = US_KEY_NUMBER,
                           .offset = (size_t)i * sizeof(double),
                           .maximum = 1e6,
                           .fallback = {1},
                           .help = "Weight of this score"};
    keys[count].kind = US_KEY_END;
    return count;
}

static unseen_status read_features(const us_json *scoring, us_detector_spec *spec,
                                   unseen_error *error) {
    us_json json = us_json_member(scoring, "features");
    if (!json.value) return UNSEEN_OK;
    /* --set makes a number of it. */
    const cJSON *layer = cJSON_GetObjectItemCaseSensitive(json.value, "layer");
    if (cJSON_IsNumber(layer)) {
        char path[32];
        snprintf(path, sizeof path, "%.17g", layer->valuedouble);
        cJSON *text = cJSON_CreateString(path);
        if (!cJSON_ReplaceItemInObjectCaseSensitive(json.value, "layer", text))
            return us_fail_memory(error, "a config");
    }
    US_TRY(us_json_read(&json, us_feature_keys, &spec->scoring.features, error));
    return us_feature_settings_check(&json, spec, error);
}

static unseen_status read_scoring(us_json *config, us_detector_spec *spec, unseen_error *error) {
    us_json json = us_json_member_object(config, "scoring");
    if (!json.value) return us_fail_memory(error, "a config");
    US_TRY(us_json_read(&json, scoring_keys, &spec->scoring, error));
    US_TRY(read_features(&json, spec, error));
    us_json weights = us_json_member_object(&json, "weights");
    if (!weights.value) return us_fail_memory(error, "a config");
    us_key keys[US_DETECTOR_MAX_COLUMNS + 1];
    weight_keys(spec->type, spec->scoring.features.layer != NULL, keys);
    US_TRY(us_json_read(&weights, keys, spec->scoring.weights, error));
    int pixels = spec->input.height * spec->input.width;
    if (spec->scoring.pixel == US_PIXEL_SCORE_TOP_K && spec->scoring.top_k > pixels) {
        us_json top_k = us_json_member(&json, "top_k");
        return us_json_fail(&top_k, error, "images have only %d pixels", pixels);
    }
    return UNSEEN_OK;
}

unseen_status us_detector_spec_read(us_json *config, us_shape input, us_detector_spec *spec,
                                    unseen_error *error) {
    memset(spec, 0, sizeof *spec);
    spec->input = input;
    unseen_status status = read_detector(config, spec, error);
    if (status == UNSEEN_OK) status = read_networks(config, spec, error);
    if (status == UNSEEN_OK) status = read_scoring(config, spec, error);
    if (status == UNSEEN_OK && spec->type->check) status = spec->type->check(spec, config, error);
    if (status != UNSEEN_OK) us_detector_spec_release(spec);
    return status;
}

int us_detector_warmup_epochs(const us_detector_spec *spec) {
    for (const us_key *key = spec->type->keys; spec->type->warmup_key && key->name; key++)
        if (strcmp(key->name, spec->type->warmup_key) == 0)
            return *(const int *)((const char *)spec->attributes + key->offset);
    return 0;
}

void us_detector_spec_release(us_detector_spec *spec) {
    for (int i = 0; i < spec->network_count; i++)
        us_network_spec_release(&spec->networks[i]);
    if (spec->attributes) us_json_release(spec->type->keys, spec->attributes);
    free(spec->attributes);
    us_json_release(us_feature_keys, &spec->scoring.features);
    memset(spec, 0, sizeof *spec);
}

/* ---- FLOPs ---- */

us_passes us_detector_passes(const us_detector_spec *spec, int network) {
    const struct us_detector_network *role = &spec->type->networks[network];
    us_passes passes = {
        .forward = role->forward,
        .backward = role->backward,
        .parameters = role->backward,
        .input = role->input ? role->backward : 0,
        .scoring = role->training_only ? 0 : 1,
    };
    if (spec->type->count_passes) spec->type->count_passes(spec, network, &passes);
    return passes;
}

double us_detector_training_flops(const us_detector_spec *spec) {
    double sum = 0;
    for (int i = 0; i < spec->network_count; i++) {
        const us_network_spec *network = &spec->networks[i];
        const us_passes passes = us_detector_passes(spec, i);
        /* A gradient takes as much as the forward pass; dx of the first layer may be nobody's. */
        double forward = us_network_spec_flops(network);
        double first = us_network_spec_input_flops(network);
        sum += (passes.forward + passes.parameters) * forward +
               passes.backward * (forward - first) + passes.input * first;
    }
    return sum;
}

double us_detector_scoring_flops(const us_detector_spec *spec) {
    double sum = 0;
    for (int i = 0; i < spec->network_count; i++)
        sum += us_detector_passes(spec, i).scoring * us_network_spec_flops(&spec->networks[i]);
    return sum;
}

/* ---- schema ---- */

static cJSON *detector_schema(const us_detector_type *type) {
    cJSON *schema = us_json_schema(type->keys);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    cJSON *required = cJSON_GetObjectItemCaseSensitive(schema, "required");
    if (schema && !required) required = cJSON_AddArrayToObject(schema, "required");
    bool complete =
        cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, "type"), "const", type->name) &&
        cJSON_AddStringToObject(schema, "description", type->help) &&
        cJSON_AddItemToArray(required, cJSON_CreateString("type"));
    if (complete) return schema;
    cJSON_Delete(schema);
    return NULL;
}

/* Which networks and weights there are depends on the detector: the schema allows those of any. */
static bool add_networks(cJSON *networks, const us_detector_type *type) {
    for (int i = 0; type->networks[i].name; i++)
        if (!cJSON_GetObjectItemCaseSensitive(networks, type->networks[i].name) &&
            !cJSON_AddItemToObject(networks, type->networks[i].name, us_network_schema()))
            return false;
    return true;
}

static bool add_weights(cJSON *weights, const us_detector_type *type) {
    us_key keys[US_DETECTOR_MAX_COLUMNS + 1];
    int count = weight_keys(type, true, keys);
    cJSON *schema = us_json_schema(keys);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    bool complete = properties != NULL;
    for (int i = 0; complete && i < count; i++)
        if (!cJSON_GetObjectItemCaseSensitive(weights, keys[i].name))
            complete = cJSON_AddItemToObject(
                weights, keys[i].name,
                cJSON_DetachItemFromObjectCaseSensitive(properties, keys[i].name));
    cJSON_Delete(schema);
    return complete;
}

/* An object schema without keys of its own; its properties are added by the caller. */
static cJSON *add_open_object(cJSON *properties, const char *name, cJSON **members) {
    cJSON *object = cJSON_CreateObject();
    *members = NULL;
    if (cJSON_AddStringToObject(object, "type", "object"))
        *members = cJSON_AddObjectToObject(object, "properties");
    cJSON_AddFalseToObject(object, "additionalProperties");
    cJSON_DeleteItemFromObjectCaseSensitive(properties, name);
    cJSON_AddItemToObject(properties, name, object);
    return object;
}

unseen_status us_detector_schema(cJSON *properties, unseen_error *error) {
    cJSON *networks, *weights;
    add_open_object(properties, "networks", &networks);
    cJSON_DeleteItemFromObjectCaseSensitive(properties, "detector");
    cJSON *detector = cJSON_AddObjectToObject(properties, "detector");
    cJSON *alternatives = cJSON_AddArrayToObject(detector, "oneOf");
    cJSON_DeleteItemFromObjectCaseSensitive(properties, "scoring");
    cJSON *scoring = us_json_schema(scoring_keys);
    if (!cJSON_AddItemToObject(properties, "scoring", scoring))
        return us_fail_memory(error, "the schema");
    cJSON *scores = cJSON_GetObjectItemCaseSensitive(scoring, "properties");
    add_open_object(scores, "weights", &weights);
    cJSON_DeleteItemFromObjectCaseSensitive(scores, "features");
    bool complete = networks && weights &&
                    cJSON_AddItemToObject(scores, "features", us_json_schema(us_feature_keys));
    for (int i = 0; complete && us_detector_types[i]; i++)
        complete = cJSON_AddItemToArray(alternatives, detector_schema(us_detector_types[i])) &&
                   add_networks(networks, us_detector_types[i]) &&
                   add_weights(weights, us_detector_types[i]);
    return complete ? UNSEEN_OK : us_fail_memory(error, "the schema");
}
