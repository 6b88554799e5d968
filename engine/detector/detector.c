/* SPDX-License-Identifier: MIT */
/* What every detector shares on a device: its networks and their tensors. */
#include "detector/detector.h"

#include "detector/features.h"

#include <stdlib.h>
#include <string.h>

/* One flat buffer for the parameters of all networks, and one for their gradients. */
static unseen_status create_flat(us_detector *detector, bool training, unseen_error *error) {
    us_device *device = detector->device;
    size_t floats = 0;
    for (int i = 0; i < detector->spec->network_count; i++) {
        detector->shares[i].first = floats;
        floats += us_network_spec_floats(&device->facts, &detector->spec->networks[i]);
    }
    if (floats == 0) return UNSEEN_OK;
    const size_t bytes = floats * sizeof(float);
    US_TRY(us_buffer_create(device, bytes, "parameters", &detector->parameters, error));
    US_TRY(us_buffer_create(device, bytes, "gradients", &detector->gradients, error));
    if (training && device->facts.execution == US_EXECUTION_LANES)
        US_TRY(us_gradient_parts_create(detector->gradients, &detector->gradient_parts, error));
    for (int i = 0; i < detector->spec->network_count; i++) {
        us_network_share *share = &detector->shares[i];
        const size_t own = us_network_spec_floats(&device->facts, &detector->spec->networks[i]);
        if (own == 0) continue;
        share->parts = detector->gradient_parts;
        US_TRY(us_buffer_view(detector->parameters, share->first * sizeof(float),
                              own * sizeof(float), &share->parameters, error));
        US_TRY(us_buffer_view(detector->gradients, share->first * sizeof(float),
                              own * sizeof(float), &share->gradients, error));
    }
    return UNSEEN_OK;
}

static void destroy_flat(us_detector *detector) {
    us_gradient_parts_destroy(detector->gradient_parts);
    for (int i = 0; i < detector->spec->network_count; i++) {
        us_buffer_destroy(detector->shares[i].parameters);
        us_buffer_destroy(detector->shares[i].gradients);
    }
    us_buffer_destroy(detector->parameters);
    us_buffer_destroy(detector->gradients);
}

int us_detector_joint(const us_detector_spec *spec, bool training) {
    return spec->type->joint ? spec->type->joint(spec, training) : 1;
}

/* joined 0: as detector->networks; else as detector->joined, of so many batches at once. */
static unseen_status create_network(us_detector *detector, int index, int joined, bool training,
                                    unseen_error *error) {
    const us_detector_spec *spec = detector->spec;
    const struct us_detector_network *role = &spec->type->networks[index];
    const int joint = us_detector_joint(spec, training);
    us_network_options options = {.batch = joined      ? joined * detector->batch
                                           : joint > 1 ? joint * detector->padded
                                                       : detector->batch,
                                  .logits = role->logits,
                                  .compared = role->compared,
                                  .training = training,
                                  .precision = spec->precision,
                                  .group = spec->local_statistics ? NULL : detector->group,
                                  .share = &detector->shares[index],
                                  .same = joined ? detector->networks[index] : NULL};
    for (int i = 0; role->input && !role->plain_input && i < index; i++)
        if (strcmp(spec->networks[i].name, role->input) == 0)
            options.input_activation = us_network_output_activation(detector->networks[i]);
    return us_network_create(detector->device, &spec->networks[index], &options,
                             joined ? &detector->joined[index] : &detector->networks[index], error);
}

int us_detector_batches_at_once(const us_detector_spec *spec, int network) {
    return spec->type->batches_at_once ? spec->type->batches_at_once(spec, network) : 1;
}

static unseen_status create_networks(us_detector *detector, bool training, unseen_error *error) {
    const us_detector_spec *spec = detector->spec;
    for (int i = 0; i < spec->network_count; i++) {
        const int joined = training ? us_detector_batches_at_once(spec, i) : 1;
        US_TRY(create_network(detector, i, 0, training && joined == 1, error));
        if (joined > 1) US_TRY(create_network(detector, i, joined, training, error));
    }
    return UNSEEN_OK;
}

us_network *us_detector_trained(const us_detector *detector, int network) {
    return detector->joined[network] ? detector->joined[network] : detector->networks[network];
}

static unseen_status create_inputs(us_detector *detector, unseen_error *error) {
    const size_t bytes =
        us_shape_size(detector->spec->input) * (size_t)detector->padded * sizeof(float);
    us_device *device = detector->device;
    US_TRY(us_buffer_create(device, bytes, "a batch of images", &detector->x, error));
    if (!device->out_of_order) return UNSEEN_OK;
    return us_buffer_create(device, bytes, "a batch of images", &detector->x_last, error);
}

