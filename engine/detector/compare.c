/* SPDX-License-Identifier: MIT */
#include "detector/compare.h"

unseen_status us_compare_for_loss(us_network *network, us_tape *tape, us_buffer *x,
                                  us_training training, us_loss *loss, us_loss_args *args,
                                  unseen_error *error) {
    us_target target = us_loss_target(loss, args);
    US_TRY(us_network_compare(network, tape, x, args->n, training, &target, error));
    args->y = us_tape_output(tape);
    args->errors = target.errors;
    return us_loss_run(loss, args, error);
}

unseen_status us_compare_for_score(us_network *network, us_tape *tape, us_buffer *x, int n,
                                   us_pixel_score *score, us_buffer *image, us_buffer *scores,
                                   unseen_error *error) {
    us_target target = us_pixel_score_target(score, image);
    US_TRY(us_network_compare(network, tape, x, n, US_TRAINING_NONE, &target, error));
    return us_pixel_score_run(score, image, us_tape_output(tape), &target.errors, scores, error);
}
