/* SPDX-License-Identifier: MIT */
/* contrastive: contrasting shifted instances (CSI, arXiv 2007.08176). One step:
 *   1. each image is turned by 0 to 3 quarters, twice, and each of the eight is varied at random;
 *   2. the projection of what the encoder makes of them learns to be alike for both views of an
 *      image in the same turn, and unlike for all others: for those of other images, and for other
 *      turns of the same one (NT-Xent, see ops/contrastive.h);
 *   3. a classifier learns to tell the turns apart.
 * The eight are one batch, so that BatchNorm sees all of them. When training has ended, projections
 * of training images are kept. An image scores, summed over its turns, the largest cosine of its
 * projection to theirs times its length, and the classifier's logit of the right turn; each turn's
 * numbers are divided by their mean over the images kept (the paper's equations 7 and 9). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detector/detector.h"
#include "ops/augmentation.h"
#include "ops/class_entropy.h"
#include "ops/contrastive.h"
#include "ops/residual.h"
#include "ops/turned_views.h"

enum { ENCODER, PROJECTION, CLASSIFIER, NETWORKS };
enum { LOSS_CONTRASTIVE, LOSS_SHIFT };
enum { VIEWS = 2 * US_TURNS };

typedef struct contrastive_attributes {
    double temperature;
    int features;
    us_augmentation_settings views;
} contrastive_attributes;

static const us_key keys[] = {
    {.name = "temperature",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(contrastive_attributes, temperature),
     .maximum = 100,
     .above_minimum = true,
     .fallback = {0.5},
     .help = "Cosines are divided by it: the smaller, the more the most alike count"},
    {.name = "features",
     .kind = US_KEY_INT,
     .offset = offsetof(contrastive_attributes, features),
     .minimum = 8,
     .maximum = 1000000,
     .fallback = {2048},
     .help = "Of about so many training images, evenly spread, the features are kept in the model, "
             "which images are compared with"},
    {.name = "views",
     .kind = US_KEY_OBJECT,
     .offset = offsetof(contrastive_attributes, views),
     .members = us_augmentation_keys,
     .help = "How the two views of an image are varied at random, each by itself"},
    {.kind = US_KEY_END},
};

typedef struct contrastive {
    us_tape *tapes[NETWORKS];
    us_turned_views *turned;
    us_augmentation *augmentation;
    us_contrastive_loss *loss;
    us_class_entropy *entropy;
    us_gradient_sum *sum;
    int wide;                      /* lanes of the networks */
    us_buffer *images;             /* turned, [C][H][W][wide] */
    us_buffer *views;              /* and varied; of training only, as all below */
    us_buffer *labels, *entropies; /* of each lane */
    us_buffer *vector_gradient, *logit_gradient, *feature_gradients[2];
    us_contrastive_score *score; /* NULL: nothing is kept yet */
    us_contrastive_memory memory;
} contrastive;

static const char directions_name[] = "directions", weights_name[] = "direction_weights";

static int dimensions_of(const us_detector *detector) {
    return (int)us_shape_size(detector->spec->networks[PROJECTION].out);
}

/* ---- the config ---- */

static int joint(const us_detector_spec *spec, bool training) {
    (void)spec;
    return training ? VIEWS : US_TURNS;
}

static void count_passes(const us_detector_spec *spec, int network, us_passes *passes) {
    (void)spec, (void)network;
    passes->scoring = US_TURNS;
}

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    const contrastive_attributes *a = spec->attributes;
    const us_json detector = us_json_member(config, "detector");
    const us_json views = us_json_member(&detector, "views");
    const us_json networks = us_json_member(config, "networks");
    const us_json input = us_json_member(config, "input");
    const us_shape in = spec->input, out = spec->networks[CLASSIFIER].out;
    if (in.height != in.width)
        return us_json_fail(&input, error,
                            "images of %d x %d pixels are not square and cannot be turned by "
                            "quarters: set height and width to the same number",
                            in.height, in.width);
    if (us_shape_size(out) != US_TURNS) {
        const us_json layers = us_json_member(&networks, spec->networks[CLASSIFIER].name);
        return us_json_fail(&layers, error,
                            "the classifier must give %d numbers per image, one for each turn, not "
                            "%d x %d x %d",
                            US_TURNS, out.channels, out.height, out.width);
    }
    if (us_shape_size(spec->networks[PROJECTION].out) < 2) {
        const us_json layers = us_json_member(&networks, spec->networks[PROJECTION].name);
        return us_json_fail(&layers, error, "one number has no direction: give at least 2 units");
    }
    if (!us_augmentation_is_set(&a->views))
        return us_json_fail(&views, error,
                            "two views of an image must differ: set zoom, flip, brightness, ... as "
                            "contrastive.json does");
    return us_augmentation_check(&views, &a->views, in, error);
}

