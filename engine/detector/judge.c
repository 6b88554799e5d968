/* SPDX-License-Identifier: MIT */
#include "detector/judge.h"

#include <string.h>

unseen_status us_judge_create(us_detector *detector, int network, bool training, us_judge *judge,
                              unseen_error *error) {
    us_shape logit = {1, 1, 1};
    memset(judge, 0, sizeof *judge);
    judge->detector = detector;
    judge->number = us_detector_judges_before(detector->spec->type, network);
    judge->network = detector->networks[network];
    US_TRY(us_tape_create(judge->network, training, &judge->tape, error));
    if (!training) return UNSEEN_OK;
    US_TRY(us_loss_create(detector->device, US_LOSS_BINARY_CROSS_ENTROPY_LOGITS, logit,
                          detector->padded, us_network_output_activation(judge->network),
                          &judge->loss, error));
    return us_buffer_create(detector->device, (size_t)detector->padded * sizeof(float),
                            "gradient of the logit", &judge->logit_gradient, error);
}

void us_judge_destroy(us_judge *judge) {
    us_tape_destroy(judge->tape);
    us_loss_destroy(judge->loss);
    us_buffer_destroy(judge->logit_gradient);
}

unseen_status us_judge_check(const us_detector_spec *spec, const us_json *config, int network,
                             unseen_error *error) {
    const char *name = spec->networks[network].name;
    us_shape out = spec->networks[network].out;
    if (us_shape_size(out) == 1) return UNSEEN_OK;
    us_json networks = us_json_member(config, "networks");
    us_json layers = us_json_member(&networks, name);
    return us_json_fail(&layers, error, "the %s must give one number per image, not %d x %d x %d",
                        name, out.channels, out.height, out.width);
}

unseen_status us_judge_learn(us_judge *judge, const us_judge_args *args, unseen_error *error) {
    us_training training = args->still ? US_TRAINING_STILL : US_TRAINING_MOVES;
    US_TRY(us_network_forward(judge->network, judge->tape, args->x, args->n, training, error));
    us_loss_args loss = {
        .y = us_tape_output(judge->tape),
        .target_constant = args->target,
        .dy = judge->logit_gradient,
        .losses = args->losses,
        .slot = args->slot,
        .spreads = args->n < 2 ? NULL : judge->detector->spreads, /* one image has none */
        .spread_slot = judge->detector->spread_slot + judge->number,
        .n = args->n,
        .weight = args->weight,
        .plain_loss = args->plain_loss,
        .accumulate_loss = args->add_loss,
    };
    US_TRY(us_loss_run(judge->loss, &loss, error));
    us_network_backward_args backward = {.dy = judge->logit_gradient,
                                         .dx = args->dx,
                                         .n = args->n,
                                         .parameters = args->parameters,
                                         .accumulate = args->accumulate};
    return us_network_backward(judge->network, judge->tape, &backward, error);
}

unseen_status us_judge_score(us_judge *judge, us_buffer *x, int n, us_buffer **logits,
                             unseen_error *error) {
    US_TRY(us_network_forward(judge->network, judge->tape, x, n, US_TRAINING_NONE, error));
    *logits = us_tape_output(judge->tape);
    return UNSEEN_OK;
}
