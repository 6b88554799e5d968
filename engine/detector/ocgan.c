/* SPDX-License-Identifier: MIT */
/* clang-format off */
/* OCGAN (Perera, Nallapati, Xiang, "OCGAN: one-class novelty detection using GANs with constrained
 * latent representations", arXiv 1903.08550): a denoising autoencoder whose codes fill the cube
 * (-1, 1)^d. Every point of the cube is trained to decode into an image of the normal class, so that
 * an anomalous image cannot be reconstructed. One step, with batch statistics throughout:
 *   0. code = encoder(x + noise), r = decoder(code); s uniform in the cube, f = decoder(s);
 *   1. the classifier learns to tell r (label 1) from f (0);
 *   2. the latent discriminator learns to tell s (1) from code (0), the visual discriminator x (1)
 *      from f (0), each side a batch of its own;
 *   3. mining, from mining_start_epoch on: mining_steps times, all networks frozen, s moves by
 *      mining_rate times the gradient of each image's own classifier loss on decoder(s) towards the
 *      label of mining_target, and stays within the cube;
 *   4. encoder and decoder learn from latent_weight x the latent discriminator's loss on code and
 *      visual_weight x the visual one's on f = decoder(s), both with label 1, and
 *      reconstruction_weight x the mean squared error of r against the clean x.
 * The passes on s leave the decoder's running statistics alone, as do frozen judges theirs: scoring
 * decodes codes of images. What step 0 computed holds until step 4; each mining step costs a pass
 * forward and back through classifier and decoder, the last one's f being what step 4 judges.
 *
 * An image scores its reconstruction error, without noise, and minus the classifier's logit of its
 * reconstruction. */
/* clang-format on */
#include <stdlib.h>

#include "detector/judge.h"
#include "detector/reconstruction.h"
#include "ops/bounded_step.h"
#include "ops/random_codes.h"
#include "ops/residual.h"

enum { ENCODER, DECODER, LATENT, VISUAL, CLASSIFIER };
enum { LOSS_RECONSTRUCTION, LOSS_CLASSIFIER, LOSS_LATENT, LOSS_VISUAL, LOSS_GENERATOR };
enum { DRAW_NOISE, DRAW_CODES, DRAWS }; /* of a step */

typedef enum mining_target { MINING_NEGATIVE, MINING_POSITIVE } mining_target;

typedef struct ocgan_attributes {
    double noise_deviation;
    double latent_weight, visual_weight, reconstruction_weight;
    int mining_steps, mining_start_epoch, mining_target;
    double mining_rate;
} ocgan_attributes;

static const char *const mining_targets[] = {"negative", "positive", NULL};

static const us_key keys[] = {
    {.name = "noise_deviation",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(ocgan_attributes, noise_deviation),
     .minimum = 0,
     .maximum = 1e3,
     .fallback = {0.2},
     .help =
         "Standard deviation of the noise on training images, whose pixels are in -1..1. The paper "
         "has a variance of 0.2 in its text and of 1 in its algorithm; its authors' program takes "
         "0.2 as the deviation"},
    {.name = "latent_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(ocgan_attributes, latent_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {1},
     .help =
         "Weight of deceiving the latent discriminator. The paper has 1, its authors' program 10"},
    {.name = "visual_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(ocgan_attributes, visual_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {1},
     .help = "Weight of deceiving the visual discriminator"},
    {.name = "reconstruction_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(ocgan_attributes, reconstruction_weight),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {10},
     .help =
         "Weight of the mean squared error of a pixel. The paper writes 10 times the squared norm; "
         "as its authors' program, this takes the mean instead of the sum over pixels"},
    {.name = "mining_steps",
     .kind = US_KEY_INT,
     .offset = offsetof(ocgan_attributes, mining_steps),
     .minimum = 0,
     .maximum = 1000,
     .fallback = {5},
     .help = "Gradient steps that mine a batch of random codes; 0: none"},
    {.name = "mining_rate",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(ocgan_attributes, mining_rate),
     .minimum = 0,
     .maximum = 1e6,
     .fallback = {1},
     .help =
         "Size of a mining step: what a code's gradient is multiplied by. The paper does not tell; "
         "its authors' program makes one step of 2"},
    {.name = "mining_start_epoch",
     .kind = US_KEY_INT,
     .offset = offsetof(ocgan_attributes, mining_start_epoch),
     .minimum = 0,
     .maximum = 1000000,
     .fallback = {0},
     .help =
         "Epochs without mining at first: the paper begins when decoded codes look like images"},
    {.name = "mining_target",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(ocgan_attributes, mining_target),
     .choices = mining_targets,
     .fallback = {MINING_NEGATIVE},
     .help = "What the classifier shall take mined codes for: decoded random codes (negative: the "
             "paper's text and its authors' program) or reconstructions (positive: its algorithm)"},
    {.kind = US_KEY_END},
};

