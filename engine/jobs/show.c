/* SPDX-License-Identifier: MIT */
/* unseen_show: what a config amounts to. */
#include <string.h>

#include "network/plan.h"
#include "training/config.h"
#include "training/maps.h"
#include "training/model.h"

static cJSON *shape_json(us_shape shape) {
    return cJSON_CreateIntArray((int[]){shape.channels, shape.height, shape.width}, 3);
}

static bool add(cJSON *object, const char *name, cJSON *item) {
    return item && cJSON_AddItemToObject(object, name, item);
}

static bool add_layer(cJSON *layers, const us_network_spec *network, int index) {
    const us_layer_spec *layer = &network->layers[index];
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "network", network->name) &&
        cJSON_AddNumberToObject(object, "index", us_layer_place(layer)) &&
        cJSON_AddStringToObject(object, "path", layer->path) &&
        cJSON_AddStringToObject(object, "layer", layer->type->name) &&
        add(object, "input", shape_json(layer->in)) &&
        add(object, "output", shape_json(layer->out)) &&
        cJSON_AddNumberToObject(object, "parameters", (double)us_layer_spec_parameters(layer)) &&
        cJSON_AddNumberToObject(object, "flops_per_image", us_layer_spec_flops(layer));
    return cJSON_AddItemToArray(layers, object) && complete;
}

static bool add_network(cJSON *networks, cJSON *layers, const us_network_spec *network) {
    cJSON *object = cJSON_AddObjectToObject(networks, network->name);
    bool complete =
        cJSON_AddNumberToObject(object, "parameters",
                                (double)us_network_spec_parameters(network)) &&
        cJSON_AddNumberToObject(object, "flops_per_image", us_network_spec_flops(network)) &&
        add(object, "input", shape_json(network->in)) &&
        add(object, "output", shape_json(network->out));
    for (int i = 0; complete && i < network->count; i++)
        complete = add_layer(layers, network, i);
    return complete;
}

/* Parameters four times (gradients and two moments beside them) for each shard of the batch, the
 * outputs that training keeps, and the gradients that are alive at a time. */
static unseen_status network_bytes(const us_network_spec *network, bool logits, int batch,
                                   int shards, double *bytes, unseen_error *error) {
    us_network_plan plan;
    US_TRY(
        us_network_plan_make(network, &(us_network_plan_options){.logits = logits}, &plan, error));
    double floats = 0;
    for (int s = 0; s < plan.count; s++)
        floats += (double)us_shape_size(us_stage_shape(network, &plan, s));
    for (int i = 0; i < plan.gradients.count; i++)
        floats += (double)plan.gradients.floats[i];
    us_network_plan_release(&plan);
    *bytes += 4 * (4.0 * shards * (double)us_network_spec_parameters(network) + floats * batch);
    return UNSEEN_OK;
}

static unseen_status training_bytes(const unseen_config *config, double *bytes,
                                    unseen_error *error) {
    double images = (double)us_shape_size(config->input) * config->training.batch;
    *bytes = 4 * 2 * images; /* a batch, and the gradient of its reconstruction */
    const us_detector_spec *detector = &config->detector;
    const int shards = config->training.shards > 0 ? config->training.shards : 1;
    for (int i = 0; i < detector->network_count; i++)
        US_TRY(network_bytes(&detector->networks[i], detector->type->networks[i].logits,
                             config->training.batch * us_detector_joint(detector, true) *
                                 us_detector_batches_at_once(detector, i),
                             shards, bytes, error));
    return UNSEEN_OK;
}

/* NULL: no memory, or *error says what. */
static cJSON *describe(const unseen_config *config, unseen_error *error) {
    const us_detector_spec *detector = &config->detector;
    double bytes;
    if (training_bytes(config, &bytes, error) != UNSEEN_OK) return NULL;
    cJSON *object = cJSON_CreateObject();
    cJSON *networks = cJSON_CreateObject(), *layers = cJSON_CreateArray();
    bool complete = networks && layers;
    for (int i = 0; i < detector->network_count; i++)
        complete = complete && add_network(networks, layers, &detector->networks[i]);
    complete =
        complete && cJSON_AddStringToObject(object, "name", config->name) &&
        cJSON_AddStringToObject(object, "detector", detector->type->name) &&
        cJSON_AddBoolToObject(object, "maps", us_maps_check(detector, NULL) == UNSEEN_OK) &&
        add(object, "input", shape_json(config->input)) &&
        cJSON_AddNumberToObject(object, "batch", config->training.batch) &&
        cJSON_AddStringToObject(object, "precision", us_precision_names[detector->precision]) &&
        cJSON_AddNumberToObject(object, "parameters", (double)us_config_parameters(config)) &&
        cJSON_AddNumberToObject(object, "flops_per_image", us_detector_scoring_flops(detector)) &&
        cJSON_AddNumberToObject(object, "training_flops_per_image",
                                us_detector_training_flops(detector)) &&
        cJSON_AddNumberToObject(object, "memory_bytes", bytes);
    if (complete)
        return cJSON_AddItemToObject(object, "networks", networks) &&
                       cJSON_AddItemToObject(object, "layers", layers)
                   ? object
                   : NULL;
    cJSON_Delete(networks);
    cJSON_Delete(layers);
    cJSON_Delete(object);
    us_fail_memory(error, "the layer table");
    return NULL;
}

static double number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* Members are trained one after the other, and score an image one after the other. */
static cJSON *describe_members(const unseen_config *config, unseen_error *error) {
    cJSON *object = cJSON_CreateObject(), *members = cJSON_CreateArray();
    double flops = 0, training_flops = 0, bytes = 0;
    bool complete = object && members;
    for (int m = 0; complete && m < config->member_count; m++) {
        cJSON *own = describe(config->members[m], error);
        if (!own || !cJSON_AddItemToArray(members, own)) {
            cJSON_Delete(object);
            cJSON_Delete(members);
            return NULL;
        }
        flops += number(own, "flops_per_image");
        training_flops += number(own, "training_flops_per_image");
        if (number(own, "memory_bytes") > bytes) bytes = number(own, "memory_bytes");
    }
    complete =
        complete && cJSON_AddStringToObject(object, "name", config->name) &&
        cJSON_AddBoolToObject(object, "maps", us_model_check_maps(config, NULL) == UNSEEN_OK) &&
        add(object, "input", shape_json(config->input)) &&
        cJSON_AddNumberToObject(object, "batch", config->training.batch) &&
        cJSON_AddNumberToObject(object, "parameters", (double)us_config_parameters(config)) &&
        cJSON_AddNumberToObject(object, "flops_per_image", flops) &&
        cJSON_AddNumberToObject(object, "training_flops_per_image", training_flops) &&
        cJSON_AddNumberToObject(object, "memory_bytes", bytes);
    if (complete && cJSON_AddItemToObject(object, "members", members)) return object;
    cJSON_Delete(members);
    cJSON_Delete(object);
    us_fail_memory(error, "the layer table");
    return NULL;
}

unseen_status unseen_show(const unseen_config *config, char **json, unseen_error *error) {
    unseen_error why = {0};
    cJSON *object = config->member_count ? describe_members(config, &why) : describe(config, &why);
    *json = object ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    if (*json) return UNSEEN_OK;
    if (!object && why.message[0]) {
        if (error) *error = why;
        return why.status;
    }
    return us_fail_memory(error, "the layer table");
}
