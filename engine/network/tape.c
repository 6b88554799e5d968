/* SPDX-License-Identifier: MIT */
/* Forward and backward passes over the stages of a network. */
#include <stdlib.h>

#include "network/internal.h"

struct us_tape {
    us_network *network;
    bool backward;
    us_buffer **y;         /* one per stage; without backward, one per slot of the plan */
    us_buffer **saved;     /* one per stage, NULL where nothing is saved */
    us_buffer **gradients; /* one per slot; NULL without backward */
    us_buffer *x, *output;
    us_training training; /* of the last pass forward */
};

static int output_count(const us_tape *tape) {
    const us_network_plan *plan = &tape->network->plan;
    return tape->backward ? plan->count : plan->outputs.count;
}

/* `floats` of each image. */
static unseen_status create_activations(us_tape *tape, size_t floats, const char *what,
                                        us_buffer **buffer, unseen_error *error) {
    return us_buffer_create(tape->network->device,
                            floats * (size_t)tape->network->batch * sizeof(float), what, buffer,
                            error);
}

static unseen_status create_buffers(us_tape *tape, unseen_error *error) {
    us_network *network = tape->network;
    const us_network_plan *plan = &network->plan;
    for (int i = 0; i < output_count(tape); i++) {
        size_t floats =
            tape->backward ? us_shape_size(network->stages[i].spec->out) : plan->outputs.floats[i];
        US_TRY(create_activations(tape, floats, "activations", &tape->y[i], error));
    }
    for (int s = 0; s < plan->count; s++)
        if (network->stages[s].saved_floats)
            US_TRY(us_buffer_create(network->device,
                                    network->stages[s].saved_floats * sizeof(float),
                                    "batch statistics", &tape->saved[s], error));
    for (int i = 0; tape->backward && i < plan->gradients.count; i++)
        US_TRY(create_activations(tape, plan->gradients.floats[i], "gradients of activations",
                                  &tape->gradients[i], error));
    return UNSEEN_OK;
}

unseen_status us_tape_create(us_network *network, bool backward, us_tape **out,
                             unseen_error *error) {
    *out = NULL;
    us_tape *tape = calloc(1, sizeof *tape);
    if (!tape) return us_fail_memory(error, "a tape");
    tape->network = network;
    tape->backward = backward;
    tape->y = calloc((size_t)network->plan.count + 1, sizeof *tape->y);
    tape->saved = calloc((size_t)network->plan.count + 1, sizeof *tape->saved);
    tape->gradients = calloc((size_t)network->plan.gradients.count + 1, sizeof *tape->gradients);
    unseen_status status = tape->y && tape->saved && tape->gradients
                               ? create_buffers(tape, error)
                               : us_fail_memory(error, "a tape");
    if (status == UNSEEN_OK && backward) status = us_network_create_sums(network, error);
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
    for (int i = 0; tape->y && i < output_count(tape); i++)
        us_buffer_destroy(tape->y[i]);
    for (int s = 0; tape->saved && s < tape->network->plan.count; s++)
        us_buffer_destroy(tape->saved[s]);
    for (int i = 0; tape->gradients && i < tape->network->plan.gradients.count; i++)
        us_buffer_destroy(tape->gradients[i]);
    free(tape->y);
    free(tape->saved);
    free(tape->gradients);
    free(tape);
}

us_buffer *us_tape_output(const us_tape *tape) {
    return tape->output;
}

/* What a stage of the plan put out; NULL for US_NO_LAYER. */
static us_buffer *output_of(const us_tape *tape, int stage) {
    if (stage < 0) return stage == US_NETWORK_INPUT ? tape->x : NULL;
    return tape->y[tape->backward ? stage : tape->network->plan.stages[stage].slot];
}

/* Says where a pass failed, if it did. */
static unseen_status finish_pass(const us_network *network, int layer, const char *pass,
                                 unseen_status status, unseen_error *error) {
    if (status == UNSEEN_OK) return status;
    const us_layer_spec *spec = &network->spec->layers[layer];
    us_error_context(error, "layer %s.%s (%s), %s", network->spec->name, spec->path,
                     spec->type->name, pass);
    return status;
}

/* What the stages of a pass forward have in common. */
typedef struct forward_pass {
    us_network *network;
    us_tape *tape;
    int n;
    us_training training;
    us_reuse reuse;
    us_parts moments; /* of the output of the stage before, if it has taken them */
} forward_pass;

