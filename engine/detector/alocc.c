/* SPDX-License-Identifier: MIT */
/* alocc: adversarially learned one-class classifier (Sabokrou et al., CVPR 2018). A refiner R,
 * which is decoder(encoder(.)), learns to undo noise on images of the one kind, and a discriminator
 * D to tell its results from images. What R has not learned to refine comes out spoilt, so D(R(x))
 * separates the kinds better than D(x). One step:
 *   1. r = R(x + noise), batch statistics;
 *   2. D's losses on x (target 1) and on r (target 0), each a batch of its own; D learns;
 *   3. D as it has just become, whose parameters stay as they are: the loss on r with target 1, and
 *      its gradient with respect to r, times adversarial_weight;
 *   4. reconstruction_weight times the gradient of the mean squared error of r against x (without
 *      the noise) is added; R learns from the sum.
 * D's running statistics see x, r and r in every step. The losses reported are without their
 * weights. An image scores minus D's logit of R(x) and of x, both without noise, and its
 * reconstruction error. */
#include <stdlib.h>

#include "detector/judge.h"
#include "detector/reconstruction.h"
#include "detector/score_maps.h"
#include "ops/random_codes.h"

enum { ENCODER, DECODER, DISCRIMINATOR };
enum { LOSS_RECONSTRUCTION, LOSS_DISCRIMINATOR, LOSS_GENERATOR };

typedef struct alocc_attributes {
    double noise_deviation;
    double adversarial_weight, reconstruction_weight;
    int maps; /* us_map_kind */
} alocc_attributes;

static const us_key keys[] = {
    {.name = "noise_deviation",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(alocc_attributes, noise_deviation),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {0.155},
     .help = "Standard deviation of the noise on the refiner's images, whose pixels are -1 to 1"},
    {.name = "adversarial_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(alocc_attributes, adversarial_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {1},
     .help = "Weight of the refiner's loss against the discriminator"},
    {.name = "reconstruction_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(alocc_attributes, reconstruction_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {0.4},
     .help = "Weight of the refiner's mean squared error"},
    US_MAPS_KEY(offsetof(alocc_attributes, maps)),
    {.kind = US_KEY_END},
};

typedef struct alocc {
    us_reconstruction refiner;
    us_judge discriminator;
    us_random_codes *noise;
    us_buffer *noisy;    /* images */
    us_score_maps *maps; /* NULL: none of the score have been asked for yet */
} alocc;

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    return us_judge_check(spec, config, DISCRIMINATOR, error);
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    alocc *a = calloc(1, sizeof *a);
    if (!a) return us_fail_memory(error, "a detector");
    detector->state = a;
    us_shape image = detector->spec->input;
    US_TRY(us_reconstruction_create(detector, training, &a->refiner, error));
    US_TRY(us_judge_create(detector, DISCRIMINATOR, training, &a->discriminator, error));
    if (!training) return UNSEEN_OK;
    US_TRY(us_random_codes_create(detector->device, US_DISTRIBUTION_NORMAL, image, detector->padded,
                                  &a->noise, error));
    return us_buffer_create(detector->device,
                            us_shape_size(image) * (size_t)detector->padded * sizeof(float),
                            "noisy images", &a->noisy, error);
}

static void destroy(us_detector *detector) {
    alocc *a = detector->state;
    if (!a) return;
    us_reconstruction_destroy(&a->refiner);
    us_judge_destroy(&a->discriminator);
    us_random_codes_destroy(a->noise);
    us_buffer_destroy(a->noisy);
    us_score_maps_destroy(a->maps);
    free(a);
}

static unseen_status discriminate(alocc *a, const us_detector_step *step, us_buffer *refined,
                                  unseen_error *error) {
    us_judge_args args = {
        .x = step->x,
        .n = step->n,
        .target = 1,
        .weight = 1,
        .parameters = true,
        .losses = step->losses,
        .slot = step->slot + LOSS_DISCRIMINATOR,
    };
    US_TRY(us_judge_learn(&a->discriminator, &args, error));
    args.x = refined;
    args.target = 0;
    args.accumulate = args.add_loss = true;
    US_TRY(us_judge_learn(&a->discriminator, &args, error));
    return step->update(step->user, DISCRIMINATOR, NULL, error);
}

