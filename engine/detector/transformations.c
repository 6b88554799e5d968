/* SPDX-License-Identifier: MIT */
/* transformations: a classifier that learns which geometric transformation an image has undergone
 * (Golan and El-Yaniv, arXiv 1805.10917). It recognises the transformation of images like
 * those it was trained on, and is uncertain on others. One step:
 *   1. each image of the batch is transformed in a way drawn for it;
 *   2. the classifier learns the cross entropy of its scores with what was drawn: with one class
 * for each combination, or by several heads, one for each kind of transformation (Hendrycks et al.,
 * arXiv 1906.12340), whose cross entropies are added.
 *
 * An image scores the sum, over all transformations, of the cross entropy after undergoing it:
 * minus the paper's simplified normality score. Or minus its whole normality score: with the
 * parameters alpha of Dirichlet distributions (dirichlet_score.h) in the place of what was drawn, the sum
 * of (1 - alpha) log p over transformations and classes. */
#include <math.h>
#include <stdlib.h>

#include "detector/dirichlet_score.h"
#include "detector/detector.h"
#include "ops/class_entropy.h"
#include "ops/transformation.h"

enum { HEADS_JOINT, HEADS_SEPARATE };
enum { SCORE_CROSS_ENTROPY, SCORE_DIRICHLET };
enum { SURVEYED = 4096 /* training images that Dirichlet parameters come from, about, at most */ };

typedef struct transformations_attributes {
    bool rotations, flips;
    double shift;
    int heads, score;
} transformations_attributes;

static const char *const head_kinds[] = {"joint", "separate", NULL};
static const char *const score_kinds[] = {"cross_entropy", "dirichlet", NULL};

static const us_key keys[] = {
    {.name = "rotations",
     .kind = US_KEY_BOOL,
     .offset = offsetof(transformations_attributes, rotations),
     .fallback = {1},
     .help = "Rotate images by 0, 90, 180 or 270 degrees; they must be square"},
    {.name = "flips",
     .kind = US_KEY_BOOL,
     .offset = offsetof(transformations_attributes, flips),
     .fallback = {1},
     .help = "Mirror images left to right, or not"},
    {.name = "shift",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(transformations_attributes, shift),
     .minimum = 0,
     .maximum = 0.5,
     .fallback = {0.25},
     .help = "Shift images by this share of their sides, in each direction or not; 0: never"},
    {.name = "heads",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(transformations_attributes, heads),
     .choices = head_kinds,
     .help = "joint: one class for each combination of rotation, flip and shift; separate: classes "
             "of their own for rotations, shifts down, shifts to the right and flips"},
    {.name = "score",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(transformations_attributes, score),
     .choices = score_kinds,
     .help = "cross_entropy: with the transformations that there were; dirichlet: with Dirichlet "
             "distributions of what the classifier answers for training images"},
    {.kind = US_KEY_END},
};

typedef struct transformations {
    us_network *classifier;
    us_tape *tape;
    us_transformation *transformation;
    us_class_entropy *entropy;
    int count;
    us_answers *answers; /* NULL: not wanted */
    us_buffer *labels, *transformed, *entropies, *gradient;
    struct transformation_maps {
        us_tape *tape; /* NULL: no map has been asked for yet, and there is none of all this */
        us_buffer *scores, *classes, *transformed,
            *x; /* the latter three: gradients of the score */
    } maps;
} transformations;

static int shift_of(double share, int pixels) {
    const int shift = (int)lround(share * pixels);
    return shift < pixels ? shift : pixels - 1;
}

static us_transformations transformation_set(const us_detector_spec *spec) {
    const transformations_attributes *a = spec->attributes;
    us_transformations set = {
        .rotations = a->rotations ? 4 : 1,
        .flips = a->flips ? 2 : 1,
        .shifts = 1,
        .shift_y = shift_of(a->shift, spec->input.height),
        .shift_x = shift_of(a->shift, spec->input.width),
    };
    if (set.shift_y > 0 && set.shift_x > 0) set.shifts = 9;
    return set;
}

