/* SPDX-License-Identifier: MIT */
/* boss: an autoencoder and, beside it, a classifier that learns to tell real images and their
 * reconstructions (label 1) from negatives (label 0; negatives.h says where they come from). One
 * step:
 *   1. r = decoder(encoder(x)), batch statistics;
 *   2. the classifier's losses on x and on r, each a batch of its own;
 *   3. encoder and decoder learn from the reconstruction error, and from a part of the classifier's
 *      loss on r if the config says so;
 *   4. the classifier's loss on the negatives;
 *   5. the classifier learns.
 * With joint batches the negatives are made, by the decoder as it is, before step 2, and the
 * classifier sees the three batches as one, so that its batch statistics do not tell them apart. In
 * the epochs of the warm-up there are steps 1 and 3 alone. An image scores its reconstruction error
 * and minus the classifier's logit. */
#include <stdlib.h>

#include "detector/joint_judge.h"
#include "detector/judge.h"
#include "detector/negatives.h"
#include "detector/reconstruction.h"
#include "detector/score_maps.h"

enum { ENCODER, DECODER, CLASSIFIER };
enum { LOSS_RECONSTRUCTION, LOSS_CLASSIFIER };

enum { BATCHES_APART, BATCHES_JOINT, KINDS = 3 };

typedef enum classified { CLASSIFIED_IMAGE, CLASSIFIED_RECONSTRUCTION } classified;

typedef struct boss_attributes {
    us_negatives_settings negatives;
    double real_weight, reconstruction_weight, fake_weight;
    double classifier_gradient;
    int warmup_epochs;
    int classified;
    int batches;
    int maps; /* us_map_kind */
} boss_attributes;

static const char *const code_sources[] = {"normal", "rectified_normal", "uniform", "matched",
                                           NULL};
static const char *const noise_images[] = {"uniform", "normal", NULL};
static const char *const corruptions[] = {"noise",  "cutout", "paste", "crop",
                                          "rotate", "blur",   NULL};
static const char *const moves[] = {"zoom_in", "zoom_out", "shift", "tilt", "turn", NULL};
static const char *const batch_kinds[] = {"apart", "joint", NULL};
static const char *const inputs[] = {"image", "reconstruction", NULL};

#define SHARE(member, share, text)                                                                 \
    {                                                                                              \
        .name = #member, .kind = US_KEY_NUMBER, .offset = offsetof(us_negative_shares, member),    \
        .maximum = 1e6, .fallback = {share}, .help = text                                          \
    }
#define WEIGHT(member, weight, text)                                                               \
    {                                                                                              \
        .name = #member, .kind = US_KEY_NUMBER, .offset = offsetof(boss_attributes, member),       \
        .maximum = 1e6, .fallback = {weight}, .help = text                                         \
    }

static const us_key share_keys[] = {
    SHARE(codes, 1, "Share of images decoded from random codes"),
    SHARE(moved, 0, "Share of training images that are moved"),
    SHARE(noise, 0, "Share of images of noise"),
    SHARE(corrupted, 0, "Share of training images that are corrupted"),
    {.kind = US_KEY_END},
};

static const us_key keys[] = {
    {.name = "negatives",
     .kind = US_KEY_OBJECT,
     .offset = offsetof(boss_attributes, negatives.shares),
     .members = share_keys,
     .help = "Where the classifier's negatives come from, in proportions"},
    {.name = "noise",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(boss_attributes, negatives.codes),
     .choices = code_sources,
     .fallback = {US_DISTRIBUTION_RECTIFIED_NORMAL},
     .help =
         "Distribution of the random codes: matched mixes the values that each feature has in the "
         "batch; codes behind a ReLU are never negative"},
    {.name = "noise_scale",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(boss_attributes, negatives.scale),
     .minimum = 0,
     .maximum = 1e6,
     .above_minimum = true,
     .fallback = {1},
     .help = "Factor on the random codes"},
    {.name = "noise_images",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(boss_attributes, negatives.normal),
     .choices = noise_images,
     .help =
         "Distribution of the pixels of images of noise, which are clamped to the range of images"},
    {.name = "corruptions",
     .kind = US_KEY_CHOICES,
     .offset = offsetof(boss_attributes, negatives.corruptions),
     .choices = corruptions,
     .fallback = {(1u << US_CORRUPTION_KINDS) - 1},
     .help = "What corrupts an image, drawn for each: noise added, a rectangle of one grey, a "
             "rectangle from elsewhere, a window enlarged, a rotation, a blur"},
    {.name = "moves",
     .kind = US_KEY_CHOICES,
     .offset = offsetof(boss_attributes, negatives.moves),
     .choices = moves,
     .fallback = {(1u << US_MOVES) - 1},
     .help = "How an image is moved, drawn for each: enlarged, made smaller, shifted, tilted, "
             "turned by quarters; its mirror image follows beyond an edge"},
    {.name = "reconstructed_negatives",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(boss_attributes, negatives.reconstructed),
     .maximum = 1,
     .help = "Share of the moved and of the corrupted negatives that encoder and decoder reproduce "
             "before the classifier sees them"},
    {.name = "batches",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(boss_attributes, batches),
     .choices = batch_kinds,
     .help = "Whether real images, reconstructions and negatives are batches of their own to the "
             "classifier (apart) or one batch (joint): its BatchNorm tells batches of one kind by "
             "their "
             "statistics"},
    WEIGHT(real_weight, 0.5, "Weight of the classifier's loss on real images"),
    WEIGHT(reconstruction_weight, 0.5, "Weight of the classifier's loss on reconstructions"),
    WEIGHT(fake_weight, 1, "Weight of the classifier's loss on negatives"),
    WEIGHT(classifier_gradient, 0,
           "Factor on the gradient of the classifier's weighted loss on reconstructions where it "
           "reaches decoder and encoder; 0: it does not"),
    {.name = "warmup_epochs",
     .kind = US_KEY_INT,
     .offset = offsetof(boss_attributes, warmup_epochs),
     .maximum = 1e6,
     .help = "Epochs in which encoder and decoder are trained alone; the classifier's loss is then "
             "told "
             "as 0"},
    {.name = "classifier_input",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(boss_attributes, classified),
     .choices = inputs,
     .fallback = {CLASSIFIED_RECONSTRUCTION},
     .help = "What the classifier looks at when an image is scored"},
    US_MAPS_KEY(offsetof(boss_attributes, maps)),
    {.kind = US_KEY_END},
};

