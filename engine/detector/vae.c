/* SPDX-License-Identifier: MIT */
/* vae: a variational autoencoder (Kingma and Welling, arXiv 1312.6114). Two heads read the
 * encoder's output and describe the code of an image by a normal distribution, which the decoder's
 * input is drawn from. With m and v what the networks mean and log_variance give, one step is
 *   1. z = m + exp(v / 2) noise, noise ~ N(0, 1) for each feature of each image;
 *   2. loss = mean((decoder(z) - x)^2) + w / F * mean over images of KL,
 *      KL = 1/2 sum over features of the code of (m^2 + exp(v) - 1 - v),
 *      F the number of an image's values, w = kl_weight (less while warming up);
 *   3. all four networks learn.
 * Times F, the loss is the mean over images of the summed squared error + w KL. Divided by w that
 * is the negative evidence lower bound, but for a constant, of a decoder whose values have the
 * variance w / 2. An image scores the error of decoder(m), without noise, and its KL. */
#include <stdlib.h>
#include <string.h>

#include "detector/compare.h"
#include "detector/detector.h"
#include "ops/gaussian_code.h"
#include "ops/random_codes.h"
#include "ops/residual.h"

enum { ENCODER, MEAN, LOG_VARIANCE, DECODER, NETWORKS };
enum { LOSS_RECONSTRUCTION, LOSS_DIVERGENCE };

typedef struct vae_attributes {
    double divergence_weight;
    int warmup_epochs;
} vae_attributes;

static const us_key keys[] = {
    {.name = "kl_weight",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(vae_attributes, divergence_weight),
     .minimum = 0,
     .maximum = 1e12,
     .fallback = {1},
     .help =
         "Weight of an image's KL divergence beside its summed squared error: twice the variance "
         "that the decoder's values are taken to have"},
    {.name = "kl_warmup_epochs",
     .kind = US_KEY_INT,
     .offset = offsetof(vae_attributes, warmup_epochs),
     .maximum = 1000000,
     .help = "Epochs in which the weight of the KL divergence rises to kl_weight, in equal steps"},
    {.kind = US_KEY_END},
};

typedef struct vae {
    us_tape *tapes[NETWORKS];
    us_gaussian_code *code;
    /* Used in training only: */
    us_loss *loss;
    us_random_codes *draw;
    us_gradient_sum *sum; /* of both heads' gradients */
    us_buffer *noise, *z;
    us_buffer *image_gradient, *z_gradient, *mean_gradient, *log_variance_gradient;
    us_buffer *encoder_gradients[2]; /* by way of either head */
} vae;

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    us_shape mean = spec->networks[MEAN].out, variance = spec->networks[LOG_VARIANCE].out;
    if (memcmp(&mean, &variance, sizeof mean) == 0) return UNSEEN_OK;
    us_json networks = us_json_member(config, "networks");
    us_json layers = us_json_member(&networks, spec->networks[LOG_VARIANCE].name);
    return us_json_fail(&layers, error,
                        "the log_variance has %d x %d x %d values; it must have as many as the "
                        "mean, %d x %d x %d (channels x height x width)",
                        variance.channels, variance.height, variance.width, mean.channels,
                        mean.height, mean.width);
}

/* ---- creation ---- */