/* The gradient with respect to the refined images, of both of the refiner's losses. */
static unseen_status refine(us_detector *detector, const us_detector_step *step, us_buffer *refined,
                            unseen_error *error) {
    alocc *a = detector->state;
    const alocc_attributes *attributes = detector->spec->attributes;
    us_judge_args args = {
        .x = refined,
        .n = step->n,
        .target = 1,
        .weight = (float)attributes->adversarial_weight,
        .plain_loss = true,
        .dx = a->refiner.image_gradient,
        .losses = step->losses,
        .slot = step->slot + LOSS_GENERATOR,
    };
    US_TRY(us_judge_learn(&a->discriminator, &args, error));
    US_TRY(us_reconstruction_error(&a->refiner, step, (float)attributes->reconstruction_weight, 1,
                                   error));
    return us_reconstruction_update(&a->refiner, step, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    alocc *a = detector->state;
    const alocc_attributes *attributes = detector->spec->attributes;
    us_buffer *refined;
    US_TRY(us_random_codes_draw(a->noise, step->x, a->noisy, step->n,
                                (float)attributes->noise_deviation, step->seed,
                                (uint32_t)step->step, error));
    US_TRY(us_reconstruction_forward(&a->refiner, a->noisy, step->n, US_TRAINING_MOVES, &refined,
                                     error));
    US_TRY(discriminate(a, step, refined, error));
    return refine(detector, step, refined, error);
}

static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    alocc *a = detector->state;
    return us_reconstruction_validate(&a->refiner, x, n, losses, slot, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    alocc *a = detector->state;
    us_buffer *refined, *judged[2], *logits;
    US_TRY(us_reconstruction_forward(&a->refiner, x, n, US_TRAINING_NONE, &refined, error));
    judged[0] = refined;
    judged[1] = x;
    for (int i = 0; i < 2; i++) {
        US_TRY(us_judge_score(&a->discriminator, judged[i], n, &logits, error));
        US_TRY(us_buffer_copy(columns[i], 0, logits, 0, (size_t)detector->padded * sizeof(float),
                              error));
    }
    return us_pixel_score_run(detector->pixel_score, x, refined, NULL, columns[2], error);
}

/* The discriminator learns from two passes and hands a gradient on in the third. */
static void count_passes(const us_detector_spec *spec, int network, us_passes *passes) {
    (void)spec;
    if (network != DISCRIMINATOR) return;
    passes->parameters = passes->scoring = 2;
    passes->input = 1;
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    static const us_score_roles roles = {
        .reconstruction = 2, .of_reconstruction = 0, .of_image = 1, .judge = DISCRIMINATOR};
    alocc *a = detector->state;
    const alocc_attributes *attributes = detector->spec->attributes;
    if (attributes->maps == US_MAPS_RECONSTRUCTION)
        return us_reconstruction_map(&a->refiner, args->x, args->n, args->map, args->out, error);
    if (!a->maps) US_TRY(us_score_maps_create(detector, &roles, args->parts, &a->maps, error));
    return us_score_maps_run(a->maps, args, error);
}

const us_detector_type us_alocc_detector = {
    .name = "alocc",
    .help = "A refiner of noisy images and a discriminator that judges what it makes of an image",
    .keys = keys,
    .attributes_size = sizeof(alocc_attributes),
    .networks = {{.name = "encoder", .forward = 1, .backward = 1},
                 {.name = "decoder",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .forward = 1,
                  .backward = 1},
                 {.name = "discriminator",
                  .input = "decoder",
                  .logits = true,
                  .forward = 3,
                  .backward = 3}},
    .losses = {{"reconstruction", "decoder", US_GAME_NONE},
               {"discriminator", "discriminator", US_GAME_ADVERSARIAL},
               {"generator", "decoder", US_GAME_ADVERSARIAL}},
    .columns = {{"discriminator_refined", -1, "discriminator"},
                {"discriminator_image", -1, "discriminator"},
                {"reconstruction", 1, "decoder"}},
    .count_passes = count_passes,
    .check = check,
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
