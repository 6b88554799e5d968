/* SPDX-License-Identifier: MIT */
/* Networks that give a logit for each position of a grid over the image, [1][height][width][batch]:
 * how probable a defect is there. Position (i, j) stands for the pixels whose rows are i H / height
 * to (i + 1) H / height, the first rounded down and the second up, and whose columns are likewise,
 * whatever the network's strides. */
#ifndef US_OPS_POSITIONS_H
#define US_OPS_POSITIONS_H

#include "ops/layer.h"

/* ---- the loss ---- */

typedef struct us_position_loss_settings {
    double coverage;        /* the mean of the mask over a position from which its target is 1; the
                               target of less is proportionally less. More than 0 */
    double positive_weight; /* of positions with a defect, beside those without */
    double focusing;        /* gamma of the focal loss (arXiv 1708.02002), 0 or at least 1; 0: cross
                               entropy */
} us_position_loss_settings;

typedef struct us_position_loss us_position_loss;

/* grid: the logits' shape, one channel; image: the mask's height and width; activation: the one
 * that produced the logits. */
unseen_status us_position_loss_create(us_device *device, const us_position_loss_settings *settings,
                                      us_shape grid, us_shape image, int batch,
                                      us_activation activation, us_position_loss **loss,
                                      unseen_error *error);
void us_position_loss_destroy(us_position_loss *loss); /* NULL is fine */

/* The mean over positions and images of
 *
 *     - weight t (1 - p)^gamma log p - (1 - t) p^gamma log(1 - p)
 *
 * with p the sigmoid of the logit and t the position's target; with a gamma of 0,
 * torch.nn.BCEWithLogitsLoss. */
typedef struct us_position_loss_args {
    us_buffer *y;      /* logits */
    us_buffer *mask;   /* [image height][image width][batch], 0 to 1 */
    us_buffer *dy;     /* gradient before y's activation, 0 in padded lanes; NULL: not wanted */
    us_buffer *losses; /* losses[slot] receives the loss */
    int slot;
    int n;
} us_position_loss_args;
unseen_status us_position_loss_run(us_position_loss *loss, const us_position_loss_args *args,
                                   unseen_error *error);

/* ---- scores and maps ---- */

typedef struct us_position_score us_position_score;

/* Positions that are fewer than `rim` from the grid's edge have no part: a network with padding
 * sees nothing beyond it, and is less sure there. The rim is smaller where fewer than one position
 * would be left. top: share of the other positions, rounded up to whole ones, that a score is made
 * of. */
unseen_status us_position_score_create(us_device *device, us_shape grid, us_shape image, int rim,
                                       double top, int batch, us_position_score **score,
                                       unseen_error *error);
void us_position_score_destroy(us_position_score *score); /* NULL is fine */

/* Logits are averaged over 3 x 3 positions (beyond the outermost, these are repeated); with p the
 * sigmoid of the mean, e = - log(1 - p): the information in being told that there is no defect.
 * scores: of each lane, the mean of the largest e. */
unseen_status us_position_score_run(us_position_score *score, us_buffer *y, us_buffer *scores,
                                    unseen_error *error);

/* The e of the last run as maps [image height][image width][batch], bilinear between the middles of
 * positions; beyond the outermost, these are repeated. */
unseen_status us_position_score_map(us_position_score *score, us_buffer *out, unseen_error *error);

#endif
