/* SPDX-License-Identifier: MIT */
#include "network/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/layer_table.h"

static unseen_status find_type(const us_json *layer, const us_layer_type **type,
                               unseen_error *error) {
    if (!cJSON_IsObject(layer->value))
        return us_json_fail(layer, error,
                            "expected a layer, an object such as {\"layer\": \"relu\"}");
    us_json member = us_json_member(layer, "layer");
    if (!member.value)
        return us_json_fail(layer, error, "the key \"layer\" with the layer's kind is missing");
    if (!cJSON_IsString(member.value))
        return us_json_fail(&member, error, "expected the name of a layer");
    *type = us_layer_type_find(member.value->valuestring);
    if (*type) return UNSEEN_OK;

    const char *names[64] = {0};
    char list[512] = "";
    for (int i = 0; us_layer_types[i] && i < 63; i++) {
        names[i] = us_layer_types[i]->name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = unseen_nearest(member.value->valuestring, names);
    if (nearest)
        return us_json_fail(&member, error, "unknown layer \"%.64s\"; did you mean \"%s\"?",
                            member.value->valuestring, nearest);
    return us_json_fail(&member, error, "unknown layer \"%.64s\"; there are %s",
                        member.value->valuestring, list);
}

/* ---- reading layers; those with branches read more ---- */

/* Where a list of layers stands. */
typedef struct layer_list {
    us_network_spec *spec;
    const char *prefix; /* of the layers' paths: "", "3.layers." */
    int input;          /* what its first layer reads */
    int depth;          /* of nesting */
} layer_list;

static unseen_status read_layers(us_json *json, const layer_list *list, int *output,
                                 unseen_error *error);

static us_shape output_shape(const us_network_spec *spec, int layer) {
    return layer == US_NETWORK_INPUT ? spec->in : spec->layers[layer].out;
}

static void release_layer(us_layer_spec *layer) {
    if (layer->attributes) us_json_release(layer->type->keys, layer->attributes);
    free(layer->attributes);
}

static unseen_status check_branches(us_json *json, const us_network_spec *spec,
                                    const us_layer_spec *layer, unseen_error *error) {
    us_shape a = output_shape(spec, layer->input), b = output_shape(spec, layer->shortcut);
    if (memcmp(&a, &b, sizeof a) == 0) return UNSEEN_OK;
    if (cJSON_GetObjectItemCaseSensitive(json->value, "shortcut"))
        return us_json_fail(
            json, error,
            "the layers give %d x %d x %d and the shortcut %d x %d x %d (channels x "
            "height x width); to be added, both must be the same",
            a.channels, a.height, a.width, b.channels, b.height, b.width);
    return us_json_fail(
        json, error,
        "the layers give %d x %d x %d, which cannot be added to the input of %d x "
        "%d x %d (channels x height x width): add a \"shortcut\" that gives the "
        "same, such as a convolution with %d channels, kernel 1 and the same stride",
        a.channels, a.height, a.width, b.channels, b.height, b.width, a.channels);
}

/* The layers of both branches, which come before the one that holds them. */
static unseen_status read_branches(us_json *json, const layer_list *list, us_layer_spec *layer,
                                   unseen_error *error) {
    us_network_spec *spec = list->spec;
    if (list->depth == US_NETWORK_MAX_DEPTH)
        return us_json_fail(json, error, "%s layers nest at most %d deep", layer->type->name,
                            US_NETWORK_MAX_DEPTH);
    const char *const names[] = {"layers", "shortcut"};
    int *const outputs[] = {&layer->input, &layer->shortcut}, first = spec->count;
    layer->shortcut = layer->input;
    for (int branch = 0; branch < 2; branch++) {
        us_json layers = us_json_member(json, names[branch]);
        if (!layers.value) continue;
        char prefix[US_LAYER_PATH + 16];
        snprintf(prefix, sizeof prefix, "%s.%s.", layer->path, names[branch]);
        const layer_list nested = {spec, prefix, list->input, list->depth + 1};
        US_TRY(read_layers(&layers, &nested, outputs[branch], error));
    }
    for (int i = first; i < spec->count; i++)
        if (spec->layers[i].parent == US_NO_LAYER) spec->layers[i].parent = spec->count;
    return check_branches(json, spec, layer, error);
}

static unseen_status infer(us_json *json, const us_network_spec *spec, us_layer_spec *layer,
                           unseen_error *error) {
    us_shape in = layer->in = output_shape(spec, layer->input);
    unseen_error shape_error;
    if (layer->type->infer(layer->attributes, in, &layer->out, &shape_error) != UNSEEN_OK)
        return us_json_fail(json, error, "%s with an input of %d x %d x %d: %s", layer->type->name,
                            in.channels, in.height, in.width, shape_error.message);
    if (us_shape_size(layer->out) > (size_t)1 << 28)
        return us_json_fail(json, error, "an output of %d x %d x %d is beyond any device's memory",
                            layer->out.channels, layer->out.height, layer->out.width);
    if (layer->type->tensors)
        layer->tensor_count = layer->type->tensors(layer->attributes, in, layer->tensors);
    return UNSEEN_OK;
}

static unseen_status append(us_json *json, us_network_spec *spec, const us_layer_spec *layer,
                            unseen_error *error) {
    if (spec->count == US_NETWORK_MAX_LAYERS)
        return us_json_fail(json, error, "a network has at most %d layers", US_NETWORK_MAX_LAYERS);
    us_layer_spec *layers = reallocarray(spec->layers, (size_t)spec->count + 1, sizeof *layers);
    if (!layers) return us_fail_memory(error, "a network");
    spec->layers = layers;
    layers[spec->count++] = *layer;
    return UNSEEN_OK;
}

static unseen_status read_keys(us_json *json, us_layer_spec *layer, unseen_error *error) {
    layer->attributes = calloc(1, layer->type->attributes_size + 1);
    if (!layer->attributes) return us_fail_memory(error, "a layer");
    /* The layer's own table knows nothing of "layer", so that is taken out while reading. */
    cJSON *kind = cJSON_DetachItemFromObjectCaseSensitive(json->value, "layer");
    unseen_status status = us_json_read(json, layer->type->keys, layer->attributes, error);
    cJSON_InsertItemInArray(json->value, 0, kind);
    return status;
}

/* *value: the layer read, in the end this one. */
static unseen_status read_layer(us_json *json, const layer_list *list, int place, int *value,
                                unseen_error *error) {
    us_layer_spec layer = {.input = *value, .shortcut = US_NO_LAYER, .parent = US_NO_LAYER};
    snprintf(layer.path, sizeof layer.path, "%s%d", list->prefix, place);
    US_TRY(find_type(json, &layer.type, error));
    unseen_status status = read_keys(json, &layer, error);
    if (status == UNSEEN_OK && layer.type->has_branches) {
        const layer_list here = {list->spec, list->prefix, *value, list->depth};
        status = read_branches(json, &here, &layer, error);
    }
    if (status == UNSEEN_OK) status = infer(json, list->spec, &layer, error);
    if (status == UNSEEN_OK) status = append(json, list->spec, &layer, error);
    if (status == UNSEEN_OK)
        *value = list->spec->count - 1;
    else
        release_layer(&layer);
    return status;
}

/* *output: the last of them. */
static unseen_status read_layers(us_json *json, const layer_list *list, int *output,
                                 unseen_error *error) {
    int count = cJSON_GetArraySize(json->value);
    if (!cJSON_IsArray(json->value) || count < 1 || count > US_NETWORK_MAX_LAYERS)
        return us_json_fail(json, error, "expected an array of 1 to %d layers",
                            US_NETWORK_MAX_LAYERS);
    *output = list->input;
    for (int i = 0; i < count; i++) {
        us_json element = us_json_element(json, i);
        US_TRY(read_layer(&element, list, i, output, error));
    }
    return UNSEEN_OK;
}

unseen_status us_network_spec_read(us_json *layers, const char *name, us_shape in,
                                   us_network_spec *spec, unseen_error *error) {
    memset(spec, 0, sizeof *spec);
    if (strlen(name) >= sizeof spec->name)
        return us_json_fail(layers, error, "a network's name has at most %d characters",
                            US_NETWORK_NAME - 1);
    snprintf(spec->name, sizeof spec->name, "%s", name);
    spec->in = in;
    const layer_list list = {spec, "", US_NETWORK_INPUT, 0};
    int output;
    unseen_status status = read_layers(layers, &list, &output, error);
    if (status == UNSEEN_OK)
        spec->out = output_shape(spec, output);
    else
        us_network_spec_release(spec);
    return status;
}

void us_network_spec_release(us_network_spec *spec) {
    for (int i = 0; i < spec->count; i++)
        release_layer(&spec->layers[i]);
    free(spec->layers);
    memset(spec, 0, sizeof *spec);
}

int us_layer_place(const us_layer_spec *layer) {
    return atoi(layer->path);
}

int64_t us_tensor_spec_size(const us_tensor_spec *tensor) {
    int64_t size = 1;
    for (int i = 0; i < tensor->rank; i++)
        size *= tensor->dims[i];
    return size;
}

int64_t us_layer_spec_parameters(const us_layer_spec *layer) {
    int64_t sum = 0;
    for (int i = 0; i < layer->tensor_count; i++)
        if (layer->tensors[i].trainable) sum += us_tensor_spec_size(&layer->tensors[i]);
    return sum;
}

int64_t us_network_spec_parameters(const us_network_spec *spec) {
    int64_t sum = 0;
    for (int i = 0; i < spec->count; i++)
        sum += us_layer_spec_parameters(&spec->layers[i]);
    return sum;
}

double us_layer_spec_flops(const us_layer_spec *layer) {
    return layer->type->flops ? layer->type->flops(layer->attributes, layer->in, layer->out) : 0;
}

double us_network_spec_flops(const us_network_spec *spec) {
    double sum = 0;
    for (int i = 0; i < spec->count; i++)
        sum += us_layer_spec_flops(&spec->layers[i]);
    return sum;
}

double us_network_spec_input_flops(const us_network_spec *spec) {
    double sum = 0;
    for (int i = 0; i < spec->count; i++) {
        int read = spec->layers[i].input;
        while (read >= 0 && spec->layers[read].type->is_view)
            read = spec->layers[read].input;
        if (read == US_NETWORK_INPUT) sum += us_layer_spec_flops(&spec->layers[i]);
    }
    return sum;
}

void us_tensor_name(const us_network_spec *spec, int layer, int tensor, char *name, size_t size) {
    const us_layer_spec *l = &spec->layers[layer];
    snprintf(name, size, "%s.%s.%s", spec->name, l->path, l->tensors[tensor].name);
}

/* ---- schema ---- */

static cJSON *add_reference(cJSON *schema) {
    return cJSON_AddStringToObject(schema, "$ref", "#/$defs/layers");
}

/* One alternative of the schema: the layer's own keys and the constant "layer". */
static cJSON *layer_schema(const us_layer_type *type) {
    cJSON *schema = us_json_schema(type->keys);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties"), *property;
    cJSON *required = cJSON_GetObjectItemCaseSensitive(schema, "required");
    bool complete = properties && required;
    if (type->has_branches)
        cJSON_ArrayForEach(property, properties) complete = add_reference(property) && complete;
    cJSON *kind = cJSON_AddObjectToObject(properties, "layer");
    if (!complete || !cJSON_AddStringToObject(kind, "const", type->name) ||
        !cJSON_AddStringToObject(schema, "description", type->help) ||
        !cJSON_AddItemToArray(required, cJSON_CreateString("layer"))) {
        cJSON_Delete(schema);
        return NULL;
    }
    return schema;
}

cJSON *us_network_schema(void) {
    cJSON *schema = cJSON_CreateObject();
    if (add_reference(schema)) return schema;
    cJSON_Delete(schema);
    return NULL;
}

cJSON *us_network_schema_definitions(void) {
    cJSON *definitions = cJSON_CreateObject();
    cJSON *layers = cJSON_AddObjectToObject(definitions, "layers");
    bool complete = cJSON_AddStringToObject(layers, "type", "array") &&
                    cJSON_AddNumberToObject(layers, "minItems", 1);
    cJSON *items = cJSON_AddObjectToObject(layers, "items");
    cJSON *alternatives = cJSON_AddArrayToObject(items, "oneOf");
    for (int i = 0; us_layer_types[i]; i++)
        complete = cJSON_AddItemToArray(alternatives, layer_schema(us_layer_types[i])) && complete;
    if (complete) return definitions;
    cJSON_Delete(definitions);
    return NULL;
}