/* ---- creation ---- */

static unseen_status create_buffers(us_detector *detector, bool training, unseen_error *error) {
    contrastive *c = detector->state;
    const us_network_spec *networks = detector->spec->networks;
    const size_t lanes = (size_t)c->wide * sizeof(float);
    const size_t images = us_shape_size(detector->spec->input) * lanes;
    const struct {
        us_buffer **buffer;
        size_t bytes;
        const char *name;
    } wanted[] = {
        {&c->images, images, "turned images"},
        {&c->views, images, "views of images"},
        {&c->labels, (size_t)c->wide * sizeof(int32_t), "the images' turns"},
        {&c->entropies, lanes, "cross entropies"},
        {&c->vector_gradient, us_shape_size(networks[PROJECTION].out) * lanes,
         "gradient of the projection"},
        {&c->logit_gradient, US_TURNS * lanes, "gradient of the class scores"},
        {&c->feature_gradients[0], us_shape_size(networks[ENCODER].out) * lanes,
         "gradient of the features"},
        {&c->feature_gradients[1], us_shape_size(networks[ENCODER].out) * lanes,
         "gradient of the features"},
    };
    for (size_t i = 0; i < (training ? sizeof wanted / sizeof *wanted : 1); i++)
        US_TRY(us_buffer_create(detector->device, wanted[i].bytes, wanted[i].name, wanted[i].buffer,
                                error));
    return UNSEEN_OK;
}

static unseen_status create_training(us_detector *detector, unseen_error *error) {
    const contrastive_attributes *a = detector->spec->attributes;
    contrastive *c = detector->state;
    us_device *device = detector->device;
    us_network *const *networks = detector->networks;
    US_TRY(us_augmentation_create(device, &a->views, 1, detector->spec->input, c->wide,
                                  &c->augmentation, error));
    US_TRY(us_contrastive_loss_create(device, dimensions_of(detector), c->wide,
                                      us_network_output_activation(networks[PROJECTION]),
                                      a->temperature, &c->loss, error));
    const us_class_heads turns = {1, {US_TURNS}, {1}};
    US_TRY(us_class_entropy_create(device, US_PURPOSE_TRAINING, &turns, c->wide,
                                   us_network_output_activation(networks[CLASSIFIER]), &c->entropy,
                                   error));
    return us_gradient_sum_create(&(us_build){.device = device, .purpose = US_PURPOSE_TRAINING},
                                  detector->spec->networks[ENCODER].out, c->wide,
                                  (us_activation){.kind = US_ACTIVATION_NONE}, &c->sum, error);
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    contrastive *c = calloc(1, sizeof *c);
    if (!c) return us_fail_memory(error, "a detector");
    detector->state = c;
    c->wide =
        us_device_pad(&detector->device->facts, joint(detector->spec, training) * detector->padded);
    for (int i = 0; i < NETWORKS; i++)
        US_TRY(us_tape_create(detector->networks[i], training, &c->tapes[i], error));
    US_TRY(us_turned_views_create(detector->device, US_PURPOSE_SCORING, detector->spec->input,
                                  detector->padded, c->wide, &c->turned, error));
    US_TRY(create_buffers(detector, training, error));
    return training ? create_training(detector, error) : UNSEEN_OK;
}

static void forget(contrastive *c) {
    us_contrastive_score_destroy(c->score);
    free((void *)c->memory.directions);
    free((void *)c->memory.weights);
    c->score = NULL;
    c->memory = (us_contrastive_memory){0};
}

static void destroy(us_detector *detector) {
    contrastive *c = detector->state;
    if (!c) return;
    for (int i = 0; i < NETWORKS; i++)
        us_tape_destroy(c->tapes[i]);
    us_turned_views_destroy(c->turned);
    us_augmentation_destroy(c->augmentation);
    us_contrastive_loss_destroy(c->loss);
    us_class_entropy_destroy(c->entropy);
    us_gradient_sum_destroy(c->sum);
    us_buffer *const buffers[] = {c->images,
                                  c->views,
                                  c->labels,
                                  c->entropies,
                                  c->vector_gradient,
                                  c->logit_gradient,
                                  c->feature_gradients[0],
                                  c->feature_gradients[1]};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
    forget(c);
    free(c);
}

