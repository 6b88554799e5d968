/* SPDX-License-Identifier: MIT */
#include "detector/reconstruction.h"

#include <string.h>

#include "detector/compare.h"

enum { ENCODER, DECODER };

unseen_status us_reconstruction_create(us_detector *detector, bool training, us_reconstruction *r,
                                       unseen_error *error) {
    memset(r, 0, sizeof *r);
    r->detector = detector;
    r->encoder = detector->networks[ENCODER];
    r->decoder = detector->networks[DECODER];
    US_TRY(us_tape_create(r->encoder, training, &r->encoder_tape, error));
    US_TRY(us_tape_create(r->decoder, training, &r->decoder_tape, error));
    if (!training) return UNSEEN_OK;

    const us_detector_spec *spec = detector->spec;
    size_t lane_bytes = (size_t)detector->padded * sizeof(float);
    US_TRY(us_loss_create(detector->device, US_LOSS_MEAN_SQUARED_ERROR, spec->input,
                          detector->padded, us_network_output_activation(r->decoder), &r->loss,
                          error));
    US_TRY(us_buffer_create(detector->device, us_shape_size(spec->input) * lane_bytes,
                            "gradient of the reconstruction", &r->image_gradient, error));
    return us_buffer_create(detector->device,
                            us_shape_size(spec->networks[DECODER].in) * lane_bytes,
                            "gradient of the code", &r->code_gradient, error);
}

void us_reconstruction_destroy(us_reconstruction *r) {
    us_tape_destroy(r->encoder_tape);
    us_tape_destroy(r->decoder_tape);
    us_loss_destroy(r->loss);
    us_buffer_destroy(r->image_gradient);
    us_buffer_destroy(r->code_gradient);
}

unseen_status us_reconstruction_forward(us_reconstruction *r, us_buffer *x, int n,
                                        us_training training, us_buffer **y, unseen_error *error) {
    US_TRY(us_network_forward(r->encoder, r->encoder_tape, x, n, training, error));
    US_TRY(us_network_forward(r->decoder, r->decoder_tape, us_tape_output(r->encoder_tape), n,
                              training, error));
    *y = us_tape_output(r->decoder_tape);
    return UNSEEN_OK;
}

unseen_status us_reconstruction_score(us_reconstruction *r, us_buffer *x, int n, us_buffer *scores,
                                      unseen_error *error) {
    US_TRY(us_network_forward(r->encoder, r->encoder_tape, x, n, US_TRAINING_NONE, error));
    return us_compare_for_score(r->decoder, r->decoder_tape, us_tape_output(r->encoder_tape), n,
                                r->detector->pixel_score, x, scores, error);
}

/* Their codes are still there, but not always what was decoded: it may have been compared only. */
unseen_status us_reconstruction_map(us_reconstruction *r, us_buffer *x, int n, us_anomaly_map *map,
                                    us_buffer *out, unseen_error *error) {
    US_TRY(us_network_forward(r->decoder, r->decoder_tape, us_tape_output(r->encoder_tape), n,
                              US_TRAINING_NONE, error));
    return us_anomaly_map_error(map, x, us_tape_output(r->decoder_tape), out, error);
}

unseen_status us_reconstruction_error(us_reconstruction *r, const us_detector_step *step,
                                      float weight, float accumulate, unseen_error *error) {
    us_loss_args loss = {
        .y = us_tape_output(r->decoder_tape),
        .target = step->x,
        .dy = r->image_gradient,
        .losses = step->losses,
        .slot = step->slot,
        .n = step->n,
        .weight = weight,
        .plain_loss = true,
        .accumulate_gradient = accumulate,
        .rest = &r->loss_rest,
    };
    return us_loss_run(r->loss, &loss, error);
}

/* Runs both networks on the loss's target. */
static unseen_status compare(us_reconstruction *r, us_training training, us_loss_args *loss,
                             unseen_error *error) {
    US_TRY(us_network_forward(r->encoder, r->encoder_tape, loss->target, loss->n, training, error));
    return us_compare_for_loss(r->decoder, r->decoder_tape, us_tape_output(r->encoder_tape),
                               training, r->loss, loss, error);
}

unseen_status us_reconstruction_update(us_reconstruction *r, const us_detector_step *step,
                                       unseen_error *error) {
    us_network_backward_args decoder = {
        .dy = r->image_gradient, .dx = r->code_gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(r->decoder, r->decoder_tape, &decoder, error));
    if (step->ready) US_TRY(step->ready(step->user, DECODER, error));
    us_network_backward_args encoder = {.dy = r->code_gradient, .n = step->n, .parameters = true};
    US_TRY(us_network_backward(r->encoder, r->encoder_tape, &encoder, error));
    US_TRY(step->update(step->user, ENCODER, &r->loss_rest, error));
    return step->update(step->user, DECODER, NULL, error);
}

unseen_status us_reconstruction_learn(us_reconstruction *r, const us_detector_step *step,
                                      unseen_error *error) {
    us_loss_args loss = {
        .target = step->x,
        .dy = r->image_gradient,
        .losses = step->losses,
        .slot = step->slot,
        .n = step->n,
        .weight = 1,
        .rest = &r->loss_rest,
    };
    US_TRY(compare(r, US_TRAINING_MOVES, &loss, error));
    return us_reconstruction_update(r, step, error);
}

unseen_status us_reconstruction_validate(us_reconstruction *r, us_buffer *x, int n,
                                         us_buffer *losses, int slot, unseen_error *error) {
    us_loss_args loss = {.target = x, .losses = losses, .slot = slot, .n = n, .weight = 1};
    return compare(r, US_TRAINING_NONE, &loss, error);
}
