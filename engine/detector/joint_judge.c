/* SPDX-License-Identifier: MIT */
#include "detector/joint_judge.h"

#include <string.h>

static const us_shape one_number = {1, 1, 1};

static unseen_status create_lanes(us_joint_judge *judge, bool input_gradient, us_shape shape,
                                  int all, unseen_error *error) {
    us_device *device = judge->detector->device;
    const int batch = judge->detector->padded;
    US_TRY(us_lanes_create(device, shape, batch, all, &judge->join_images, error));
    US_TRY(us_lanes_create(device, one_number, batch, all, &judge->join_logits, error));
    US_TRY(us_lanes_create(device, one_number, all, batch, &judge->split_logits, error));
    if (!input_gradient) return UNSEEN_OK;
    return us_lanes_create(device, shape, all, batch, &judge->split_images, error);
}

unseen_status us_joint_judge_create(us_detector *detector, int network, bool input_gradient,
                                    us_joint_judge *judge, unseen_error *error) {
    memset(judge, 0, sizeof *judge);
    judge->detector = detector;
    judge->number = us_detector_judges_before(detector->spec->type, network);
    judge->batches = us_detector_batches_at_once(detector->spec, network);
    judge->network = detector->joined[network];
    us_device *device = detector->device;
    const us_shape shape = detector->spec->networks[network].in;
    const int all = us_device_pad(&device->facts, judge->batches * detector->batch);
    const size_t floats = us_shape_size(shape) * (size_t)all;
    US_TRY(us_tape_create(judge->network, true, &judge->tape, error));
    US_TRY(us_loss_create(device, US_LOSS_BINARY_CROSS_ENTROPY_LOGITS, one_number, detector->padded,
                          us_network_output_activation(judge->network), &judge->loss, error));
    US_TRY(create_lanes(judge, input_gradient, shape, all, error));
    const struct {
        us_buffer **buffer;
        size_t floats;
        const char *what;
    } buffers[] = {
        {&judge->images, floats, "joint batches"},
        {&judge->images_gradient, input_gradient ? floats : 0, "gradient of joint batches"},
        {&judge->logits_gradient, (size_t)all, "gradient of the logits"},
        {&judge->logits, (size_t)detector->padded, "logits"},
        {&judge->gradient, (size_t)detector->padded, "gradient of the logits"},
    };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        if (buffers[i].floats)
            US_TRY(us_buffer_create(device, buffers[i].floats * sizeof(float), buffers[i].what,
                                    buffers[i].buffer, error));
    return UNSEEN_OK;
}

void us_joint_judge_destroy(us_joint_judge *judge) {
    us_lanes *const lanes[] = {judge->join_images, judge->split_images, judge->join_logits,
                               judge->split_logits};
    us_buffer *const buffers[] = {judge->images, judge->images_gradient, judge->logits_gradient,
                                  judge->logits, judge->gradient};
    us_tape_destroy(judge->tape);
    us_loss_destroy(judge->loss);
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++)
        us_lanes_destroy(lanes[i]);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        us_buffer_destroy(buffers[i]);
}

static unseen_status join(us_joint_judge *judge, us_lanes *lanes, us_buffer *from, us_buffer *to,
                          int batch, int n, unseen_error *error) {
    const us_lanes_args args = {
        .from = from, .to = to, .to_first = batch * n, .n = n, .last = batch + 1 == judge->batches};
    return us_lanes_copy(lanes, &args, error);
}

static unseen_status split(us_lanes *lanes, us_buffer *from, us_buffer *to, int batch, int n,
                           unseen_error *error) {
    const us_lanes_args args = {
        .from = from, .to = to, .from_first = batch * n, .n = n, .last = true};
    return us_lanes_copy(lanes, &args, error);
}

/* The loss on the logits of one batch, and their gradient among those of all. */
static unseen_status judge_batch(us_joint_judge *judge, const us_joint_batch *of, int batch, int n,
                                 us_buffer *losses, int slot, unseen_error *error) {
    const us_detector *detector = judge->detector;
    US_TRY(split(judge->split_logits, us_tape_output(judge->tape), judge->logits, batch, n, error));
    us_loss_args loss = {
        .y = judge->logits,
        .target_constant = of->target,
        .dy = judge->gradient,
        .losses = losses,
        .slot = slot,
        .spreads = n < 2 ? NULL : detector->spreads,
        .spread_slot = detector->spread_slot + judge->number,
        .n = n,
        .weight = of->weight,
        .accumulate_loss = batch > 0,
    };
    US_TRY(us_loss_run(judge->loss, &loss, error));
    return join(judge, judge->join_logits, judge->gradient, judge->logits_gradient, batch, n,
                error);
}

unseen_status us_joint_judge_learn(us_joint_judge *judge, const us_joint_batch *batches, int n,
                                   us_buffer *losses, int slot, unseen_error *error) {
    bool wanted = false;
    for (int i = 0; i < judge->batches; i++) {
        US_TRY(join(judge, judge->join_images, batches[i].images, judge->images, i, n, error));
        wanted = wanted || batches[i].dx;
    }
    US_TRY(us_network_forward(judge->network, judge->tape, judge->images, judge->batches * n,
                              US_TRAINING_MOVES, error));
    for (int i = 0; i < judge->batches; i++)
        US_TRY(judge_batch(judge, &batches[i], i, n, losses, slot, error));
    const us_network_backward_args backward = {.dy = judge->logits_gradient,
                                               .dx = wanted ? judge->images_gradient : NULL,
                                               .n = judge->batches * n,
                                               .parameters = true};
    US_TRY(us_network_backward(judge->network, judge->tape, &backward, error));
    for (int i = 0; i < judge->batches; i++)
        if (batches[i].dx)
            US_TRY(split(judge->split_images, judge->images_gradient, batches[i].dx, i, n, error));
    return UNSEEN_OK;
}
