/* SPDX-License-Identifier: MIT */
/* deep_svdd: Deep Support Vector Data Description (Ruff et al., Deep One-Class Classification, ICML
 * 2018). The encoder f learns to map images near a centre c, which is the mean of what the
 * untrained encoder makes of the training images; an image scores its distance |f(x) - c|^2.
 *
 *   one_class      loss = mean over images of |f(x) - c|^2
 *   soft_boundary  loss = R^2 + 1 / nu mean over images of max(0, |f(x) - c|^2 - R^2), where R^2
 * is, from the epoch radius_warmup_epochs on, the distance that the share nu of the training images
 * exceeds when an epoch begins; before that it is 0
 *
 * Nothing but its weights keeps the encoder from mapping everything onto c: it must have no bias
 * that could do so alone, and no activation that saturates (the paper's section 3.3). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detector/detector.h"
#include "ops/hypersphere.h"

enum { ONE_CLASS, SOFT_BOUNDARY };

typedef struct deep_svdd_attributes {
    int objective, radius_warmup_epochs;
    double nu;
} deep_svdd_attributes;

static const char *const objectives[] = {"one_class", "soft_boundary", NULL};

static const us_key keys[] = {
    {.name = "objective",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(deep_svdd_attributes, objective),
     .choices = objectives,
     .help = "one_class draws every image to the centre, soft_boundary only those beyond a radius"},
    {.name = "nu",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(deep_svdd_attributes, nu),
     .above_minimum = true,
     .maximum = 1,
     .fallback = {0.1},
     .help = "soft_boundary: share of the training images that may lie beyond the radius"},
    {.name = "radius_warmup_epochs",
     .kind = US_KEY_INT,
     .offset = offsetof(deep_svdd_attributes, radius_warmup_epochs),
     .maximum = 1000000,
     .fallback = {10},
     .help = "soft_boundary: epochs at the beginning with a radius of 0; after them each epoch "
             "begins with a pass over the training images that measures it"},
    {.kind = US_KEY_END},
};

typedef struct deep_svdd {
    us_tape *tape;
    us_hypersphere *hypersphere;
    us_buffer *centre; /* [features] */
    double radius_squared;
    us_buffer *gradient; /* training only: of the features */
    struct svdd_maps {
        us_tape *tape; /* NULL: no map has been asked for yet, and there is none of all this */
        us_hypersphere *hypersphere;
        us_buffer *distances, *features, *x; /* the latter two: gradients of the distance */
    } maps;
} deep_svdd;

static const char centre_name[] = "centre", radius_name[] = "radius_squared";

static size_t feature_count(const us_detector *detector) {
    return us_shape_size(detector->spec->networks[0].out);
}

/* ---- creation ---- */

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    deep_svdd *d = calloc(1, sizeof *d);
    if (!d) return us_fail_memory(error, "a detector");
    detector->state = d;
    const us_shape features = detector->spec->networks[0].out;
    const size_t bytes = feature_count(detector) * sizeof(float);
    US_TRY(us_tape_create(detector->networks[0], training, &d->tape, error));
    US_TRY(us_hypersphere_create(detector->device, features, detector->padded,
                                 us_network_output_activation(detector->networks[0]), training,
                                 &d->hypersphere, error));
    US_TRY(us_buffer_create(detector->device, bytes, "the centre", &d->centre, error));
    if (!training) return UNSEEN_OK;
    return us_buffer_create(detector->device, bytes * (size_t)detector->padded,
                            "gradient of the features", &d->gradient, error);
}

static void destroy_maps(struct svdd_maps *maps) {
    us_tape_destroy(maps->tape);
    us_hypersphere_destroy(maps->hypersphere);
    us_buffer_destroy(maps->distances);
    us_buffer_destroy(maps->features);
    us_buffer_destroy(maps->x);
}

