/* boss: an autoencoder and, beside it, a classifier that learns to tell real images and their
 * reconstructions (label 1) from images decoded from random codes (label 0). One step:
 *   1. r = decoder(encoder(x)), batch statistics;
 *   2. the classifier's losses on x and on r, each a batch of its own;
 *   3. encoder and decoder learn from the reconstruction error alone;
 *   4. f = decoder(random codes), running statistics, so that f comes from the very function that
 *      decodes real codes when scoring; the classifier's loss on f;
 *   5. the classifier learns.
 * An image scores its reconstruction error and minus the classifier's logit. */
#include <stdlib.h>

#include "detector/judge.h"
#include "detector/reconstruction.h"
#include "ops/random_codes.h"

enum { ENCODER, DECODER, CLASSIFIER };
enum { LOSS_RECONSTRUCTION, LOSS_CLASSIFIER };

typedef enum classified { CLASSIFIED_IMAGE, CLASSIFIED_RECONSTRUCTION } classified;

typedef struct boss_attributes {
    int distribution; /* us_distribution */
    double noise_scale;
    double real_weight, reconstruction_weight, fake_weight;
    int classified;
} boss_attributes;

static const char *const distributions[] = {"normal", "rectified_normal", "uniform", NULL};
static const char *const inputs[] = {"image", "reconstruction", NULL};

static const us_key keys[] = {
    {.name = "noise",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(boss_attributes, distribution),
     .choices = distributions,
     .fallback = {US_DISTRIBUTION_RECTIFIED_NORMAL},
     .help = "Distribution of the random codes; codes behind a ReLU are never negative"},
    {.name = "noise_scale",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(boss_attributes, noise_scale),
     .minimum = 0,
     .maximum = 1e6,
     .above_minimum = true,
     .fallback = {1},
     .help = "Factor on the random codes"},
    {.name = "real_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(boss_attributes, real_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {0.5},
     .help = "Weight of the classifier's loss on real images"},
    {.name = "reconstruction_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(boss_attributes, reconstruction_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {0.5},
     .help = "Weight of the classifier's loss on reconstructions"},
    {.name = "fake_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(boss_attributes, fake_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {1},
     .help = "Weight of the classifier's loss on images decoded from random codes"},
    {.name = "classifier_input",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(boss_attributes, classified),
     .choices = inputs,
     .fallback = {CLASSIFIED_RECONSTRUCTION},
     .help = "What the classifier looks at when an image is scored"},
    {.kind = US_KEY_END},
};

typedef struct boss {
    us_reconstruction reconstruction;
    us_judge classifier;
    us_tape *fake_tape;
    us_random_codes *codes;
    us_buffer *code;
} boss;

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    return us_judge_check(spec, config, CLASSIFIER, error);
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    boss *b = calloc(1, sizeof *b);
    if (!b) return us_fail_memory(error, "a detector");
    detector->state = b;
    us_device *device = detector->device;
    us_shape code = detector->spec->networks[DECODER].in;
    const boss_attributes *attributes = detector->spec->attributes;

    US_TRY(us_reconstruction_create(detector, training, &b->reconstruction, error));
    US_TRY(us_judge_create(detector, CLASSIFIER, training, &b->classifier, error));
    if (!training) return UNSEEN_OK;
    US_TRY(us_tape_create(detector->networks[DECODER], false, &b->fake_tape, error));
    US_TRY(us_random_codes_create(device, (us_distribution)attributes->distribution, code,
                                  detector->padded, &b->codes, error));
    return us_buffer_create(device, us_shape_size(code) * (size_t)detector->padded * sizeof(float),
                            "random codes", &b->code, error);
}

static void destroy(us_detector *detector) {
    boss *b = detector->state;
    if (!b) return;
    us_reconstruction_destroy(&b->reconstruction);
    us_judge_destroy(&b->classifier);
    us_tape_destroy(b->fake_tape);
    us_random_codes_destroy(b->codes);
    us_buffer_destroy(b->code);
    free(b);
}

/* The classifier's loss and gradients on one batch; the first of a step replaces, the others add.
 */
static unseen_status classify(boss *b, const us_detector_step *step, us_buffer *images,
                              float target, double weight, bool first, unseen_error *error) {
    us_judge_args args = {
        .x = images,
        .n = step->n,
        .target = target,
        .weight = (float)weight,
        .parameters = true,
        .accumulate = !first,
        .losses = step->losses,
        .slot = step->slot + LOSS_CLASSIFIER,
        .add_loss = !first,
    };
    return us_judge_learn(&b->classifier, &args, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    boss *b = detector->state;
    const boss_attributes *a = detector->spec->attributes;
    us_network *decoder = detector->networks[DECODER];
    us_buffer *r;
    US_TRY(us_reconstruction_forward(&b->reconstruction, step->x, step->n, true, &r, error));
    US_TRY(classify(b, step, step->x, 1, a->real_weight, true, error));
    US_TRY(classify(b, step, r, 1, a->reconstruction_weight, false, error));
    US_TRY(us_reconstruction_learn(&b->reconstruction, step, error));
    US_TRY(us_random_codes_draw(b->codes, NULL, b->code, step->n, (float)a->noise_scale, step->seed,
                                (uint32_t)step->step, error));
    US_TRY(us_network_forward(decoder, b->fake_tape, b->code, step->n, false, error));
    US_TRY(classify(b, step, us_tape_output(b->fake_tape), 0, a->fake_weight, false, error));
    return step->update(step->user, CLASSIFIER, error);
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
    US_TRY(us_reconstruction_forward(&b->reconstruction, x, n, false, &y, error));
    US_TRY(us_pixel_score_run(detector->pixel_score, x, y, columns[0], error));
    us_buffer *judged = attributes->classified == CLASSIFIED_IMAGE ? x : y;
    US_TRY(us_judge_score(&b->classifier, judged, n, &logits, error));
    return us_buffer_copy(columns[1], 0, logits, 0, (size_t)detector->padded * sizeof(float),
                          error);
}

const us_detector_type us_boss_detector = {
    .name = "boss",
    .help = "An autoencoder and a classifier that tells real images from decoded random codes",
    .keys = keys,
    .attributes_size = sizeof(boss_attributes),
    .networks = {{.name = "encoder", .forward = 1, .backward = 1},
                 {.name = "decoder", .input = "encoder", .forward = 2, .backward = 1},
                 {.name = "classifier", .logits = true, .forward = 3, .backward = 3}},
    .losses = {{"reconstruction", "decoder", US_GAME_NONE},
               {"classifier", "classifier", US_GAME_JUDGE}},
    .columns = {{"reconstruction", 1, "decoder"}, {"classifier", -1, "classifier"}},
    .check = check,
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
};