unseen_status us_detector_create(us_device *device, const us_detector_spec *spec, int batch,
                                 bool training, us_group *group, us_detector **out,
                                 unseen_error *error) {
    *out = NULL;
    us_detector *detector = calloc(1, sizeof *detector);
    if (!detector) return us_fail_memory(error, "a detector");
    detector->spec = spec;
    detector->device = device;
    detector->group = group;
    detector->batch = batch;
    detector->training = training;
    detector->padded = us_device_pad(&device->facts, batch);
    unseen_status status;
    US_CHECK(create_flat(detector, training, error));
    US_CHECK(create_networks(detector, training, error));
    if (detector->gradient_parts)
        US_CHECK(us_gradient_parts_allocate(detector->gradient_parts, error));
    US_CHECK(us_pixel_score_create(device, (us_pixel_score_kind)spec->scoring.pixel,
                                   spec->scoring.top_k, spec->input, detector->padded,
                                   &detector->pixel_score, error));
    US_CHECK(create_inputs(detector, error));
    US_CHECK(spec->type->create(detector, training, error));
    if (spec->scoring.features.layer)
        US_CHECK(us_features_create(detector, &detector->features, error));
done:
    if (status == UNSEEN_OK)
        *out = detector;
    else
        us_detector_destroy(detector);
    return status;
}

void us_detector_destroy(us_detector *detector) {
    if (!detector) return;
    us_features_destroy(detector->features);
    detector->spec->type->destroy(detector);
    us_pixel_score_destroy(detector->pixel_score);
    us_buffer_destroy(detector->x);
    us_buffer_destroy(detector->x_last);
    for (int i = 0; i < detector->spec->network_count; i++) {
        us_network_destroy(detector->joined[i]);
        us_network_destroy(detector->networks[i]);
    }
    destroy_flat(detector);
    free(detector);
}

void us_detector_next_batch(us_detector *detector) {
    if (!detector->x_last) return;
    us_buffer *last = detector->x;
    detector->x = detector->x_last;
    detector->x_last = last;
}

unseen_status us_detector_initialize(us_detector *detector, uint64_t seed, unseen_error *error) {
    for (int i = 0; i < detector->spec->network_count; i++)
        US_TRY(us_network_initialize(detector->networks[i], seed, error));
    return UNSEEN_OK;
}

unseen_status us_detector_save(const us_detector *detector, us_safetensors_builder *builder,
                               unseen_error *error) {
    for (int i = 0; i < detector->spec->network_count; i++)
        US_TRY(us_network_save(detector->networks[i], builder, error));
    if (detector->features) US_TRY(us_features_save(detector->features, builder, error));
    if (!detector->spec->type->save) return UNSEEN_OK;
    return detector->spec->type->save(detector, builder, error);
}

unseen_status us_detector_load(us_detector *detector, const us_safetensors *file,
                               unseen_error *error) {
    for (int i = 0; i < detector->spec->network_count; i++)
        US_TRY(us_network_load(detector->networks[i], file, error));
    /* Checkpoints have none: features are learned after training. */
    if (detector->features && !detector->training)
        US_TRY(us_features_load(detector->features, file, error));
    if (!detector->spec->type->load) return UNSEEN_OK;
    return detector->spec->type->load(detector, file, error);
}

/* ---- scores ---- */

bool us_detector_finishes(const us_detector_spec *spec) {
    return spec->type->finish || spec->scoring.features.layer;
}

unseen_status us_detector_finish(us_detector *detector, const us_detector_survey *survey,
                                 unseen_error *error) {
    if (detector->spec->type->finish) US_TRY(detector->spec->type->finish(detector, survey, error));
    if (!detector->features) return UNSEEN_OK;
    return us_features_learn(detector->features, detector, survey, error);
}

unseen_status us_detector_score(us_detector *detector, us_buffer *x, int n,
                                us_buffer *const *columns, unseen_error *error) {
    US_TRY(detector->spec->type->score(detector, x, n, columns, error));
    if (!detector->features) return UNSEEN_OK;
    const int last = us_detector_column_count(detector->spec) - 1;
    return us_features_score(detector->features, detector, x, n, columns[last], error);
}

/* Whether maps are those of the features: these are what the config asks for, where they have
 * positions and a weight. */
static bool maps_features(const us_detector_spec *spec) {
    const us_feature_settings *f = &spec->scoring.features;
    if (!f->layer || f->pooling != US_FEATURES_NONE) return false;
    const us_shape shape = spec->networks[f->network_index].layers[f->layer_index].out;
    const int column = us_detector_column_count(spec) - 1;
    return shape.height * shape.width > 1 && spec->scoring.weights[column] > 0;
}

bool us_detector_has_maps(const us_detector_spec *spec) {
    return spec->type->map || maps_features(spec);
}

unseen_status us_detector_map(us_detector *detector, const us_detector_map_args *args,
                              unseen_error *error) {
    if (maps_features(detector->spec))
        return us_features_map(detector->features, args->map, args->out, error);
    return detector->spec->type->map(detector, args, error);
}