typedef struct ocgan {
    us_reconstruction reconstruction;
    us_judge latent, visual, classifier;
    us_tape *fake_tape; /* of the decoder on s */
    us_random_codes *noise, *codes;
    us_bounded_step *mining_step;
    us_gradient_sum *gradient_sum; /* of codes, to before their activation */
    us_buffer *noisy, *sample, *latent_gradient, *encoder_gradient;
} ocgan;

/* ---- creation ---- */

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    const us_network_spec *encoder = &spec->networks[ENCODER];
    int last = encoder->count - 1;
    while (last > 0 && encoder->layers[last].type->is_view)
        last--;
    if (encoder->layers[last].type != &us_tanh_layer) {
        us_json networks = us_json_member(config, "networks");
        us_json layers = us_json_member(&networks, "encoder");
        return us_json_fail(
            &layers, error,
            "the encoder must end in a tanh, so that its codes lie where the random "
            "ones do");
    }
    for (int i = LATENT; i <= CLASSIFIER; i++)
        US_TRY(us_judge_check(spec, config, i, error));
    return UNSEEN_OK;
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    ocgan *g = calloc(1, sizeof *g);
    if (!g) return us_fail_memory(error, "a detector");
    detector->state = g;
    us_device *device = detector->device;
    us_shape image = detector->spec->input, code = detector->spec->networks[DECODER].in;
    int batch = detector->padded;
    size_t image_bytes = us_shape_size(image) * (size_t)batch * sizeof(float);
    size_t code_bytes = us_shape_size(code) * (size_t)batch * sizeof(float);

    US_TRY(us_reconstruction_create(detector, training, &g->reconstruction, error));
    US_TRY(us_judge_create(detector, CLASSIFIER, training, &g->classifier, error));
    if (!training) return UNSEEN_OK;
    US_TRY(us_judge_create(detector, LATENT, true, &g->latent, error));
    US_TRY(us_judge_create(detector, VISUAL, true, &g->visual, error));
    US_TRY(us_tape_create(detector->networks[DECODER], true, &g->fake_tape, error));
    US_TRY(us_random_codes_create(device, US_DISTRIBUTION_NORMAL, image, batch, &g->noise, error));
    US_TRY(us_random_codes_create(device, US_DISTRIBUTION_UNIFORM, code, batch, &g->codes, error));
    US_TRY(us_bounded_step_create(device, code, batch, &g->mining_step, error));
    US_TRY(us_gradient_sum_create(
        &(us_build){.device = device, .purpose = US_PURPOSE_TRAINING}, code, batch,
        us_network_output_activation(detector->networks[ENCODER]), &g->gradient_sum, error));
    US_TRY(us_buffer_create(device, image_bytes, "noisy images", &g->noisy, error));
    US_TRY(us_buffer_create(device, code_bytes, "random codes", &g->sample, error));
    US_TRY(us_buffer_create(device, code_bytes, "latent gradient", &g->latent_gradient, error));
    return us_buffer_create(device, code_bytes, "gradient of the encoder", &g->encoder_gradient,
                            error);
}

static void destroy(us_detector *detector) {
    ocgan *g = detector->state;
    if (!g) return;
    us_reconstruction_destroy(&g->reconstruction);
    us_judge_destroy(&g->latent);
    us_judge_destroy(&g->visual);
    us_judge_destroy(&g->classifier);
    us_tape_destroy(g->fake_tape);
    us_random_codes_destroy(g->noise);
    us_random_codes_destroy(g->codes);
    us_bounded_step_destroy(g->mining_step);
    us_gradient_sum_destroy(g->gradient_sum);
    us_buffer_destroy(g->noisy);
    us_buffer_destroy(g->sample);
    us_buffer_destroy(g->latent_gradient);
    us_buffer_destroy(g->encoder_gradient);
    free(g);
}

/* ---- a training step ---- */