typedef struct boss {
    us_reconstruction reconstruction;
    us_judge classifier;
    us_joint_judge joint; /* what learns in its place with joint batches */
    us_negatives negatives;
    us_score_maps *maps; /* NULL: none of the score have been asked for yet */
    us_buffer *no_loss;  /* one zero: the classifier's loss in the warm-up */
} boss;

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    const us_negative_shares *shares =
        &((const boss_attributes *)spec->attributes)->negatives.shares;
    if (shares->codes + shares->moved + shares->noise + shares->corrupted == 0) {
        us_json detector = us_json_member(config, "detector");
        us_json negatives = us_json_member(&detector, "negatives");
        return us_json_fail(&negatives, error, "no share is above 0: there are no negatives");
    }
    return us_judge_check(spec, config, CLASSIFIER, error);
}

static void count_passes(const us_detector_spec *spec, int network, us_passes *passes) {
    const boss_attributes *attributes = spec->attributes;
    const us_negatives_settings *negatives = &attributes->negatives;
    if (network == DECODER && negatives->shares.codes > 0) passes->forward++;
    if (network != CLASSIFIER && negatives->reconstructed > 0) passes->forward++;
    if (network == CLASSIFIER) passes->input = attributes->classifier_gradient > 0;
}

static int batches_at_once(const us_detector_spec *spec, int network) {
    const boss_attributes *attributes = spec->attributes;
    return network == CLASSIFIER && attributes->batches == BATCHES_JOINT ? KINDS : 1;
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    boss *b = calloc(1, sizeof *b);
    if (!b) return us_fail_memory(error, "a detector");
    detector->state = b;
    const boss_attributes *attributes = detector->spec->attributes;
    US_TRY(us_reconstruction_create(detector, training, &b->reconstruction, error));
    const bool joint = attributes->batches == BATCHES_JOINT;
    US_TRY(us_judge_create(detector, CLASSIFIER, training && !joint, &b->classifier, error));
    if (!training) return UNSEEN_OK;
    if (joint)
        US_TRY(us_joint_judge_create(detector, CLASSIFIER, attributes->classifier_gradient > 0,
                                     &b->joint, error));
    US_TRY(us_negatives_create(detector, &attributes->negatives, ENCODER, DECODER, &b->negatives,
                               error));
    return us_buffer_create(detector->device, sizeof(float), "a loss", &b->no_loss, error);
}

static void destroy(us_detector *detector) {
    boss *b = detector->state;
    if (!b) return;
    us_reconstruction_destroy(&b->reconstruction);
    us_judge_destroy(&b->classifier);
    us_joint_judge_destroy(&b->joint);
    us_negatives_destroy(&b->negatives);
    us_score_maps_destroy(b->maps);
    us_buffer_destroy(b->no_loss);
    free(b);
}

/* The classifier's loss and gradients on one batch; the first of a step replaces, the others add.
 */
typedef struct classification {
    us_buffer *images;
    float target;
    double weight;
    bool first;
    us_buffer *dx; /* NULL: not wanted */
} classification;

static unseen_status classify(boss *b, const us_detector_step *step, const classification *c,
                              unseen_error *error) {
    us_judge_args args = {
        .x = c->images,
        .n = step->n,
        .target = c->target,
        .weight = (float)c->weight,
        .parameters = true,
        .accumulate = !c->first,
        .dx = c->dx,
        .losses = step->losses,
        .slot = step->slot + LOSS_CLASSIFIER,
        .add_loss = !c->first,
    };
    return us_judge_learn(&b->classifier, &args, error);
}

static unseen_status warm_up(boss *b, const us_detector_step *step, unseen_error *error) {
    US_TRY(us_reconstruction_learn(&b->reconstruction, step, error));
    return us_buffer_copy(step->losses, (size_t)(step->slot + LOSS_CLASSIFIER) * sizeof(float),
                          b->no_loss, 0, sizeof(float), error);
}