/* The heads of the classifier; separate ones are those of the transformations that there are. */
static us_class_heads class_heads(const us_detector_spec *spec) {
    const transformations_attributes *a = spec->attributes;
    const us_transformations set = transformation_set(spec);
    if (a->heads == HEADS_JOINT) return (us_class_heads){1, {us_transformations_count(&set)}, {1}};
    const int down = set.shifts > 1 ? 3 : 1;
    const int sizes[] = {set.rotations, down, down, set.flips};
    const int divisors[] = {set.flips * set.shifts, 3, 1, set.shifts};
    us_class_heads heads = {0};
    for (int i = 0; i < US_CLASS_HEADS_MOST; i++)
        if (sizes[i] > 1) {
            heads.sizes[heads.count] = sizes[i];
            heads.divisors[heads.count++] = divisors[i];
        }
    return heads;
}

static void count_passes(const us_detector_spec *spec, int network, us_passes *passes) {
    (void)network;
    us_transformations set = transformation_set(spec);
    passes->scoring = us_transformations_count(&set);
}

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    const transformations_attributes *a = spec->attributes;
    us_json detector = us_json_member(config, "detector");
    us_json networks = us_json_member(config, "networks");
    us_json classifier = us_json_member(&networks, "classifier");
    us_shape in = spec->input, out = spec->networks[0].out;
    if (a->rotations && in.height != in.width) {
        us_json rotations = us_json_member(&detector, "rotations");
        return us_json_fail(&rotations, error,
                            "images of %d x %d pixels are not square and cannot be rotated: set "
                            "it to false",
                            in.height, in.width);
    }
    us_transformations set = transformation_set(spec);
    int count = us_transformations_count(&set);
    if (count < 2)
        return us_json_fail(&detector, error,
                            "no transformation is left to tell apart: allow rotations, flips or a "
                            "shift of at least one pixel");
    const us_class_heads heads = class_heads(spec);
    const int classes = us_class_heads_classes(&heads);
    if (us_shape_size(out) == (size_t)classes) return UNSEEN_OK;
    return us_json_fail(&classifier, error,
                        "the classifier must give %d numbers per image, one for each %s, not %d x "
                        "%d x %d",
                        classes,
                        a->heads == HEADS_JOINT
                            ? "transformation"
                            : "rotation, shift down, shift to the right and flip",
                        out.channels, out.height, out.width);
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    transformations *t = calloc(1, sizeof *t);
    if (!t) return us_fail_memory(error, "a detector");
    detector->state = t;
    us_device *device = detector->device;
    const us_purpose purpose = training ? US_PURPOSE_TRAINING : US_PURPOSE_SCORING;
    us_shape input = detector->spec->input;
    us_transformations set = transformation_set(detector->spec);
    size_t lane_bytes = (size_t)detector->padded * sizeof(float);
    t->count = us_transformations_count(&set);
    t->classifier = detector->networks[0];
    US_TRY(us_tape_create(t->classifier, training, &t->tape, error));
    US_TRY(us_transformation_create(device, purpose, &set, input, detector->padded,
                                    &t->transformation, error));
    const us_class_heads heads = class_heads(detector->spec);
    US_TRY(us_class_entropy_create(device, purpose, &heads, detector->padded,
                                   us_network_output_activation(t->classifier), &t->entropy,
                                   error));
    US_TRY(us_buffer_create(device, (size_t)detector->padded * sizeof(int32_t),
                            "the images' transformations", &t->labels, error));
    US_TRY(us_buffer_create(device, us_shape_size(input) * lane_bytes, "transformed images",
                            &t->transformed, error));
    US_TRY(us_buffer_create(device, lane_bytes, "cross entropies", &t->entropies, error));
    const transformations_attributes *a = detector->spec->attributes;
    if (a->score == SCORE_DIRICHLET)
        US_TRY(us_answers_create(device, &heads, t->count, &t->answers, error));
    if (!training) return UNSEEN_OK;
    return us_buffer_create(device, (size_t)us_class_heads_classes(&heads) * lane_bytes,
                            "gradient of the class scores", &t->gradient, error);
}

static void destroy(us_detector *detector) {
    transformations *t = detector->state;
    if (!t) return;
    us_tape_destroy(t->tape);
    us_transformation_destroy(t->transformation);
    us_class_entropy_destroy(t->entropy);
    us_buffer_destroy(t->labels);
    us_buffer_destroy(t->transformed);
    us_buffer_destroy(t->entropies);
    us_buffer_destroy(t->gradient);
    us_tape_destroy(t->maps.tape);
    us_buffer_destroy(t->maps.scores);
    us_buffer_destroy(t->maps.classes);
    us_buffer_destroy(t->maps.transformed);
    us_buffer_destroy(t->maps.x);
    us_answers_destroy(t->answers);
    free(t);
}

