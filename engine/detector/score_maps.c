/* SPDX-License-Identifier: MIT */
/* With s the score, x an image, r = decoder(encoder(x)) and J the judge's logit,
 *
 *     ds/dx = a dp/dx + (a dp/dr + b dJ(r)/dr) dr/dx + c dJ(x)/dx
 *
 * where p is the pixel score and a, b and c are the slopes of s by the three columns. What has no
 * weight in the score is not computed. */
#include "detector/score_maps.h"

#include <stdlib.h>

#include "ops/pixel_gradient.h"
#include "ops/residual.h"

enum { ENCODER, DECODER };

const char *const us_map_kinds[] = {"reconstruction", "score", NULL};

struct us_score_maps {
    us_detector *detector;
    us_score_roles roles;
    us_score_slopes *score;
    us_buffer *slopes[US_SCORE_PARTS_MOST];            /* [batch] each, of the columns */
    us_tape *encoder_tape, *decoder_tape, *judge_tape; /* the judge's of reconstructions */
    us_network *direct; /* the judge, whose input is the image itself and no decoder's output */
    us_tape *direct_tape;
    us_pixel_gradient *pixels;
    us_gradient_sum *logit, *images;
    /* Gradients. x[i]: by the image, in three ways that are added up. */
    us_buffer *logits, *reconstruction, *code, *x[3];
};

static bool has_part(const us_score_parts *parts, int column) {
    return column >= 0 && parts->factors[column] != 0;
}

static unseen_status create_buffers(us_score_maps *maps, const us_score_parts *parts,
                                    unseen_error *error) {
    const us_detector_spec *spec = maps->detector->spec;
    us_device *device = maps->detector->device;
    const size_t lanes = (size_t)maps->detector->padded * sizeof(float);
    const size_t images = us_shape_size(spec->input) * lanes;
    for (int c = 0; c < parts->count; c++)
        US_TRY(us_buffer_create(device, lanes, "slopes of scores", &maps->slopes[c], error));
    US_TRY(us_buffer_create(device, lanes, "gradient of the logit", &maps->logits, error));
    for (int i = 0; i < 3; i++)
        US_TRY(us_buffer_create(device, images, "gradient of the images", &maps->x[i], error));
    US_TRY(us_buffer_create(device, images, "gradient of the reconstruction", &maps->reconstruction,
                            error));
    return us_buffer_create(device, us_shape_size(spec->networks[DECODER].in) * lanes,
                            "gradient of the code", &maps->code, error);
}

/* The judge without a derivative of the decoder's activation in the gradient of its input. */
static unseen_status create_direct(us_score_maps *maps, unseen_error *error) {
    us_detector *detector = maps->detector;
    const int judge = maps->roles.judge;
    const us_network_options options = {.batch = detector->batch,
                                        .logits = true,
                                        .precision = detector->spec->precision,
                                        .share = &detector->shares[judge],
                                        .same = detector->networks[judge]};
    US_TRY(us_network_create(detector->device, &detector->spec->networks[judge], &options,
                             &maps->direct, error));
    return us_tape_create(maps->direct, true, &maps->direct_tape, error);
}

static unseen_status create(us_score_maps *maps, const us_score_parts *parts, unseen_error *error) {
    us_detector *detector = maps->detector;
    us_device *device = detector->device;
    const us_detector_spec *spec = detector->spec;
    us_network *const *networks = detector->networks;
    const us_network *judge = networks[maps->roles.judge];
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    const us_activation none = {.kind = US_ACTIVATION_NONE};
    US_TRY(create_buffers(maps, parts, error));
    US_TRY(us_score_slopes_create(device, parts, detector->padded, &maps->score, error));
    US_TRY(us_gradient_sum_create(&build, spec->networks[maps->roles.judge].out, detector->padded,
                                  us_network_output_activation(judge), &maps->logit, error));
    US_TRY(
        us_gradient_sum_create(&build, spec->input, detector->padded, none, &maps->images, error));
    US_TRY(us_tape_create(networks[ENCODER], true, &maps->encoder_tape, error));
    US_TRY(us_tape_create(networks[DECODER], true, &maps->decoder_tape, error));
    if (has_part(parts, maps->roles.of_reconstruction))
        US_TRY(us_tape_create(networks[maps->roles.judge], true, &maps->judge_tape, error));
    if (has_part(parts, maps->roles.of_image)) US_TRY(create_direct(maps, error));
    if (!has_part(parts, maps->roles.reconstruction)) return UNSEEN_OK;
    return us_pixel_gradient_create(
        device, (us_pixel_score_kind)spec->scoring.pixel, spec->scoring.top_k, spec->input,
        detector->padded, us_network_output_activation(networks[DECODER]), &maps->pixels, error);
}