static unseen_status create_buffers(us_detector *detector, vae *v, unseen_error *error) {
    const us_network_spec *networks = detector->spec->networks;
    const struct {
        us_buffer **buffer;
        us_shape shape;
        const char *name;
    } wanted[] = {
        {&v->noise, networks[MEAN].out, "noise"},
        {&v->z, networks[MEAN].out, "codes"},
        {&v->image_gradient, networks[DECODER].out, "gradient of the reconstruction"},
        {&v->z_gradient, networks[MEAN].out, "gradient of the codes"},
        {&v->mean_gradient, networks[MEAN].out, "gradient of the mean"},
        {&v->log_variance_gradient, networks[MEAN].out, "gradient of the log variance"},
        {&v->encoder_gradients[0], networks[ENCODER].out, "gradient of the encoder's output"},
        {&v->encoder_gradients[1], networks[ENCODER].out, "gradient of the encoder's output"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        US_TRY(us_buffer_create(detector->device,
                                us_shape_size(wanted[i].shape) * (size_t)detector->padded *
                                    sizeof(float),
                                wanted[i].name, wanted[i].buffer, error));
    return UNSEEN_OK;
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    vae *v = calloc(1, sizeof *v);
    if (!v) return us_fail_memory(error, "a detector");
    detector->state = v;
    us_device *device = detector->device;
    const us_network_spec *networks = detector->spec->networks;
    for (int i = 0; i < NETWORKS; i++)
        US_TRY(us_tape_create(detector->networks[i], training, &v->tapes[i], error));
    const us_gaussian_code_plan plan = {
        .shape = networks[MEAN].out,
        .batch = detector->padded,
        .mean_activation = us_network_output_activation(detector->networks[MEAN]),
        .log_variance_activation = us_network_output_activation(detector->networks[LOG_VARIANCE]),
        .training = training,
    };
    US_TRY(us_gaussian_code_create(device, &plan, &v->code, error));
    if (!training) return UNSEEN_OK;
    US_TRY(
        us_loss_create(device, US_LOSS_MEAN_SQUARED_ERROR, networks[DECODER].out, detector->padded,
                       us_network_output_activation(detector->networks[DECODER]), &v->loss, error));
    US_TRY(us_random_codes_create(device, US_DISTRIBUTION_NORMAL, networks[MEAN].out,
                                  detector->padded, &v->draw, error));
    US_TRY(us_gradient_sum_create(&(us_build){.device = device, .purpose = US_PURPOSE_TRAINING},
                                  networks[ENCODER].out, detector->padded,
                                  (us_activation){.kind = US_ACTIVATION_NONE}, &v->sum, error));
    return create_buffers(detector, v, error);
}

static void destroy(us_detector *detector) {
    vae *v = detector->state;
    if (!v) return;
    for (int i = 0; i < NETWORKS; i++)
        us_tape_destroy(v->tapes[i]);
    us_gaussian_code_destroy(v->code);
    us_loss_destroy(v->loss);
    us_random_codes_destroy(v->draw);
    us_gradient_sum_destroy(v->sum);
    us_buffer *const buffers[] = {v->noise,
                                  v->z,
                                  v->image_gradient,
                                  v->z_gradient,
                                  v->mean_gradient,
                                  v->log_variance_gradient,
                                  v->encoder_gradients[0],
                                  v->encoder_gradients[1]};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
    free(v);
}

/* ---- passes ---- */

static unseen_status run(us_detector *detector, int network, us_buffer *x, int n,
                         us_training training, unseen_error *error) {
    vae *v = detector->state;
    return us_network_forward(detector->networks[network], v->tapes[network], x, n, training,
                              error);
}

/* Encodes images; *values are the codes without noise. */
static unseen_status encode(us_detector *detector, us_buffer *x, int n, us_training training,
                            us_gaussian_code_values *values, unseen_error *error) {
    vae *v = detector->state;
    US_TRY(run(detector, ENCODER, x, n, training, error));
    us_buffer *features = us_tape_output(v->tapes[ENCODER]);
    US_TRY(run(detector, MEAN, features, n, training, error));
    US_TRY(run(detector, LOG_VARIANCE, features, n, training, error));
    *values = (us_gaussian_code_values){.mean = us_tape_output(v->tapes[MEAN]),
                                        .log_variance = us_tape_output(v->tapes[LOG_VARIANCE]),
                                        .n = n};
    return UNSEEN_OK;
}

/* ---- a step ---- */

/* In epoch e (from 0) of W that warm up, (e + 1) / (W + 1) of the weight counts. */
static double divergence_weight(const us_detector_spec *spec, int epoch) {
    const vae_attributes *a = spec->attributes;
    double share = epoch < a->warmup_epochs ? (epoch + 1.0) / (a->warmup_epochs + 1.0) : 1;
    return share * a->divergence_weight / (double)us_shape_size(spec->input);
}

/* Gradients of a network's parameters, and with respect to what it read. */
static unseen_status learn(us_detector *detector, int network, us_buffer *dy, us_buffer *dx, int n,
                           unseen_error *error) {
    vae *v = detector->state;
    us_network_backward_args args = {.dy = dy, .dx = dx, .n = n, .parameters = true};
    return us_network_backward(detector->networks[network], v->tapes[network], &args, error);
}

static unseen_status backward(us_detector *detector, const us_detector_step *step,
                              const us_gaussian_code_values *values, unseen_error *error) {
    vae *v = detector->state;
    us_buffer *const *through = v->encoder_gradients;
    US_TRY(learn(detector, DECODER, v->image_gradient, v->z_gradient, step->n, error));
    us_gaussian_code_gradients gradients = {
        .dz = v->z_gradient,
        .weight = (float)divergence_weight(detector->spec, step->epoch),
        .mean = v->mean_gradient,
        .log_variance = v->log_variance_gradient,
    };
    US_TRY(us_gaussian_code_backward(v->code, values, &gradients, error));
    US_TRY(learn(detector, MEAN, v->mean_gradient, through[0], step->n, error));
    US_TRY(learn(detector, LOG_VARIANCE, v->log_variance_gradient, through[1], step->n, error));
    us_gradient_sum_args sum = {
        .base = through[0], .x = through[1], .gradient = through[1], .sum = through[0]};
    US_TRY(us_gradient_sum_run(v->sum, &sum, error));
    return learn(detector, ENCODER, through[0], NULL, step->n, error);
}

static unseen_status train(us_detector *detector, const us_detector_step *step,
                           unseen_error *error) {
    vae *v = detector->state;
    us_gaussian_code_values values;
    US_TRY(encode(detector, step->x, step->n, US_TRAINING_MOVES, &values, error));
    US_TRY(us_random_codes_draw(v->draw, NULL, v->noise, step->n, 1, step->seed,
                                (uint32_t)step->step, error));
    values.noise = v->noise;
    US_TRY(us_gaussian_code_sample(v->code, &values, v->z, error));
    us_loss_args loss = {
        .target = step->x,
        .dy = v->image_gradient,
        .losses = step->losses,
        .slot = step->slot + LOSS_RECONSTRUCTION,
        .n = step->n,
        .weight = 1,
    };
    US_TRY(us_compare_for_loss(detector->networks[DECODER], v->tapes[DECODER], v->z,
                               US_TRAINING_MOVES, v->loss, &loss, error));
    US_TRY(
        us_gaussian_code_loss(v->code, &values, step->losses, step->slot + LOSS_DIVERGENCE, error));
    US_TRY(backward(detector, step, &values, error));
    for (int i = 0; i < NETWORKS; i++)
        US_TRY(step->update(step->user, i, NULL, error));
    return UNSEEN_OK;
}

/* Validation and scoring reconstruct images from the means of their codes. */
static unseen_status validate(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error) {
    vae *v = detector->state;
    us_gaussian_code_values values;
    US_TRY(encode(detector, x, n, US_TRAINING_NONE, &values, error));
    us_loss_args loss = {.target = x, .losses = losses, .slot = slot, .n = n, .weight = 1};
    return us_compare_for_loss(detector->networks[DECODER], v->tapes[DECODER], values.mean,
                               US_TRAINING_NONE, v->loss, &loss, error);
}

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    vae *v = detector->state;
    us_gaussian_code_values values;
    US_TRY(encode(detector, x, n, US_TRAINING_NONE, &values, error));
    US_TRY(us_compare_for_score(detector->networks[DECODER], v->tapes[DECODER], values.mean, n,
                                detector->pixel_score, x, columns[0], error));
    return us_gaussian_code_divergence(v->code, &values, columns[1], error);
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    vae *v = detector->state;
    US_TRY(
        run(detector, DECODER, us_tape_output(v->tapes[MEAN]), args->n, US_TRAINING_NONE, error));
    return us_anomaly_map_error(args->map, args->x, us_tape_output(v->tapes[DECODER]), args->out,
                                error);
}

const us_detector_type us_vae_detector = {
    .name = "vae",
    .help =
        "A variational autoencoder: codes are drawn from a distribution that two heads describe",
    .keys = keys,
    .attributes_size = sizeof(vae_attributes),
    .networks = {{.name = "encoder", .forward = 1, .backward = 1},
                 {.name = "mean",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .forward = 1,
                  .backward = 1},
                 {.name = "log_variance",
                  .input = "encoder",
                  .updated_with_previous = true,
                  .forward = 1,
                  .backward = 1},
                 {.name = "decoder",
                  .input = "mean",
                  .updated_with_previous = true,
                  .plain_input = true,
                  .compared = true,
                  .forward = 1,
                  .backward = 1}},
    .losses = {{"reconstruction", "decoder", US_GAME_NONE}, {"kl", "mean", US_GAME_NONE}},
    .columns = {{"reconstruction", 1, "decoder"}, {"kl", 1, "mean"}},
    .check = check,
    .create = create,
    .destroy = destroy,
    .train = train,
    .validate = validate,
    .score = score,
    .map = map,
};
