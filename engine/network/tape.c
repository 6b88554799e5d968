/* Forward and backward passes over the stages of a network. */
#include <stdlib.h>

#include "network/internal.h"

struct us_tape {
    us_network *network;
    bool backward;
    us_buffer **y;     /* one per stage; without backward only two, taking turns */
    us_buffer **saved; /* one per stage, NULL where nothing is saved */
    us_buffer *gradients[2];
    int outputs;
    us_buffer *x, *output;
};

static size_t activation_bytes(const us_network *network, us_shape shape) {
    return us_shape_size(shape) * (size_t)network->batch * sizeof(float);
}

static size_t largest_output(const us_network *network) {
    size_t largest = sizeof(float);
    for (int s = 0; s < network->count; s++) {
        size_t bytes = activation_bytes(network, network->stages[s].spec->out);
        if (bytes > largest) largest = bytes;
    }
    return largest;
}

static unseen_status create_buffers(us_tape *tape, unseen_error *error) {
    us_network *network = tape->network;
    us_device *device = network->device;
    size_t largest = largest_output(network);
    for (int i = 0; i < tape->outputs; i++) {
        size_t bytes =
            tape->backward ? activation_bytes(network, network->stages[i].spec->out) : largest;
        US_TRY(us_buffer_create(device, bytes, "activations", &tape->y[i], error));
    }
    for (int s = 0; s < network->count; s++)
        if (network->stages[s].saved_floats)
            US_TRY(us_buffer_create(device, network->stages[s].saved_floats * sizeof(float),
                                    "batch statistics", &tape->saved[s], error));
    for (int i = 0; tape->backward && i < 2 && network->count > 1; i++)
        US_TRY(us_buffer_create(device, largest, "gradients of activations", &tape->gradients[i],
                                error));
    return UNSEEN_OK;
}

unseen_status us_tape_create(us_network *network, bool backward, us_tape **out,
                             unseen_error *error) {
    *out = NULL;
    us_tape *tape = calloc(1, sizeof *tape);
    if (!tape) return us_fail_memory(error, "a tape");
    tape->network = network;
    tape->backward = backward;
    tape->outputs = backward || network->count < 2 ? network->count : 2;
    tape->y = calloc((size_t)network->count + 1, sizeof *tape->y);
    tape->saved = calloc((size_t)network->count + 1, sizeof *tape->saved);
    unseen_status status =
        tape->y && tape->saved ? create_buffers(tape, error) : us_fail_memory(error, "a tape");
    if (status != UNSEEN_OK) {
        us_error_context(error, "network %s with a batch of %d", network->spec->name,
                         network->options.batch);
        us_tape_destroy(tape);
        return status;
    }
    *out = tape;
    return UNSEEN_OK;
}

void us_tape_destroy(us_tape *tape) {
    if (!tape) return;
    for (int i = 0; tape->y && i < tape->outputs; i++)
        us_buffer_destroy(tape->y[i]);
    for (int s = 0; tape->saved && s < tape->network->count; s++)
        us_buffer_destroy(tape->saved[s]);
    us_buffer_destroy(tape->gradients[0]);
    us_buffer_destroy(tape->gradients[1]);
    free(tape->y);
    free(tape->saved);
    free(tape);
}

us_buffer *us_tape_output(const us_tape *tape) {
    return tape->output;
}

static unseen_status stage_failed(const us_network *network, const us_stage *stage,
                                  const char *pass, unseen_status status, unseen_error *error) {
    us_error_context(error, "layer %s.%d (%s), %s", network->spec->name, stage->index,
                     stage->spec->type->name, pass);
    return status;
}

unseen_status us_network_forward(us_network *network, us_tape *tape, us_buffer *x, int n,
                                 us_training training, unseen_error *error) {
    tape->x = tape->output = x;
    for (int s = 0; s < network->count; s++) {
        us_stage *stage = &network->stages[s];
        us_layer_forward args = {
            .x = tape->output,
            .y = tape->y[tape->backward ? s : s % 2],
            .tensors = stage->tensors,
            .saved = tape->saved[s],
            .n = n,
            .training = training,
        };
        network->device->label = (us_label){network->spec->name, stage->index, US_PASS_FORWARD};
        unseen_status status = stage->spec->type->forward(stage->layer, &args, error);
        network->device->label = (us_label){0};
        if (status != UNSEEN_OK) return stage_failed(network, stage, "forward", status, error);
        tape->output = args.y;
    }
    return UNSEEN_OK;
}

unseen_status us_network_backward(us_network *network, us_tape *tape,
                                  const us_network_backward_args *args, unseen_error *error) {
    us_buffer *dy = args->dy;
    if (network->count == 0 && args->dx) /* views alone */
        return us_buffer_copy(args->dx, 0, dy, 0, activation_bytes(network, network->spec->in),
                              error);
    for (int s = network->count - 1; s >= 0; s--) {
        us_stage *stage = &network->stages[s];
        us_layer_backward layer = {
            .x = s ? tape->y[s - 1] : tape->x,
            .y = tape->y[s],
            .dy = dy,
            .dx = s ? tape->gradients[s % 2] : args->dx,
            .tensors = stage->tensors,
            .gradients = args->parameters ? stage->gradients : NULL,
            .saved = tape->saved[s],
            .n = args->n,
            .accumulate = args->accumulate,
        };
        if (!layer.dx && !layer.gradients) break;
        network->device->label = (us_label){network->spec->name, stage->index, US_PASS_BACKWARD};
        unseen_status status = stage->spec->type->backward(stage->layer, &layer, error);
        network->device->label = (us_label){0};
        if (status != UNSEEN_OK) return stage_failed(network, stage, "backward", status, error);
        dy = layer.dx;
    }
    return UNSEEN_OK;
}