static unseen_status draw(us_random_codes *numbers, us_buffer *base, us_buffer *out,
                          const us_detector_step *step, int which, double scale,
                          unseen_error *error) {
    uint32_t substream = (uint32_t)(DRAWS * step->step + which);
    return us_random_codes_draw(numbers, base, out, step->n, (float)scale, step->seed, substream,
                                error);
}

/* f = decoder(s). */
static unseen_status decode_sample(ocgan *g, int n, unseen_error *error) {
    return us_network_forward(g->reconstruction.decoder, g->fake_tape, g->sample, n,
                              US_TRAINING_STILL, error);
}

/* A judge learns to tell the real (1) from the fake (0): half the loss of each, so that guessing
 * costs log 2. */
static unseen_status tell_apart(us_judge *judge, const us_detector_step *step, us_buffer *real,
                                us_buffer *fake, int loss, unseen_error *error) {
    us_judge_args args = {
        .x = real,
        .n = step->n,
        .target = 1,
        .weight = 0.5f,
        .parameters = true,
        .losses = step->losses,
        .slot = step->slot + loss,
    };
    US_TRY(us_judge_learn(judge, &args, error));
    args.x = fake;
    args.target = 0;
    args.accumulate = args.add_loss = true;
    return us_judge_learn(judge, &args, error);
}

/* The loss is summed over images, not averaged: each code follows its own image's gradient,
 * whatever the batch. */
static unseen_status mine(ocgan *g, const ocgan_attributes *a, int n, unseen_error *error) {
    us_reconstruction *r = &g->reconstruction;
    for (int i = 0; i < a->mining_steps; i++) {
        us_judge_args judge = {
            .x = us_tape_output(g->fake_tape),
            .n = n,
            .target = a->mining_target == MINING_POSITIVE,
            .weight = (float)n,
            .still = true,
            .dx = r->image_gradient,
        };
        US_TRY(us_judge_learn(&g->classifier, &judge, error));
        us_network_backward_args decoder = {
            .dy = r->image_gradient, .dx = r->code_gradient, .n = n};
        US_TRY(us_network_backward(r->decoder, g->fake_tape, &decoder, error));
        US_TRY(us_bounded_step_run(g->mining_step, g->sample, r->code_gradient,
                                   -(float)a->mining_rate, -1, 1, error));
        US_TRY(decode_sample(g, n, error));
    }
    return UNSEEN_OK;
}

/* The generator's loss from a frozen judge, which is small where the judge takes x for real, and
 * its gradient. */
static unseen_status deceive(us_judge *judge, const us_detector_step *step, us_buffer *x,
                             double weight, us_buffer *dx, bool first, unseen_error *error) {
    us_judge_args args = {
        .x = x,
        .n = step->n,
        .target = 1,
        .weight = (float)weight,
        .still = true,
        .dx = dx,
        .losses = step->losses,
        .slot = step->slot + LOSS_GENERATOR,
        .add_loss = !first,
    };
    return us_judge_learn(judge, &args, error);
}