/* ---- passes ---- */

static unseen_status run(us_detector *detector, us_buffer *x, int n, us_training training,
                         unseen_error *error) {
    contrastive *c = detector->state;
    us_network *const *networks = detector->networks;
    US_TRY(us_network_forward(networks[ENCODER], c->tapes[ENCODER], x, n, training, error));
    us_buffer *features = us_tape_output(c->tapes[ENCODER]);
    for (int i = PROJECTION; i < NETWORKS; i++)
        US_TRY(us_network_forward(networks[i], c->tapes[i], features, n, training, error));
    return UNSEEN_OK;
}

/* Both views of all turns, and the contrastive loss. gradient NULL: that alone. */
static unseen_status contrast(us_detector *detector, us_buffer *x, int n, uint64_t seed,
                              uint32_t substream, us_buffer *gradient, us_buffer *losses, int slot,
                              unseen_error *error) {
    contrastive *c = detector->state;
    const us_turned_views_args turned = {
        .x = x, .out = c->images, .labels = c->labels, .n = n, .stride = n, .parts = VIEWS};
    US_TRY(us_turned_views_run(c->turned, &turned, error));
    const us_augmentation_args varied = {.x = c->images,
                                         .out = c->views,
                                         .n = VIEWS * n,
                                         .seed = seed,
                                         .substream = substream,
                                         .purpose = US_AUGMENT_VIEW};
    US_TRY(us_augmentation_run(c->augmentation, &varied, error));
    US_TRY(
        run(detector, c->views, VIEWS * n, gradient ? US_TRAINING_MOVES : US_TRAINING_NONE, error));
    const us_contrastive_loss_args loss = {.z = us_tape_output(c->tapes[PROJECTION]),
                                           .dz = gradient,
                                           .losses = losses,
                                           .slot = slot,
                                           .n = VIEWS * n};
    return us_contrastive_loss_run(c->loss, &loss, error);
}

static unseen_status learn(us_detector *detector, int network, us_buffer *dy, us_buffer *dx, int n,
                           unseen_error *error) {
    contrastive *c = detector->state;
    const us_network_backward_args args = {.dy = dy, .dx = dx, .n = n, .parameters = true};
    return us_network_backward(detector->networks[network], c->tapes[network], &args, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    contrastive *c = detector->state;
    const int n = VIEWS * step->n;
    US_TRY(contrast(detector, step->x, step->n, step->seed, (uint32_t)step->step,
                    c->vector_gradient, step->losses, step->slot + LOSS_CONTRASTIVE, error));
    const us_class_entropy_args told = {.y = us_tape_output(c->tapes[CLASSIFIER]),
                                        .labels = c->labels,
                                        .dy = c->logit_gradient,
                                        .entropies = c->entropies,
                                        .losses = step->losses,
                                        .slot = step->slot + LOSS_SHIFT,
                                        .n = n};
    US_TRY(us_class_entropy_run(c->entropy, &told, error));
    us_buffer *const *through = c->feature_gradients;
    US_TRY(learn(detector, PROJECTION, c->vector_gradient, through[0], n, error));
    US_TRY(learn(detector, CLASSIFIER, c->logit_gradient, through[1], n, error));
    const us_gradient_sum_args sum = {
        .base = through[0], .x = through[1], .gradient = through[1], .sum = through[0]};
    US_TRY(us_gradient_sum_run(c->sum, &sum, error));
    US_TRY(learn(detector, ENCODER, through[0], NULL, n, error));
    for (int i = 0; i < NETWORKS; i++)
        US_TRY(step->update(step->user, i, NULL, error));
    return UNSEEN_OK;
}

/* The views drawn are the same each time, so that the losses of epochs are comparable. */
static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    return contrast(detector, x, n, 0, (uint32_t)slot, NULL, losses, slot, error);
}

/* Every turn of the images as they are, that of image j in lane turn padded + j. */
static unseen_status look(us_detector *detector, us_buffer *x, int n, unseen_error *error) {
    contrastive *c = detector->state;
    const us_turned_views_args turned = {
        .x = x, .out = c->images, .n = n, .stride = detector->padded, .parts = US_TURNS};
    US_TRY(us_turned_views_run(c->turned, &turned, error));
    return run(detector, c->images, US_TURNS * detector->padded, US_TRAINING_NONE, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    contrastive *c = detector->state;
    if (!c->score)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the model holds no features of training images, as its training did not "
                       "end: continue it with --resume");
    US_TRY(look(detector, x, n, error));
    return us_contrastive_score_run(c->score, us_tape_output(c->tapes[PROJECTION]),
                                    us_tape_output(c->tapes[CLASSIFIER]), columns[0], columns[1],
                                    error);
}