/* The loss on images, each transformed in a way drawn for it. gradient NULL: the loss alone. */
static unseen_status judge_drawn(transformations *t, us_buffer *x, int n, uint64_t seed,
                                 uint32_t substream, us_buffer *gradient, us_buffer *losses,
                                 int slot, unseen_error *error) {
    US_TRY(us_transformation_draw(t->transformation, t->labels, -1, seed, substream, error));
    US_TRY(us_transformation_each(t->transformation, x, t->labels, t->transformed, n, error));
    US_TRY(us_network_forward(t->classifier, t->tape, t->transformed, n, gradient != NULL, error));
    us_class_entropy_args args = {
        .y = us_tape_output(t->tape),
        .labels = t->labels,
        .dy = gradient,
        .entropies = t->entropies,
        .losses = losses,
        .slot = slot,
        .n = n,
    };
    return us_class_entropy_run(t->entropy, &args, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    transformations *t = detector->state;
    US_TRY(judge_drawn(t, step->x, step->n, step->seed, (uint32_t)step->step, t->gradient,
                       step->losses, step->slot, error));
    us_network_backward_args backward = {.dy = t->gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(t->classifier, t->tape, &backward, error));
    return step->update(step->user, 0, NULL, error);
}

/* Each head answers with the same probability for each of its classes. */
static double constant_loss(const us_detector_spec *spec) {
    const us_class_heads heads = class_heads(spec);
    double loss = 0;
    for (int i = 0; i < heads.count; i++)
        loss += log((double)heads.sizes[i]);
    return loss;
}

/* The transformations drawn are the same each time, so that the losses of epochs are comparable. */
static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    return judge_drawn(detector->state, x, n, 0, (uint32_t)slot, NULL, losses, slot, error);
}

/* The classifier's answers for images after transformation i are then the tape's output. */
static unseen_status look_at_all(transformations *t, us_tape *tape, us_buffer *x, int i, int n,
                                 us_training training, unseen_error *error) {
    US_TRY(us_transformation_all(t->transformation, x, i, t->transformed, n, error));
    return us_network_forward(t->classifier, tape, t->transformed, n, training, error);
}

/* Adds to scores what the answers y for images after transformation i are worth; dy (NULL: not
 * wanted) becomes the gradient of that. */
