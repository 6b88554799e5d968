/* SPDX-License-Identifier: MIT */
/* Encoder and decoder trained by the mean squared error: what several detectors share. */
#ifndef US_DETECTOR_RECONSTRUCTION_H
#define US_DETECTOR_RECONSTRUCTION_H

#include "detector/detector.h"
#include "ops/loss.h"

typedef struct us_reconstruction {
    us_detector *detector;
    us_network *encoder, *decoder;
    us_tape *encoder_tape, *decoder_tape;
    us_loss *loss;
    us_loss_rest loss_rest;                    /* of the step's, until an update adds it up */
    us_buffer *image_gradient, *code_gradient; /* training only */
} us_reconstruction;

/* The detector's networks 0 and 1 are the encoder and the decoder. */
unseen_status us_reconstruction_create(us_detector *detector, bool training,
                                       us_reconstruction *reconstruction, unseen_error *error);
void us_reconstruction_destroy(us_reconstruction *reconstruction);

/* *y is the decoder's output, valid until its tape runs again. */
unseen_status us_reconstruction_forward(us_reconstruction *reconstruction, us_buffer *x, int n,
                                        us_training training, us_buffer **y, unseen_error *error);

/* The pixel score of each lane of x, to `scores`. */
unseen_status us_reconstruction_score(us_reconstruction *reconstruction, us_buffer *x, int n,
                                      us_buffer *scores, unseen_error *error);

/* The map of the images whose score was computed last. */
unseen_status us_reconstruction_map(us_reconstruction *reconstruction, us_buffer *x, int n,
                                    us_anomaly_map *map, us_buffer *out, unseen_error *error);

/* A training step: forward, the loss, gradients of both networks and their updates. */
unseen_status us_reconstruction_learn(us_reconstruction *reconstruction,
                                      const us_detector_step *step, unseen_error *error);

/* The same in two parts, for detectors that let image_gradient hold more than the reconstruction's
 * error. The loss reported is without its weight. accumulate: the factor of what image_gradient
 * holds, which is added. */
unseen_status us_reconstruction_error(us_reconstruction *reconstruction,
                                      const us_detector_step *step, float weight, float accumulate,
                                      unseen_error *error);
unseen_status us_reconstruction_update(us_reconstruction *reconstruction,
                                       const us_detector_step *step, unseen_error *error);

/* The loss alone, in evaluation mode. */
unseen_status us_reconstruction_validate(us_reconstruction *reconstruction, us_buffer *x, int n,
                                         us_buffer *losses, int slot, unseen_error *error);

#endif
