/* SPDX-License-Identifier: MIT */
#include "detector/features.h"

#include <stdlib.h>
#include <string.h>

#include "detector/density_file.h"
#include "ops/attributes.h"

/* ---- settings ---- */

static const char *const poolings[] = {"average", "maximum", "none", NULL};
static const char *const kinds[] = {"gaussian", "neighbours", "kernel_density", NULL};
static const char *const covariances[] = {"ledoit_wolf", "fixed", NULL};

#define SETTING(field) offsetof(us_feature_settings, field)

const us_key us_feature_keys[] = {
    {.name = "network",
     .kind = US_KEY_STRING,
     .offset = SETTING(network),
     .help = "The network whose layer gives the features; without it, the detector's first"},
    {.name = "layer",
     .kind = US_KEY_STRING,
     .offset = SETTING(layer),
     .required = true,
     .help = "The layer whose output are the features, as `unseen show` counts them: \"4\", or, "
             "within a residual layer, \"4.layers.0\""},
    {.name = "pooling",
     .kind = US_KEY_CHOICE,
     .offset = SETTING(pooling),
     .choices = poolings,
     .help = "What becomes of the positions of an image: their average, their maximum, or none: "
             "each is a point of the density, and there are maps"},
    {.name = "kind",
     .kind = US_KEY_CHOICE,
     .offset = SETTING(density.kind),
     .choices = kinds,
     .help = "The density: a Gaussian, whose score is the Mahalanobis distance; the distance from "
             "the nearest neighbours; or a kernel density, whose score is minus its logarithm"},
    {.name = "covariance",
     .kind = US_KEY_CHOICE,
     .offset = SETTING(covariance),
     .choices = covariances,
     .help = "gaussian: how much the covariance is drawn towards a multiple of the identity: as "
             "Ledoit and Wolf estimate, or by \"shrinkage\""},
    {.name = "shrinkage",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(density.shrinkage),
     .maximum = 1,
     .fallback = {0.01},
     .help = "gaussian with a fixed covariance: the identity's share of it"},
    {.name = "components",
     .kind = US_KEY_INT,
     .offset = SETTING(density.components),
     .minimum = 1,
     .maximum = 2048,
     .fallback = {512},
     .help = "Features of a point at most; where a layer has more channels, they are projected to "
             "so many at random"},
    {.name = "neighbours",
     .kind = US_KEY_INT,
     .offset = SETTING(density.neighbours),
     .minimum = 1,
     .maximum = 32,
     .fallback = {3},
     .help = "neighbours: of how many of the nearest points the mean distance is the score"},
    {.name = "points",
     .kind = US_KEY_INT,
     .offset = SETTING(density.points),
     .minimum = 2,
     .maximum = 16384,
     .fallback = {1024},
     .help = "neighbours, kernel_density: points of training images that are kept"},
    {.name = "bandwidth",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(density.bandwidth),
     .maximum = 1e6,
     .help = "kernel_density: the standard deviation of the kernels; 0: the one by which the "
             "points are the likeliest"},
    {.name = "top_share",
     .kind = US_KEY_NUMBER,
     .offset = SETTING(top_share),
     .maximum = 1,
     .fallback = {0.05},
     .help = "Without pooling: the share of the positions, those with the highest scores, whose "
             "mean is an image's score; 0: the highest alone"},
    {.kind = US_KEY_END},
};

static int find_network(const us_detector_spec *spec, const char *name) {
    for (int i = 0; i < spec->network_count; i++)
        if (!name || strcmp(spec->networks[i].name, name) == 0) return i;
    return -1;
}

static unseen_status find_layer(const us_json *json, const us_network_spec *network,
                                const char *path, int *index, unseen_error *error) {
    const us_json member = us_json_member(json, "layer");
    for (*index = 0; *index < network->count; (*index)++)
        if (strcmp(network->layers[*index].path, path) == 0) return UNSEEN_OK;
    return us_json_fail(&member, error,
                        "the network %s has no layer %.32s; its last one is %s (`unseen show` "
                        "lists them)",
                        network->name, path, network->layers[network->count - 1].path);
}