static unseen_status judge_answers(transformations *t, us_buffer *y, int i, int n,
                                   us_buffer *scores, us_buffer *dy, unseen_error *error) {
    if (t->answers) {
        const us_class_weighting weighting = {
            .y = y,
            .weights = t->answers->weights,
            .scores = scores,
            .dy = dy,
            .first = (size_t)i * (size_t)t->answers->classes,
            .n = n,
            .accumulate = i > 0,
        };
        return us_class_entropy_weighted(t->entropy, &weighting, error);
    }
    US_TRY(us_transformation_draw(t->transformation, t->labels, i, 0, 0, error));
    const us_class_entropy_args args = {
        .y = y,
        .labels = t->labels,
        .dy = dy,
        .entropies = scores,
        .n = n,
        .accumulate = i > 0,
        .gradient_of_sum = true,
    };
    return us_class_entropy_run(t->entropy, &args, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    transformations *t = detector->state;
    for (int i = 0; i < t->count; i++) {
        US_TRY(look_at_all(t, t->tape, x, i, n, US_TRAINING_NONE, error));
        US_TRY(judge_answers(t, us_tape_output(t->tape), i, n, columns[0], NULL, error));
    }
    return UNSEEN_OK;
}

/* ---- maps ---- */

static unseen_status create_maps(us_detector *detector, unseen_error *error) {
    transformations *t = detector->state;
    if (t->maps.tape) return UNSEEN_OK;
    const us_class_heads heads = class_heads(detector->spec);
    const size_t lanes = (size_t)detector->padded * sizeof(float);
    const size_t images = us_shape_size(detector->spec->input) * lanes;
    const struct {
        us_buffer **buffer;
        size_t bytes;
        const char *what;
    } wanted[] = {
        {&t->maps.scores, lanes, "scores"},
        {&t->maps.classes, (size_t)us_class_heads_classes(&heads) * lanes,
         "gradient of the class scores"},
        {&t->maps.transformed, images, "gradient of transformed images"},
        {&t->maps.x, images, "gradient of the images"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        US_TRY(us_buffer_create(detector->device, wanted[i].bytes, wanted[i].what, wanted[i].buffer,
                                error));
    return us_tape_create(t->classifier, true, &t->maps.tape, error);
}

/* The squared length of the score's gradient with respect to each pixel of the image as it is: the
 * sum, over transformations, of the gradient of the transformed image, taken back to where its
 * pixels come from. */
static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    transformations *t = detector->state;
    const int n = args->n;
    US_TRY(create_maps(detector, error));
    for (int i = 0; i < t->count; i++) {
        US_TRY(look_at_all(t, t->maps.tape, args->x, i, n, US_TRAINING_FIXED, error));
        US_TRY(judge_answers(t, us_tape_output(t->maps.tape), i, n, t->maps.scores, t->maps.classes,
                             error));
        const us_network_backward_args backward = {
            .dy = t->maps.classes, .dx = t->maps.transformed, .n = n};
        US_TRY(us_network_backward(t->classifier, t->maps.tape, &backward, error));
        US_TRY(us_transformation_adjoint(t->transformation, t->maps.transformed, i, i > 0,
                                         t->maps.x, error));
    }
    return us_anomaly_map_error(args->map, t->maps.x, NULL, args->out, error);
}

/* ---- Dirichlet distributions ---- */

/* Adds the answers for the n images of detector->x. */
static unseen_status add_batch(us_detector *detector, int n, float *room, us_answer_sums *sums,
                               unseen_error *error) {
    transformations *t = detector->state;
    const size_t floats = (size_t)t->answers->classes * (size_t)detector->padded;
    for (int i = 0; i < t->count; i++) {
        US_TRY(look_at_all(t, t->tape, detector->x, i, n, US_TRAINING_NONE, error));
        US_TRY(us_buffer_read(us_tape_output(t->tape), 0, room, floats * sizeof *room, error));
        us_answer_sums_add(sums, t->answers, i, room, detector->padded, n);
    }
    return UNSEEN_OK;
}

/* Batches are left out, evenly, where there are many. */
static unseen_status finish(us_detector *detector, const us_detector_survey *survey,
                            unseen_error *error) {
    transformations *t = detector->state;
    if (!t->answers) return UNSEEN_OK;
    const int64_t stride = (survey->images + SURVEYED - 1) / SURVEYED;
    us_answer_sums sums;
    float *room = malloc((size_t)t->answers->classes * (size_t)detector->padded * sizeof *room);
    unseen_status status = us_answer_sums_create(t->answers, &sums, error);
    if (status == UNSEEN_OK && !room) status = us_fail_memory(error, "class scores");
    for (int64_t b = 0; b < survey->batches && status == UNSEEN_OK; b += stride) {
        int n = 0;
        status = survey->load(survey->user, b, &n, error);
        if (status == UNSEEN_OK) status = add_batch(detector, n, room, &sums, error);
    }
    if (status == UNSEEN_OK) status = us_answers_estimate(t->answers, &sums, error);
    us_answer_sums_release(&sums);
    free(room);
    return status;
}

static unseen_status save(const us_detector *detector, us_safetensors_builder *builder,
                          unseen_error *error) {
    const transformations *t = detector->state;
    return t->answers ? us_answers_save(t->answers, builder, error) : UNSEEN_OK;
}

static unseen_status load(us_detector *detector, const us_safetensors *file, unseen_error *error) {
    transformations *t = detector->state;
    return t->answers ? us_answers_load(t->answers, file, error) : UNSEEN_OK;
}

const us_detector_type us_transformations_detector = {
    .name = "transformations",
    .help = "A classifier that tells how an image was rotated, flipped and shifted; the score is "
            "how poorly it can",
    .keys = keys,
    .attributes_size = sizeof(transformations_attributes),
    .networks = {{.name = "classifier", .forward = 1, .backward = 1}},
    .losses = {{"cross_entropy", "classifier", US_GAME_NONE}},
    .columns = {{"cross_entropy", 1, "classifier"}},
    .check = check,
    .count_passes = count_passes,
    .create = create,
    .destroy = destroy,
    .finish = finish,
    .save = save,
    .load = load,
    .train = train,
    .constant_loss = constant_loss,
    .validate = validate,
    .score = score,
    .map = map,
};
