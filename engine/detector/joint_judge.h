/* SPDX-License-Identifier: MIT */
/* A judge (judge.h) that learns from several batches at once, which go through its network as one:
 * what BatchNorm takes from the batch then tells nothing of the kind of an image. */
#ifndef US_DETECTOR_JOINT_JUDGE_H
#define US_DETECTOR_JOINT_JUDGE_H

#include "detector/detector.h"
#include "ops/lanes.h"
#include "ops/loss.h"

typedef struct us_joint_judge {
    const us_detector *detector;
    int number, batches; /* of the judge, as us_judge's; most that are joined */
    us_network *network; /* for all of them, with the judge's parameters and statistics */
    us_tape *tape;
    us_loss *loss;
    us_lanes *join_images, *split_images, *join_logits, *split_logits;
    us_buffer *images, *images_gradient,
        *logits_gradient;         /* of all batches; the second may be NULL */
    us_buffer *logits, *gradient; /* of one batch, [1][1][1][batch] */
} us_joint_judge;

/* network: the judge's index in the detector, whose type joins batches for it (batches_at_once).
 * input_gradient: us_joint_judge_learn will be asked for a dx. */
unseen_status us_joint_judge_create(us_detector *detector, int network, bool input_gradient,
                                    us_joint_judge *judge, unseen_error *error);
void us_joint_judge_destroy(us_joint_judge *judge);

/* n images, as the detector's batches lie in memory. */
typedef struct us_joint_batch {
    us_buffer *images;
    float target, weight; /* as of us_judge_args */
    us_buffer *dx;        /* NULL: not wanted */
} us_joint_batch;

/* A training pass over `batches` batches of n images each: gradients of the parameters replace
 * those that there were, and losses[slot] becomes the sum of weight x loss. */
unseen_status us_joint_judge_learn(us_joint_judge *judge, const us_joint_batch *batches, int n,
                                   us_buffer *losses, int slot, unseen_error *error);

#endif