/* ---- what is kept of training images ---- */

static unseen_status allocate(us_detector *detector, int64_t images, float **directions,
                              float **weights, unseen_error *error) {
    contrastive *c = detector->state;
    forget(c);
    const int64_t points =
        (images + US_CONTRASTIVE_POINTS - 1) / US_CONTRASTIVE_POINTS * US_CONTRASTIVE_POINTS;
    c->memory = (us_contrastive_memory){
        .parts = US_TURNS, .dimensions = dimensions_of(detector), .points = (int)points};
    *directions = calloc((size_t)US_TURNS * (size_t)c->memory.dimensions * (size_t)points,
                         sizeof **directions);
    *weights = calloc((size_t)2 * US_TURNS, sizeof **weights);
    c->memory.directions = *directions;
    c->memory.weights = *weights;
    return *directions && *weights ? UNSEEN_OK : us_fail_memory(error, "features");
}

static unseen_status use_memory(us_detector *detector, unseen_error *error) {
    contrastive *c = detector->state;
    return us_contrastive_score_create(detector->device, &c->memory, detector->padded, c->wide,
                                       &c->score, error);
}

/* Sums over the images kept, for each turn. */
typedef struct means {
    double lengths[US_TURNS], logits[US_TURNS];
    int64_t images;
} means;

/* Point `point` of a turn becomes the direction of the vector in a lane; returns its length. */
static double keep_direction(const contrastive *c, float *directions, const float *vectors,
                             size_t lane, int turn, int64_t point) {
    const size_t wide = (size_t)c->wide, points = (size_t)c->memory.points;
    const int dimensions = c->memory.dimensions;
    double length = 0;
    for (int d = 0; d < dimensions; d++)
        length +=
            (double)vectors[(size_t)d * wide + lane] * (double)vectors[(size_t)d * wide + lane];
    length = sqrt(length);
    for (int d = 0; d < dimensions && length > 0; d++)
        directions[(size_t)(turn * dimensions + d) * points + (size_t)point] =
            (float)((double)vectors[(size_t)d * wide + lane] / length);
    return length;
}

static unseen_status keep_batch(us_detector *detector, int n, float *directions, float *values,
                                means *m, unseen_error *error) {
    contrastive *c = detector->state;
    const size_t wide = (size_t)c->wide, vectors = (size_t)c->memory.dimensions * wide;
    float *logits = values + vectors;
    US_TRY(look(detector, detector->x, n, error));
    US_TRY(us_buffer_read(us_tape_output(c->tapes[PROJECTION]), 0, values, vectors * sizeof *values,
                          error));
    US_TRY(us_buffer_read(us_tape_output(c->tapes[CLASSIFIER]), 0, logits,
                          US_TURNS * wide * sizeof *values, error));
    for (int turn = 0; turn < US_TURNS; turn++)
        for (int j = 0; j < n; j++) {
            const size_t lane = (size_t)(turn * detector->padded + j);
            m->lengths[turn] += keep_direction(c, directions, values, lane, turn, m->images + j);
            m->logits[turn] += fabs((double)logits[(size_t)turn * wide + lane]);
        }
    m->images += n;
    return UNSEEN_OK;
}

/* Places that are left over hold the first image again. */
static void fill_up(const us_contrastive_memory *memory, float *directions, int64_t images) {
    for (int row = 0; row < memory->parts * memory->dimensions; row++)
        for (int64_t m = images; m < memory->points; m++)
            directions[(size_t)row * (size_t)memory->points + (size_t)m] =
                directions[(size_t)row * (size_t)memory->points];
}

static unseen_status find_weights(const means *m, float *weights, unseen_error *error) {
    for (int turn = 0; turn < US_TURNS; turn++) {
        const double sums[2] = {m->lengths[turn], m->logits[turn]};
        for (int i = 0; i < 2; i++) {
            if (!isfinite(sums[i]))
                return us_fail(error, UNSEEN_DIVERGED,
                               "the networks give %g for training images after the last epoch",
                               sums[i]);
            /* What is 0 for all images stays so: constant scores are found out later. */
            weights[i * US_TURNS + turn] = sums[i] > 0 ? (float)((double)m->images / sums[i]) : 0;
        }
    }
    return UNSEEN_OK;
}