unseen_status us_score_maps_create(us_detector *detector, const us_score_roles *roles,
                                   const us_score_parts *parts, us_score_maps **out,
                                   unseen_error *error) {
    *out = NULL;
    us_score_maps *maps = calloc(1, sizeof *maps);
    if (!maps) return us_fail_memory(error, "maps");
    maps->detector = detector;
    maps->roles = *roles;
    unseen_status status = create(maps, parts, error);
    if (status == UNSEEN_OK)
        *out = maps;
    else
        us_score_maps_destroy(maps);
    return status;
}

void us_score_maps_destroy(us_score_maps *maps) {
    if (!maps) return;
    us_score_slopes_destroy(maps->score);
    us_tape_destroy(maps->encoder_tape);
    us_tape_destroy(maps->decoder_tape);
    us_tape_destroy(maps->judge_tape);
    us_tape_destroy(maps->direct_tape);
    us_network_destroy(maps->direct);
    us_pixel_gradient_destroy(maps->pixels);
    us_gradient_sum_destroy(maps->logit);
    us_gradient_sum_destroy(maps->images);
    for (int c = 0; c < US_SCORE_PARTS_MOST; c++)
        us_buffer_destroy(maps->slopes[c]);
    us_buffer_destroy(maps->logits);
    us_buffer_destroy(maps->reconstruction);
    us_buffer_destroy(maps->code);
    for (int i = 0; i < 3; i++)
        us_buffer_destroy(maps->x[i]);
    free(maps);
}

/* dx becomes the gradient of the judge's part of the score, by what it judges. */
static unseen_status judge(us_score_maps *maps, us_network *network, us_tape *tape, us_buffer *x,
                           int n, us_buffer *slopes, us_buffer *dx, unseen_error *error) {
    US_TRY(us_network_forward(network, tape, x, n, US_TRAINING_FIXED, error));
    const us_gradient_sum_args logit = {
        .x = us_tape_output(tape), .gradient = slopes, .sum = maps->logits};
    US_TRY(us_gradient_sum_run(maps->logit, &logit, error));
    const us_network_backward_args backward = {.dy = maps->logits, .dx = dx, .n = n};
    return us_network_backward(network, tape, &backward, error);
}

/* x[0] and, where the pixel score has a part, x[1]: through the reconstruction, and by the image as
 * what that is compared with. */
static unseen_status by_reconstruction(us_score_maps *maps, us_buffer *x, int n,
                                       unseen_error *error) {
    const us_score_roles *roles = &maps->roles;
    us_network *const *networks = maps->detector->networks;
    US_TRY(
        us_network_forward(networks[ENCODER], maps->encoder_tape, x, n, US_TRAINING_FIXED, error));
    US_TRY(us_network_forward(networks[DECODER], maps->decoder_tape,
                              us_tape_output(maps->encoder_tape), n, US_TRAINING_FIXED, error));
    us_buffer *r = us_tape_output(maps->decoder_tape);
    if (maps->judge_tape)
        US_TRY(judge(maps, networks[roles->judge], maps->judge_tape, r, n,
                     maps->slopes[roles->of_reconstruction], maps->reconstruction, error));
    const us_pixel_gradient_args pixels = {.x = x,
                                           .y = r,
                                           .slopes = maps->slopes[roles->reconstruction],
                                           .dx = maps->x[1],
                                           .dy = maps->reconstruction,
                                           .n = n,
                                           .accumulate = maps->judge_tape != NULL};
    if (maps->pixels) US_TRY(us_pixel_gradient_run(maps->pixels, &pixels, error));
    const us_network_backward_args decoder = {.dy = maps->reconstruction, .dx = maps->code, .n = n};
    US_TRY(us_network_backward(networks[DECODER], maps->decoder_tape, &decoder, error));
    const us_network_backward_args encoder = {.dy = maps->code, .dx = maps->x[0], .n = n};
    return us_network_backward(networks[ENCODER], maps->encoder_tape, &encoder, error);
}

unseen_status us_score_maps_run(us_score_maps *maps, const us_detector_map_args *args,
                                unseen_error *error) {
    us_buffer *const *x = maps->x;
    const bool reconstructs = maps->pixels || maps->judge_tape;
    const bool there[3] = {reconstructs, maps->pixels != NULL, maps->direct != NULL};
    us_buffer *sum = NULL;
    US_TRY(us_score_slopes_run(maps->score, args->columns, args->n, maps->slopes, error));
    if (reconstructs) US_TRY(by_reconstruction(maps, args->x, args->n, error));
    if (maps->direct)
        US_TRY(judge(maps, maps->direct, maps->direct_tape, args->x, args->n,
                     maps->slopes[maps->roles.of_image], x[2], error));
    for (int i = 0; i < 3; i++) {
        if (!there[i]) continue;
        const us_gradient_sum_args both = {.base = sum, .x = x[i], .gradient = x[i], .sum = sum};
        if (sum) US_TRY(us_gradient_sum_run(maps->images, &both, error));
        if (!sum) sum = x[i];
    }
    if (!sum) /* a score of features alone: its gradient by these columns is 0 */
        return us_anomaly_map_error(args->map, args->x, args->x, args->out, error);
    return us_anomaly_map_error(args->map, sum, NULL, args->out, error);
}