/* What follows the reconstruction r, with the classifier's three batches as one. */
static unseen_status train_joint(boss *b, const boss_attributes *a, const us_detector_step *step,
                                 us_buffer *r, unseen_error *error) {
    us_reconstruction *reconstruction = &b->reconstruction;
    us_buffer *negatives;
    US_TRY(us_negatives_make(&b->negatives, step, us_tape_output(reconstruction->encoder_tape),
                             &negatives, error));
    us_joint_batch batches[KINDS] = {
        {.images = step->x, .target = 1, .weight = (float)a->real_weight},
        {.images = r, .target = 1, .weight = (float)a->reconstruction_weight},
        {.images = negatives, .target = 0, .weight = (float)a->fake_weight},
    };
    if (a->classifier_gradient > 0) batches[1].dx = reconstruction->image_gradient;
    US_TRY(us_joint_judge_learn(&b->joint, batches, step->n, step->losses,
                                step->slot + LOSS_CLASSIFIER, error));
    US_TRY(us_reconstruction_error(reconstruction, step, 1, (float)a->classifier_gradient, error));
    US_TRY(us_reconstruction_update(reconstruction, step, error));
    return step->update(step->user, CLASSIFIER, NULL, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    boss *b = detector->state;
    const boss_attributes *a = detector->spec->attributes;
    us_reconstruction *reconstruction = &b->reconstruction;
    us_buffer *r, *negatives;
    if (step->epoch < a->warmup_epochs) return warm_up(b, step, error);
    US_TRY(
        us_reconstruction_forward(reconstruction, step->x, step->n, US_TRAINING_MOVES, &r, error));
    if (a->batches == BATCHES_JOINT) return train_joint(b, a, step, r, error);

    classification real = {.images = step->x, .target = 1, .weight = a->real_weight, .first = true};
    classification reconstructed = {.images = r, .target = 1, .weight = a->reconstruction_weight};
    if (a->classifier_gradient > 0) reconstructed.dx = reconstruction->image_gradient;
    US_TRY(classify(b, step, &real, error));
    US_TRY(classify(b, step, &reconstructed, error));
    US_TRY(us_reconstruction_error(reconstruction, step, 1, (float)a->classifier_gradient, error));
    US_TRY(us_reconstruction_update(reconstruction, step, error));

    US_TRY(us_negatives_make(&b->negatives, step, us_tape_output(reconstruction->encoder_tape),
                             &negatives, error));
    classification fake = {.images = negatives, .target = 0, .weight = a->fake_weight};
    US_TRY(classify(b, step, &fake, error));
    return step->update(step->user, CLASSIFIER, NULL, error);
}

static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    boss *b = detector->state;
    return us_reconstruction_validate(&b->reconstruction, x, n, losses, slot, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    boss *b = detector->state;
    const boss_attributes *attributes = detector->spec->attributes;
    us_buffer *y, *logits;
    US_TRY(us_reconstruction_forward(&b->reconstruction, x, n, US_TRAINING_NONE, &y, error));
    US_TRY(us_pixel_score_run(detector->pixel_score, x, y, NULL, columns[0], error));
    us_buffer *judged = attributes->classified == CLASSIFIED_IMAGE ? x : y;
    US_TRY(us_judge_score(&b->classifier, judged, n, &logits, error));
    return us_buffer_copy(columns[1], 0, logits, 0, (size_t)detector->padded * sizeof(float),
                          error);
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    boss *b = detector->state;
    const boss_attributes *a = detector->spec->attributes;
    const bool image = a->classified == CLASSIFIED_IMAGE;
    const us_score_roles roles = {.reconstruction = 0,
                                  .of_reconstruction = image ? -1 : 1,
                                  .of_image = image ? 1 : -1,
                                  .judge = CLASSIFIER};
    if (a->maps == US_MAPS_RECONSTRUCTION)
        return us_reconstruction_map(&b->reconstruction, args->x, args->n, args->map, args->out,
                                     error);
    if (!b->maps) US_TRY(us_score_maps_create(detector, &roles, args->parts, &b->maps, error));
    return us_score_maps_run(b->maps, args, error);
}

const us_detector_type us_boss_detector = {
    .name = "boss",
    .help = "An autoencoder and a classifier that tells real images from made-up ones",
    .keys = keys,
    .attributes_size = sizeof(boss_attributes),
    .networks =
        {{.name = "encoder", .forward = 1, .backward = 1},
         {.name = "decoder",
          .input = "encoder",
          .updated_with_previous = true,
          .forward = 1,
          .backward = 1},
         {.name = "classifier", .input = "decoder", .logits = true, .forward = 3, .backward = 3}},
    .losses = {{"reconstruction", "decoder", US_GAME_NONE},
               {"classifier", "classifier", US_GAME_JUDGE}},
    .columns = {{"reconstruction", 1, "decoder"}, {"classifier", -1, "classifier"}},
    .count_passes = count_passes,
    .batches_at_once = batches_at_once,
    .warmup_key = "warmup_epochs",
    .check = check,
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
