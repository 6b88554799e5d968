/* SPDX-License-Identifier: MIT */
/* A network's output compared with images, by the network's last layer where it does so. */
#ifndef US_DETECTOR_COMPARE_H
#define US_DETECTOR_COMPARE_H

#include "network/network.h"
#include "ops/loss.h"
#include "ops/pixel_score.h"

/* Runs the network on x, and the loss on its output and args->target; args->y and args->errors are
 * filled in. */
unseen_status us_compare_for_loss(us_network *network, us_tape *tape, us_buffer *x,
                                  us_training training, us_loss *loss, us_loss_args *args,
                                  unseen_error *error);

/* Runs the network on x, for scoring, and scores its output beside `image`: see us_pixel_score_run.
 */
unseen_status us_compare_for_score(us_network *network, us_tape *tape, us_buffer *x, int n,
                                   us_pixel_score *score, us_buffer *image, us_buffer *scores,
                                   unseen_error *error);

#endif