unseen_status us_feature_settings_check(const us_json *json, us_detector_spec *spec,
                                        unseen_error *error) {
    us_feature_settings *settings = &spec->scoring.features;
    const us_json member = us_json_member(json, "network"), layer = us_json_member(json, "layer");
    if (settings->covariance == US_COVARIANCE_LEDOIT_WOLF) settings->density.shrinkage = -1;
    if (spec->network_count == 0)
        return us_json_fail(json, error,
                            "the detector %s has no network whose layers give features",
                            spec->type->name);
    if (spec->type->joint)
        return us_json_fail(json, error,
                            "the networks of the detector %s see several batches side by side, so "
                            "that no layer gives features of one: leave features out",
                            spec->type->name);
    settings->network_index = find_network(spec, settings->network);
    if (settings->network_index < 0)
        return us_json_fail(&member, error, "the detector %s has no network %.32s",
                            spec->type->name, settings->network);
    const us_network_spec *network = &spec->networks[settings->network_index];
    US_TRY(find_layer(json, network, settings->layer, &settings->layer_index, error));
    unseen_error why;
    if (us_network_check_layer(network, settings->layer_index,
                               spec->type->networks[settings->network_index].logits,
                               &why) != UNSEEN_OK)
        return us_json_fail(&layer, error, "%s", why.message);
    return UNSEEN_OK;
}

/* ---- on a device ---- */

struct us_features {
    const us_feature_settings *settings;
    int chain[US_DETECTOR_MAX_NETWORKS], length; /* the networks up to the one of the layer */
    us_tape *tapes[US_DETECTOR_MAX_NETWORKS];    /* of the chain */
    us_shape shape, points;                      /* of the layer's output, and after pooling */
    const us_layer_type *pooling;                /* NULL: none */
    us_pooling_attributes attributes;
    void *pool;
    us_buffer *pooled, *distances;
    us_density *density;
    us_density_top *top;
};

static const char prefix[] = "features";

/* The networks whose outputs lead from the image to a network, in order. */
static int find_chain(const us_detector_spec *spec, int network, int *chain) {
    int length = 0;
    const char *input = spec->type->networks[network].input;
    if (input) length = find_chain(spec, find_network(spec, input), chain);
    chain[length] = network;
    return length + 1;
}

static unseen_status create_pooling(us_features *f, us_detector *detector, unseen_error *error) {
    const bool maximum = f->settings->pooling == US_FEATURES_MAXIMUM;
    f->points = f->shape;
    if (f->settings->pooling == US_FEATURES_NONE || f->shape.height * f->shape.width == 1)
        return UNSEEN_OK;
    f->points.height = f->points.width = 1;
    f->pooling = maximum ? &us_max_pool_layer : &us_average_pool_layer;
    const us_layer_plan plan = {.device = detector->device,
                                .attributes = &f->attributes,
                                .in = f->shape,
                                .out = f->points,
                                .batch = detector->padded};
    US_TRY(f->pooling->create(&plan, &f->pool, error));
    return us_buffer_create(detector->device,
                            us_shape_size(f->points) * (size_t)detector->padded * sizeof(float),
                            "pooled features", &f->pooled, error);
}

static unseen_status create_parts(us_features *f, us_detector *detector, unseen_error *error) {
    const us_detector_spec *spec = detector->spec;
    const int network = f->settings->network_index;
    f->length = find_chain(spec, network, f->chain);
    f->shape = spec->networks[network].layers[f->settings->layer_index].out;
    for (int i = 0; i < f->length; i++)
        US_TRY(us_tape_create(detector->networks[f->chain[i]], false, &f->tapes[i], error));
    US_TRY(create_pooling(f, detector, error));
    US_TRY(us_density_create(detector->device, f->points, detector->padded, &f->settings->density,
                             &f->density, error));
    const int positions = f->points.height * f->points.width;
    if (positions == 1) return UNSEEN_OK;
    US_TRY(us_density_top_create(detector->device, positions, detector->padded,
                                 f->settings->top_share, &f->top, error));
    return us_buffer_create(detector->device,
                            (size_t)positions * (size_t)detector->padded * sizeof(float),
                            "distances of features", &f->distances, error);
}