static void destroy(us_detector *detector) {
    deep_svdd *d = detector->state;
    if (!d) return;
    us_tape_destroy(d->tape);
    us_hypersphere_destroy(d->hypersphere);
    us_buffer_destroy(d->centre);
    us_buffer_destroy(d->gradient);
    destroy_maps(&d->maps);
    free(d);
}

/* ---- what is kept ---- */

static unseen_status save(const us_detector *detector, us_safetensors_builder *builder,
                          unseen_error *error) {
    const deep_svdd *d = detector->state;
    const size_t count = feature_count(detector), bytes = count * sizeof(float);
    float *centre = malloc(bytes);
    double *radius = malloc(sizeof *radius);
    unseen_status status =
        centre && radius ? UNSEEN_OK : us_fail_memory(error, "a detector's tensors");
    if (status == UNSEEN_OK) status = us_buffer_read(d->centre, 0, centre, bytes, error);
    if (status != UNSEEN_OK) {
        free(centre);
        free(radius);
        return status;
    }
    *radius = d->radius_squared;
    status = us_safetensors_add(builder, centre_name, "F32", 1, (int[]){(int)count}, centre, bytes,
                                error);
    if (status != UNSEEN_OK) {
        free(radius);
        return status;
    }
    return us_safetensors_add(builder, radius_name, "F64", 1, (int[]){1}, radius, sizeof *radius,
                              error);
}

static unseen_status load(us_detector *detector, const us_safetensors *file, unseen_error *error) {
    deep_svdd *d = detector->state;
    const us_safetensors_tensor *centre, *radius;
    const int count = (int)feature_count(detector), one = 1;
    US_TRY(us_safetensors_expect(file, centre_name, "F32", 1, &count, &centre, error));
    US_TRY(us_safetensors_expect(file, radius_name, "F64", 1, &one, &radius, error));
    memcpy(&d->radius_squared, radius->data, sizeof d->radius_squared);
    if (!(d->radius_squared >= 0) || isinf(d->radius_squared))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: the tensor %s holds %g, which is no radius",
                       file->path, radius_name, d->radius_squared);
    return us_buffer_write(d->centre, 0, centre->data, centre->bytes, error);
}

/* ---- passes ---- */

static unseen_status run(us_detector *detector, us_buffer *x, int n, us_training training,
                         us_buffer **features, unseen_error *error) {
    deep_svdd *d = detector->state;
    US_TRY(us_network_forward(detector->networks[0], d->tape, x, n, training, error));
    *features = us_tape_output(d->tape);
    return UNSEEN_OK;
}

static us_hypersphere_args loss_args(const us_detector *detector, us_buffer *features, int n) {
    const deep_svdd_attributes *a = detector->spec->attributes;
    deep_svdd *d = detector->state;
    const bool soft = a->objective == SOFT_BOUNDARY;
    return (us_hypersphere_args){.y = features,
                                 .centre = d->centre,
                                 .n = n,
                                 .radius_squared = soft ? d->radius_squared : 0,
                                 .share = soft ? a->nu : 1};
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    deep_svdd *d = detector->state;
    us_buffer *features;
    US_TRY(run(detector, step->x, step->n, US_TRAINING_MOVES, &features, error));
    us_hypersphere_args args = loss_args(detector, features, step->n);
    args.dy = d->gradient;
    args.losses = step->losses;
    args.slot = step->slot;
    US_TRY(us_hypersphere_loss(d->hypersphere, &args, error));
    us_network_backward_args backward = {.dy = d->gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(detector->networks[0], d->tape, &backward, error));
    return step->update(step->user, 0, NULL, error);
}

static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    deep_svdd *d = detector->state;
    us_buffer *features;
    US_TRY(run(detector, x, n, US_TRAINING_NONE, &features, error));
    us_hypersphere_args args = loss_args(detector, features, n);
    args.losses = losses;
    args.slot = slot;
    return us_hypersphere_loss(d->hypersphere, &args, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    deep_svdd *d = detector->state;
    us_buffer *features;
    US_TRY(run(detector, x, n, US_TRAINING_NONE, &features, error));
    return us_hypersphere_score(d->hypersphere, features, d->centre, columns[0], error);
}

