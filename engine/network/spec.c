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
    const char *nearest = us_nearest(member.value->valuestring, names);
    if (nearest)
        return us_json_fail(&member, error, "unknown layer \"%.64s\"; did you mean \"%s\"?",
                            member.value->valuestring, nearest);
    return us_json_fail(&member, error, "unknown layer \"%.64s\"; there are %s",
                        member.value->valuestring, list);
}

static unseen_status read_layer(us_json *json, us_shape in, us_layer_spec *layer,
                                unseen_error *error) {
    US_TRY(find_type(json, &layer->type, error));
    layer->in = in;
    layer->attributes = calloc(1, layer->type->attributes_size + 1);
    if (!layer->attributes) return us_fail_memory(error, "a layer");

    /* The layer's own table knows nothing of "layer", so that is taken out while reading. */
    cJSON *kind = cJSON_DetachItemFromObjectCaseSensitive(json->value, "layer");
    unseen_status status = us_json_read(json, layer->type->keys, layer->attributes, error);
    cJSON_InsertItemInArray(json->value, 0, kind);
    US_TRY(status);

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

unseen_status us_network_spec_read(us_json *layers, const char *name, us_shape in,
                                   us_network_spec *spec, unseen_error *error) {
    memset(spec, 0, sizeof *spec);
    int count = cJSON_GetArraySize(layers->value);
    if (!cJSON_IsArray(layers->value) || count < 1 || count > US_NETWORK_MAX_LAYERS)
        return us_json_fail(layers, error, "expected an array of 1 to %d layers",
                            US_NETWORK_MAX_LAYERS);
    if (strlen(name) >= sizeof spec->name)
        return us_json_fail(layers, error, "a network's name has at most %d characters",
                            US_NETWORK_NAME - 1);
    snprintf(spec->name, sizeof spec->name, "%s", name);
    spec->in = spec->out = in;
    spec->layers = calloc((size_t)count, sizeof *spec->layers);
    if (!spec->layers) return us_fail_memory(error, "a network");
    for (int i = 0; i < count; i++) {
        us_json json = us_json_element(layers, i);
        spec->count = i + 1; /* so that release frees what a failed layer holds */
        unseen_status status = read_layer(&json, spec->out, &spec->layers[i], error);
        if (status != UNSEEN_OK) {
            us_network_spec_release(spec);
            return status;
        }
        spec->out = spec->layers[i].out;
    }
    return UNSEEN_OK;
}

void us_network_spec_release(us_network_spec *spec) {
    for (int i = 0; i < spec->count; i++) {
        if (spec->layers[i].attributes)
            us_json_release(spec->layers[i].type->keys, spec->layers[i].attributes);
        free(spec->layers[i].attributes);
    }
    free(spec->layers);
    memset(spec, 0, sizeof *spec);
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

void us_tensor_name(const us_network_spec *spec, int layer, int tensor, char *name, size_t size) {
    snprintf(name, size, "%s.%d.%s", spec->name, layer, spec->layers[layer].tensors[tensor].name);
}

/* One alternative of the schema: the layer's own keys and the constant "layer". */
static cJSON *layer_schema(const us_layer_type *type) {
    cJSON *schema = us_json_schema(type->keys);
    cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    cJSON *required = cJSON_GetObjectItemCaseSensitive(schema, "required");
    if (schema && !required) required = cJSON_AddArrayToObject(schema, "required");
    cJSON *kind = cJSON_AddObjectToObject(properties, "layer");
    if (!cJSON_AddStringToObject(kind, "const", type->name) ||
        !cJSON_AddStringToObject(schema, "description", type->help) ||
        !cJSON_AddItemToArray(required, cJSON_CreateString("layer"))) {
        cJSON_Delete(schema);
        return NULL;
    }
    return schema;
}

cJSON *us_network_schema(void) {
    cJSON *schema = cJSON_CreateObject();
    bool complete = cJSON_AddStringToObject(schema, "type", "array") &&
                    cJSON_AddNumberToObject(schema, "minItems", 1);
    cJSON *items = cJSON_AddObjectToObject(schema, "items");
    cJSON *alternatives = cJSON_AddArrayToObject(items, "oneOf");
    for (int i = 0; us_layer_types[i]; i++)
        complete = cJSON_AddItemToArray(alternatives, layer_schema(us_layer_types[i])) && complete;
    if (!complete) {
        cJSON_Delete(schema);
        return NULL;
    }
    return schema;
}