/* Whole batches, evenly spread over the training images. */
static unseen_status keep_images(us_detector *detector, const us_detector_survey *survey,
                                 float *directions, float *values, means *m, unseen_error *error) {
    const contrastive_attributes *a = detector->spec->attributes;
    const int64_t most = a->features / detector->batch > 0 ? a->features / detector->batch : 1;
    const int64_t wanted = survey->batches < most ? survey->batches : most;
    for (int64_t i = 0; i < wanted; i++) {
        int n = 0;
        US_TRY(survey->load(survey->user, i * survey->batches / wanted, &n, error));
        US_TRY(keep_batch(detector, n, directions, values, m, error));
    }
    return UNSEEN_OK;
}

static unseen_status finish(us_detector *detector, const us_detector_survey *survey,
                            unseen_error *error) {
    contrastive *c = detector->state;
    const contrastive_attributes *a = detector->spec->attributes;
    const int64_t most = a->features > detector->batch ? a->features : detector->batch;
    float *directions, *weights;
    means m = {0};
    US_TRY(allocate(detector, survey->images < most ? survey->images : most, &directions, &weights,
                    error));
    float *values =
        malloc((size_t)(c->memory.dimensions + US_TURNS) * (size_t)c->wide * sizeof *values);
    if (!values) return us_fail_memory(error, "features");
    unseen_status status = keep_images(detector, survey, directions, values, &m, error);
    free(values);
    US_TRY(status);
    fill_up(&c->memory, directions, m.images);
    US_TRY(find_weights(&m, weights, error));
    return use_memory(detector, error);
}

static unseen_status save(const us_detector *detector, us_safetensors_builder *builder,
                          unseen_error *error) {
    const contrastive *c = detector->state;
    const us_contrastive_memory *memory = &c->memory;
    if (!c->score) return UNSEEN_OK;
    US_TRY(us_safetensors_add_floats(builder, directions_name, 3,
                                     (int[]){US_TURNS, memory->dimensions, memory->points},
                                     memory->directions, error));
    return us_safetensors_add_floats(builder, weights_name, 1, (int[]){2 * US_TURNS},
                                     memory->weights, error);
}

static unseen_status load(us_detector *detector, const us_safetensors *file, unseen_error *error) {
    contrastive *c = detector->state;
    const us_safetensors_tensor *directions = us_safetensors_find(file, directions_name),
                                *weights = us_safetensors_find(file, weights_name);
    forget(c);
    if (!directions && !weights) return UNSEEN_OK; /* training has not ended */
    const size_t point = US_TURNS * (size_t)dimensions_of(detector) * sizeof(float);
    const size_t points = directions ? directions->bytes / point : 0;
    if (!directions || !weights || strcmp(directions->dtype, "F32") != 0 ||
        strcmp(weights->dtype, "F32") != 0 || points == 0 || points > 1 << 24 ||
        points % US_CONTRASTIVE_POINTS != 0 || directions->bytes != points * point ||
        weights->bytes != 2 * US_TURNS * sizeof(float))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: the tensors %s and %s do not belong to this config", file->path,
                       directions_name, weights_name);
    float *kept, *kept_weights;
    US_TRY(allocate(detector, (int64_t)points, &kept, &kept_weights, error));
    memcpy(kept, directions->data, directions->bytes);
    memcpy(kept_weights, weights->data, weights->bytes);
    return use_memory(detector, error);
}

const us_detector_type us_contrastive_detector = {
    .name = "contrastive",
    .help =
        "An encoder that tells views of one image from all others, and how they are turned; the "
        "score is how unlike those of training images its features are",
    .keys = keys,
    .attributes_size = sizeof(contrastive_attributes),
    .networks = {{.name = "encoder", .forward = VIEWS, .backward = VIEWS},
                 {.name = "projection",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .forward = VIEWS,
                  .backward = VIEWS},
                 {.name = "classifier",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .forward = VIEWS,
                  .backward = VIEWS}},
    .losses = {{"contrastive", "projection", US_GAME_NONE}, {"shift", "classifier", US_GAME_NONE}},
    .columns = {{"similarity", -1, "projection"}, {"shift", -1, "classifier"}},
    .check = check,
    .count_passes = count_passes,
    .joint = joint,
    .create = create,
    .destroy = destroy,
    .train = train,
    .finish = finish,
    .save = save,
    .load = load,
    .validate = validate,
    .score = score,
};