/* ---- maps ---- */

static unseen_status create_maps(us_detector *detector, unseen_error *error) {
    deep_svdd *d = detector->state;
    us_network *encoder = detector->networks[0];
    const us_network_spec *spec = &detector->spec->networks[0];
    const size_t lanes = (size_t)detector->padded * sizeof(float);
    if (d->maps.tape) return UNSEEN_OK;
    US_TRY(us_hypersphere_create(detector->device, spec->out, detector->padded,
                                 us_network_output_activation(encoder), true, &d->maps.hypersphere,
                                 error));
    US_TRY(us_buffer_create(detector->device, lanes, "distances", &d->maps.distances, error));
    US_TRY(us_buffer_create(detector->device, us_shape_size(spec->out) * lanes,
                            "gradient of the features", &d->maps.features, error));
    US_TRY(us_buffer_create(detector->device, us_shape_size(spec->in) * lanes,
                            "gradient of the images", &d->maps.x, error));
    return us_tape_create(encoder, true, &d->maps.tape, error);
}

/* The squared length of the distance's gradient with respect to each pixel. */
static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    deep_svdd *d = detector->state;
    us_network *encoder = detector->networks[0];
    US_TRY(create_maps(detector, error));
    US_TRY(us_network_forward(encoder, d->maps.tape, args->x, args->n, US_TRAINING_FIXED, error));
    us_buffer *features = us_tape_output(d->maps.tape);
    US_TRY(
        us_hypersphere_score(d->maps.hypersphere, features, d->centre, d->maps.distances, error));
    US_TRY(us_hypersphere_score_gradient(d->maps.hypersphere, features, d->centre,
                                         d->maps.distances, args->n, d->maps.features, error));
    const us_network_backward_args backward = {
        .dy = d->maps.features, .dx = d->maps.x, .n = args->n};
    US_TRY(us_network_backward(encoder, d->maps.tape, &backward, error));
    return us_anomaly_map_error(args->map, d->maps.x, NULL, args->out, error);
}

/* ---- before an epoch ---- */

/* Adds the features of a batch to the sums, one for each feature. */
static unseen_status add_features(us_detector *detector, us_buffer *features, int n, float *values,
                                  double *sums, unseen_error *error) {
    const size_t count = feature_count(detector), room = (size_t)detector->padded;
    US_TRY(us_buffer_read(features, 0, values, count * room * sizeof *values, error));
    for (size_t f = 0; f < count; f++)
        for (int j = 0; j < n; j++)
            sums[f] += (double)values[f * room + (size_t)j];
    return UNSEEN_OK;
}

/* A feature too near to 0 could be had by weights of zero: those are moved away, as in the
 * authors' program. */
static float centre_of(double mean) {
    const double least = 0.1;
    if (fabs(mean) < least) mean = mean < 0 ? -least : least;
    return (float)mean;
}

static unseen_status find_centre(us_detector *detector, const us_detector_survey *survey,
                                 unseen_error *error) {
    deep_svdd *d = detector->state;
    const size_t count = feature_count(detector);
    float *values = malloc(count * (size_t)detector->padded * sizeof *values);
    double *sums = calloc(count, sizeof *sums);
    unseen_status status = values && sums ? UNSEEN_OK : us_fail_memory(error, "the centre");
    for (int64_t b = 0; b < survey->batches && status == UNSEEN_OK; b++) {
        int n = 0;
        us_buffer *features = NULL;
        status = survey->load(survey->user, b, &n, error);
        if (status == UNSEEN_OK)
            status = run(detector, detector->x, n, US_TRAINING_NONE, &features, error);
        if (status == UNSEEN_OK) status = add_features(detector, features, n, values, sums, error);
    }
    for (size_t f = 0; f < count && status == UNSEEN_OK; f++)
        values[f] = centre_of(sums[f] / (double)survey->images);
    if (status == UNSEEN_OK)
        status = us_buffer_write(d->centre, 0, values, count * sizeof *values, error);
    free(values);
    free(sums);
    return status;
}