/* A layer and the normalisation after it at once. */
static unseen_status run_folded(const forward_pass *pass, int normalization, us_target *target,
                                unseen_error *error) {
    us_network *network = pass->network;
    us_tape *tape = pass->tape;
    us_stage *after = &network->stages[normalization];
    int index = network->plan.stages[normalization].input;
    us_stage *stage = &network->stages[index];
    if (pass->reuse != US_REUSE_NOW) {
        us_layer_fold fold = {
            .tensors = after->tensors,
            .weight = stage->tensors[0],
            .bias = stage->spec->tensor_count > 1 ? stage->tensors[1] : NULL,
            .to_weight = stage->folded[0],
            .to_bias = stage->folded[1],
            .rows = (size_t)us_tensor_spec_size(&stage->spec->tensors[0]) /
                    (size_t)stage->spec->out.channels,
        };
        US_TRY(after->spec->type->fold(after->layer, &fold, error));
    }
    us_layer_forward args = {
        .x = output_of(tape, network->plan.stages[index].input),
        .y = output_of(tape, normalization),
        .tensors = stage->folded,
        .n = pass->n,
        .reuse = pass->reuse,
        .fusion = {.folded = true, .target = target},
    };
    return stage->spec->type->forward(stage->layer, &args, error);
}

static unseen_status run_stage(forward_pass *pass, int index, us_target *target,
                               unseen_error *error) {
    us_network *network = pass->network;
    us_tape *tape = pass->tape;
    const us_stage_plan *plan = &network->plan.stages[index];
    us_stage *stage = &network->stages[index];
    const bool of_batch = pass->training && pass->training != US_TRAINING_FIXED;
    us_layer_forward args = {
        .x = output_of(tape, plan->input),
        .shortcut = output_of(tape, plan->shortcut),
        .y = output_of(tape, index),
        .tensors = stage->tensors,
        .saved = tape->saved[index],
        .n = pass->n,
        .training = pass->training,
        .reuse = pass->reuse,
        .fusion = {.moments = of_batch && plan->fusion.is_normalized ? &pass->moments : NULL,
                   .target = target},
    };
    if (plan->input == index - 1) args.fusion.x_moments = pass->moments;
    pass->moments = (us_parts){0};
    return stage->spec->type->forward(stage->layer, &args, error);
}

unseen_status us_network_forward(us_network *network, us_tape *tape, us_buffer *x, int n,
                                 us_training training, unseen_error *error) {
    return us_network_compare(network, tape, x, n, training, NULL, error);
}

/* The first `stages` stages. */
static unseen_status run_stages(forward_pass *pass, int stages, us_target *target,
                                unseen_error *error) {
    us_network *network = pass->network;
    us_tape *tape = pass->tape;
    for (int s = 0; s < stages; s++) {
        us_stage *stage = &network->stages[s];
        bool folds = !pass->training && network->plan.stages[s].folds;
        us_target *compared = s == network->plan.count - 1 ? target : NULL;
        if (!pass->training && stage->folded[0]) continue; /* runs with the normalisation after */
        unseen_status status =
            folds ? run_folded(pass, s, compared, error) : run_stage(pass, s, compared, error);
        US_TRY(finish_pass(network, stage->index, "forward", status, error));
        tape->output = output_of(tape, s);
    }
    return UNSEEN_OK;
}

unseen_status us_network_compare(us_network *network, us_tape *tape, us_buffer *x, int n,
                                 us_training training, us_target *target, unseen_error *error) {
    us_reuse reuse = training ? US_REUSE_NONE : network->has_scored ? US_REUSE_NOW : US_REUSE_LATER;
    forward_pass pass = {network, tape, n, training, reuse, {0}};
    network->has_scored = false; /* until all has gone well */
    tape->x = tape->output = x;
    tape->training = training;
    US_TRY(run_stages(&pass, network->plan.count, target, error));
    network->has_scored = !training;
    return UNSEEN_OK;
}

unseen_status us_network_forward_to(us_network *network, us_tape *tape, us_buffer *x, int n,
                                    int layer, unseen_error *error) {
    us_reuse reuse = network->has_scored ? US_REUSE_NOW : US_REUSE_LATER;
    forward_pass pass = {network, tape, n, US_TRAINING_NONE, reuse, {0}};
    tape->x = tape->output = x;
    return run_stages(&pass, network->plan.holders[layer] + 1, NULL, error);
}