unseen_status us_features_create(us_detector *detector, us_features **out, unseen_error *error) {
    *out = NULL;
    us_features *f = calloc(1, sizeof *f);
    if (!f) return us_fail_memory(error, "features");
    f->settings = &detector->spec->scoring.features;
    unseen_status status = create_parts(f, detector, error);
    if (status == UNSEEN_OK)
        *out = f;
    else
        us_features_destroy(f);
    return status;
}

void us_features_destroy(us_features *f) {
    if (!f) return;
    for (int i = 0; i < f->length; i++)
        us_tape_destroy(f->tapes[i]);
    if (f->pool) f->pooling->destroy(f->pool);
    us_buffer_destroy(f->pooled);
    us_buffer_destroy(f->distances);
    us_density_destroy(f->density);
    us_density_top_destroy(f->top);
    free(f);
}

/* The layer's output, pooled. */
static unseen_status compute(us_features *f, us_detector *detector, us_buffer *x, int n,
                             us_buffer **features, unseen_error *error) {
    for (int i = 0; i < f->length; i++) {
        us_network *network = detector->networks[f->chain[i]];
        if (i + 1 < f->length)
            US_TRY(us_network_forward(network, f->tapes[i], x, n, US_TRAINING_NONE, error));
        else
            US_TRY(
                us_network_forward_to(network, f->tapes[i], x, n, f->settings->layer_index, error));
        x = us_tape_output(f->tapes[i]);
    }
    *features = x;
    if (!f->pool) return UNSEEN_OK;
    *features = f->pooled;
    const us_layer_forward args = {.x = x, .y = f->pooled, .n = n};
    return f->pooling->forward(f->pool, &args, error);
}

static unseen_status name_layer(const us_features *f, const us_detector *detector,
                                unseen_status status, unseen_error *error) {
    if (status == UNSEEN_OK) return status;
    us_error_context(error, "the features of the layer %s of the %s", f->settings->layer,
                     detector->spec->networks[f->settings->network_index].name);
    return status;
}

unseen_status us_features_learn(us_features *f, us_detector *detector,
                                const us_detector_survey *survey, unseen_error *error) {
    US_TRY(us_density_begin(f->density, survey->images, survey->seed, error));
    for (int64_t b = 0; b < survey->batches; b++) {
        int n = 0;
        us_buffer *features;
        US_TRY(survey->load(survey->user, b, &n, error));
        US_TRY(compute(f, detector, detector->x, n, &features, error));
        US_TRY(name_layer(f, detector, us_density_learn(f->density, features, n, error), error));
        us_detector_next_batch(detector);
    }
    return name_layer(f, detector, us_density_finish(f->density, error), error);
}

unseen_status us_features_score(us_features *f, us_detector *detector, us_buffer *x, int n,
                                us_buffer *scores, unseen_error *error) {
    us_buffer *features;
    US_TRY(compute(f, detector, x, n, &features, error));
    if (!f->top) return us_density_score(f->density, features, scores, n, error);
    US_TRY(us_density_score(f->density, features, f->distances, n, error));
    return us_density_top_run(f->top, f->distances, scores, error);
}

unseen_status us_features_map(us_features *f, us_anomaly_map *map, us_buffer *out,
                              unseen_error *error) {
    return us_anomaly_map_stretch(map, f->distances, f->points.height, f->points.width, out, error);
}

unseen_status us_features_save(us_features *f, us_safetensors_builder *builder,
                               unseen_error *error) {
    return us_density_is_ready(f->density) ? us_density_save(f->density, prefix, builder, error)
                                           : UNSEEN_OK;
}

unseen_status us_features_load(us_features *f, const us_safetensors *file, unseen_error *error) {
    return us_density_load(f->density, prefix, file, error);
}