/* All ranks look at all images; where their devices round otherwise, the first one's centre holds.
 */
static unseen_status share_centre(us_detector *detector, unseen_error *error) {
    deep_svdd *d = detector->state;
    const size_t bytes = feature_count(detector) * sizeof(float);
    if (!detector->group) return UNSEEN_OK;
    float *centre = malloc(bytes);
    if (!centre) return us_fail_memory(error, "the centre");
    unseen_status status = us_buffer_read(d->centre, 0, centre, bytes, error);
    if (status == UNSEEN_OK) status = us_group_broadcast(detector->group, centre, bytes, error);
    if (status == UNSEEN_OK) status = us_buffer_write(d->centre, 0, centre, bytes, error);
    free(centre);
    return status;
}

static int compare(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The distance that the share nu of the images exceeds. */
static double radius_of(float *distances, int64_t count, double nu) {
    qsort(distances, (size_t)count, sizeof *distances, compare);
    int64_t index = (int64_t)ceil((1 - nu) * (double)count) - 1;
    if (index < 0) index = 0;
    return (double)distances[index < count ? index : count - 1];
}

static unseen_status find_radius(us_detector *detector, const us_detector_survey *survey,
                                 unseen_error *error) {
    deep_svdd *d = detector->state;
    const deep_svdd_attributes *a = detector->spec->attributes;
    const int64_t images = survey->images;
    float *distances = malloc((size_t)images * sizeof *distances);
    us_buffer *batch = NULL;
    unseen_status status = distances ? UNSEEN_OK : us_fail_memory(error, "distances");
    if (status == UNSEEN_OK)
        status = us_buffer_create(detector->device, (size_t)detector->padded * sizeof(float),
                                  "distances", &batch, error);
    for (int64_t b = 0; b < survey->batches && status == UNSEEN_OK; b++) {
        int n = 0;
        status = survey->load(survey->user, b, &n, error);
        if (status == UNSEEN_OK) status = score(detector, detector->x, n, &batch, error);
        if (status == UNSEEN_OK)
            status = us_buffer_read(batch, 0, distances + b * detector->batch,
                                    (size_t)n * sizeof *distances, error);
    }
    if (status == UNSEEN_OK) d->radius_squared = radius_of(distances, images, a->nu);
    if (status == UNSEEN_OK && !isfinite(d->radius_squared))
        status = us_fail(error, UNSEEN_DIVERGED,
                         "the encoder's features are not finite at the beginning of epoch %d",
                         survey->epoch + 1);
    us_buffer_destroy(batch);
    free(distances);
    return status;
}

static unseen_status begin_epoch(us_detector *detector, const us_detector_survey *survey,
                                 unseen_error *error) {
    const deep_svdd_attributes *a = detector->spec->attributes;
    deep_svdd *d = detector->state;
    if (survey->epoch == 0) {
        d->radius_squared = 0;
        US_TRY(find_centre(detector, survey, error));
        US_TRY(share_centre(detector, error));
    }
    if (a->objective != SOFT_BOUNDARY || survey->epoch < a->radius_warmup_epochs) return UNSEEN_OK;
    US_TRY(find_radius(detector, survey, error));
    if (!detector->group) return UNSEEN_OK;
    return us_group_broadcast(detector->group, &d->radius_squared, sizeof d->radius_squared, error);
}

const us_detector_type us_deep_svdd_detector = {
    .name = "deep_svdd",
    .help = "An encoder that maps normal images near a centre; the score is the distance from it",
    .keys = keys,
    .attributes_size = sizeof(deep_svdd_attributes),
    .networks = {{.name = "encoder", .forward = 1, .backward = 1}},
    .losses = {{"distance", "encoder", US_GAME_NONE}},
    .columns = {{"distance", 1, "encoder"}},
    .create = create,
    .destroy = destroy,
    .begin_epoch = begin_epoch,
    .save = save,
    .load = load,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
