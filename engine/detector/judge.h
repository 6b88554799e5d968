/* SPDX-License-Identifier: MIT */
/* A network that judges: one logit per image or code, trained by binary cross-entropy to tell two
 * kinds apart. What discriminators and classifiers of several detectors share. */
#ifndef US_DETECTOR_JUDGE_H
#define US_DETECTOR_JUDGE_H

#include "detector/detector.h"
#include "ops/loss.h"

typedef struct us_judge {
    const us_detector *detector;
    int number; /* among the detector's judges, from 0 */
    us_network *network;
    us_tape *tape;
    us_loss *loss;             /* training only, as what follows */
    us_buffer *logit_gradient; /* [1][1][1][batch] */
} us_judge;

/* network: its index in the detector. */
unseen_status us_judge_create(us_detector *detector, int network, bool training, us_judge *judge,
                              unseen_error *error);
void us_judge_destroy(us_judge *judge);

/* For a type's check: the network must give one number per image. */
unseen_status us_judge_check(const us_detector_spec *spec, const us_json *config, int network,
                             unseen_error *error);

typedef struct us_judge_args {
    us_buffer *x; /* as the network's input */
    int n;
    float target; /* 1: of the kind that the network learns to recognise, 0: of the other */
    float weight; /* of the loss, its gradients included */
    /* Gradients of the parameters are wanted; accumulate: added to what is there. */
    bool parameters, accumulate;
    bool still;        /* running statistics stay where they are */
    us_buffer *dx;     /* d loss / d x, before the activation that the network's input came through
                          (at x itself for a plain_input); NULL: not wanted */
    us_buffer *losses; /* losses[slot] receives weight x loss; with add_loss it is added, with
                          plain_loss it is the loss without its weight. NULL: the gradients alone */
    int slot;
    bool add_loss, plain_loss;
} us_judge_args;

/* A training forward pass (batch statistics), the logits' spread where the detector wants it, the
 * loss, and the gradients asked for. */
unseen_status us_judge_learn(us_judge *judge, const us_judge_args *args, unseen_error *error);

/* *logits: one per image, in evaluation mode, valid until the next pass. */
unseen_status us_judge_score(us_judge *judge, us_buffer *x, int n, us_buffer **logits,
                             unseen_error *error);

#endif