unseen_status us_network_check_layer(const us_network_spec *spec, int layer, bool logits,
                                     unseen_error *error) {
    us_network_plan plan;
    US_TRY(us_network_plan_make(spec, &(us_network_plan_options){.logits = logits}, &plan, error));
    const bool there = plan.holders[layer] != US_NO_LAYER;
    int next = layer;
    while (next < spec->count && plan.holders[next] == US_NO_LAYER)
        next++;
    us_network_plan_release(&plan);
    if (there) return UNSEEN_OK;
    if (next == spec->count)
        return us_fail(error, UNSEEN_BAD_INPUT, "the output of layer %s is not computed as such",
                       spec->layers[layer].path);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "layer %s, %s, is computed as one with what follows; the next output that is "
                   "there is that of layer %s, %s",
                   spec->layers[layer].path, spec->layers[layer].type->name,
                   spec->layers[next].path, spec->layers[next].type->name);
}

static us_buffer *gradient_in(const us_tape *tape, const us_network_backward_args *args, int slot) {
    switch (slot) {
    case US_SLOT_NONE:
        return NULL;
    case US_SLOT_DY:
        return args->dy;
    case US_SLOT_DX:
        return args->dx;
    default:
        return tape->gradients[slot];
    }
}

static unseen_status add_gradients(us_network *network, us_tape *tape, int index,
                                   const us_network_backward_args *args, unseen_error *error) {
    const us_gradient_step *step = &network->plan.steps[index];
    if (step->stage == US_NETWORK_INPUT && !args->dx) return UNSEEN_OK;
    us_gradient_sum_args sum = {
        .base = gradient_in(tape, args, step->base),
        .x = output_of(tape, step->stage),
        .gradient = gradient_in(tape, args, step->from),
        .sum = gradient_in(tape, args, step->to),
    };
    return us_gradient_sum_run(network->sums[index], &sum, error);
}

/* *sums are those of the gradient that the step before has given, if it has taken them, and then of
 * this one's. */
static unseen_status run_backward(us_network *network, us_tape *tape, int index, us_parts *sums,
                                  const us_network_backward_args *args, unseen_error *error) {
    const us_gradient_step *step = &network->plan.steps[index];
    us_stage *stage = &network->stages[step->stage];
    int input = network->plan.stages[step->stage].input;
    bool wanted = input != US_NETWORK_INPUT || args->dx;
    us_layer_backward layer = {
        .x = output_of(tape, input),
        .y = output_of(tape, step->stage),
        .dy = gradient_in(tape, args, step->from),
        .dx = wanted ? gradient_in(tape, args, step->to) : NULL,
        .tensors = stage->tensors,
        .gradients = args->parameters ? stage->gradients : NULL,
        .saved = tape->saved[step->stage],
        .n = args->n,
        .training = tape->training,
        .accumulate = args->accumulate,
        .fusion.dy_sums = *sums,
    };
    *sums = (us_parts){0};
    if (step->feeds_normalization) {
        layer.fusion.normalized = output_of(tape, network->plan.stages[input].input);
        layer.fusion.statistics = tape->saved[input];
        layer.fusion.dx_sums = sums;
    }
    if (!layer.dx && !layer.gradients) return UNSEEN_OK;
    return stage->spec->type->backward(stage->layer, &layer, error);
}

unseen_status us_network_backward(us_network *network, us_tape *tape,
                                  const us_network_backward_args *args, unseen_error *error) {
    if (network->plan.count == 0 && args->dx) /* views alone */
        return us_buffer_copy(
            args->dx, 0, args->dy, 0,
            us_shape_size(network->spec->in) * (size_t)network->batch * sizeof(float), error);
    us_parts sums = {0};
    for (int i = 0; i < network->plan.step_count; i++) {
        const us_gradient_step *step = &network->plan.steps[i];
        unseen_status status = step->is_sum ? add_gradients(network, tape, i, args, error)
                                            : run_backward(network, tape, i, &sums, args, error);
        US_TRY(finish_pass(network, step->layer, "backward", status, error));
    }
    return UNSEEN_OK;
}