/* Gradients are taken with respect to the codes themselves until both have been added. */
static unseen_status learn(ocgan *g, const ocgan_attributes *a, const us_detector_step *step,
                           unseen_error *error) {
    us_reconstruction *r = &g->reconstruction;
    us_buffer *code = us_tape_output(r->encoder_tape);
    US_TRY(deceive(&g->latent, step, code, a->latent_weight, g->latent_gradient, true, error));
    US_TRY(deceive(&g->visual, step, us_tape_output(g->fake_tape), a->visual_weight,
                   r->image_gradient, false, error));
    us_network_backward_args backward = {.dy = r->image_gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(r->decoder, g->fake_tape, &backward, error));

    US_TRY(us_reconstruction_error(r, step, (float)a->reconstruction_weight, 0, error));
    backward.dx = r->code_gradient;
    backward.accumulate = true;
    US_TRY(us_network_backward(r->decoder, r->decoder_tape, &backward, error));
    us_gradient_sum_args sum = {
        .x = code, .gradient = r->code_gradient, .sum = g->encoder_gradient};
    US_TRY(us_gradient_sum_run(g->gradient_sum, &sum, error));
    sum.base = g->encoder_gradient;
    sum.gradient = g->latent_gradient;
    US_TRY(us_gradient_sum_run(g->gradient_sum, &sum, error));
    us_network_backward_args encoder = {
        .dy = g->encoder_gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(r->encoder, r->encoder_tape, &encoder, error));
    US_TRY(step->update(step->user, ENCODER, &r->loss_rest, error));
    return step->update(step->user, DECODER, NULL, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    ocgan *g = detector->state;
    const ocgan_attributes *a = detector->spec->attributes;
    us_buffer *r, *code;
    US_TRY(draw(g->noise, step->x, g->noisy, step, DRAW_NOISE, a->noise_deviation, error));
    US_TRY(us_reconstruction_forward(&g->reconstruction, g->noisy, step->n, US_TRAINING_MOVES, &r,
                                     error));
    code = us_tape_output(g->reconstruction.encoder_tape);
    US_TRY(draw(g->codes, NULL, g->sample, step, DRAW_CODES, 1, error));
    US_TRY(decode_sample(g, step->n, error));
    us_buffer *f = us_tape_output(g->fake_tape);

    US_TRY(tell_apart(&g->classifier, step, r, f, LOSS_CLASSIFIER, error));
    US_TRY(step->update(step->user, CLASSIFIER, NULL, error));
    US_TRY(tell_apart(&g->latent, step, g->sample, code, LOSS_LATENT, error));
    US_TRY(step->update(step->user, LATENT, NULL, error));
    US_TRY(tell_apart(&g->visual, step, step->x, f, LOSS_VISUAL, error));
    US_TRY(step->update(step->user, VISUAL, NULL, error));
    if (step->epoch >= a->mining_start_epoch) US_TRY(mine(g, a, step->n, error));
    return learn(g, a, step, error);
}

/* The passes of an epoch with mining. */
static void count_passes(const us_detector_spec *spec, int network, us_passes *passes) {
    int mined = ((const ocgan_attributes *)spec->attributes)->mining_steps;
    if (network == ENCODER) return;
    if (network == LATENT || network == VISUAL) {
        passes->parameters = 2;
        passes->input = 1;
        return;
    }
    passes->forward = passes->backward = 2 + mined;
    passes->parameters = 2;
    passes->input = network == DECODER ? 1 + mined : mined;
}

/* ---- scores ---- */

static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    ocgan *g = detector->state;
    return us_reconstruction_validate(&g->reconstruction, x, n, losses, slot, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    ocgan *g = detector->state;
    us_buffer *r, *logits;
    US_TRY(us_reconstruction_forward(&g->reconstruction, x, n, US_TRAINING_NONE, &r, error));
    US_TRY(us_pixel_score_run(detector->pixel_score, x, r, NULL, columns[0], error));
    US_TRY(us_judge_score(&g->classifier, r, n, &logits, error));
    return us_buffer_copy(columns[1], 0, logits, 0, (size_t)detector->padded * sizeof(float),
                          error);
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    ocgan *g = detector->state;
    return us_reconstruction_map(&g->reconstruction, args->x, args->n, args->map, args->out, error);
}

const us_detector_type us_ocgan_detector = {
    .name = "ocgan",
    .help = "OCGAN: an autoencoder with bounded codes, all of which decode into normal images, by "
            "discriminators of codes and of images and a classifier that finds those that do not",
    .keys = keys,
    .attributes_size = sizeof(ocgan_attributes),
    .networks = {{.name = "encoder", .forward = 1, .backward = 1},
                 {.name = "decoder",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .plain_input = true},
                 {.name = "latent_discriminator",
                  .input = "encoder",
                  .logits = true,
                  .plain_input = true,
                  .training_only = true,
                  .forward = 3,
                  .backward = 3},
                 {.name = "visual_discriminator",
                  .input = "decoder",
                  .logits = true,
                  .training_only = true,
                  .forward = 3,
                  .backward = 3},
                 {.name = "classifier", .input = "decoder", .logits = true}},
    .losses = {{"reconstruction", "decoder", US_GAME_NONE},
               {"classifier", "classifier", US_GAME_JUDGE},
               {"latent_discriminator", "latent_discriminator", US_GAME_ADVERSARIAL},
               {"visual_discriminator", "visual_discriminator", US_GAME_ADVERSARIAL},
               {"generator", "decoder", US_GAME_ADVERSARIAL}},
    .columns = {{"reconstruction", 1, "decoder"}, {"classifier", -1, "classifier"}},
    .count_passes = count_passes,
    .check = check,
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
