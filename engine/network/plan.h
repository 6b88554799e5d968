/* SPDX-License-Identifier: MIT */
/* How a network runs, worked out without any device: which layers become stages, which stages read
 * which, and in which slots of memory outputs and gradients lie for as long as they are needed. */
#ifndef US_NETWORK_PLAN_H
#define US_NETWORK_PLAN_H

#include "network/spec.h"

/* A layer that runs: views and folded activations are gone. */
typedef struct us_stage_plan {
    int layer;           /* in the spec */
    int input, shortcut; /* stages whose outputs it reads, or US_NETWORK_INPUT; shortcut is
                            US_NO_LAYER but for layers with branches */
    us_activation activation, input_activation;
    us_fusion fusion;
    bool folds; /* it is that normalisation, and its input's layer can be it too when scoring */
    int slot;   /* of its output, where a pass forward keeps nothing for one backward */
} us_stage_plan;

/* In place of a gradient's slot. */
enum {
    US_SLOT_NONE = -1,
    US_SLOT_DY = -2, /* the caller's gradient of the network's output; never written to */
    US_SLOT_DX = -3, /* the caller's gradient of its input, where it wants one */
};

/* The pass backward is a list of steps. Either a stage runs backward, or gradients are added: those
 * of an output (or of the network's input) that several stages read, and those that come through a
 * residual layer as they are, still without the derivative of the activation of what it added. */
typedef struct us_gradient_step {
    bool is_sum;
    int stage;       /* that runs; sums: whose output's gradient it is, or US_NETWORK_INPUT */
    int from, to;    /* slots: of dy and dx; sums: to = base + derivative x from */
    int base;        /* sums: US_SLOT_NONE for zero */
    bool derivative; /* sums: of the stage's activation, else 1 */
    bool feeds_normalization; /* else: dx is all that a normalisation gets, which comes next */
    int layer;                /* in the spec, which the step counts as a part of */
} us_gradient_step;

/* Slots of memory: the floats of an image that each must hold. A slot that becomes free is held
 * back until another one becomes free, so that the next write need not wait for kernels that still
 * read it. */
typedef struct us_slots {
    size_t *floats;
    int *users; /* while planning; the slot held back counts one */
    int count;
    int resting; /* the number of the slot held back, from 1; 0: none */
} us_slots;

typedef struct us_network_plan {
    us_stage_plan
        *stages; /* in the order of computation; the last one gives the network's output */
    int count;
    int *holders; /* of each layer, the stage whose output is the layer's when scoring; US_NO_LAYER
                     where it is computed as one with what follows, US_NETWORK_INPUT for views of
                     the input */
    us_activation output_activation;
    us_slots outputs, gradients;
    us_gradient_step *steps;
    int step_count;
} us_network_plan;

typedef struct us_network_plan_options {
    us_activation input_activation; /* that produced the network's input */
    bool logits;                    /* a final sigmoid is left out */
    bool compared;                  /* the output will mostly be compared with images */
} us_network_plan_options;

unseen_status us_network_plan_make(const us_network_spec *spec,
                                   const us_network_plan_options *options, us_network_plan *plan,
                                   unseen_error *error);
void us_network_plan_release(us_network_plan *plan);

/* The shape of a stage's output; US_NETWORK_INPUT: of the network's input. */
us_shape us_stage_shape(const us_network_spec *spec, const us_network_plan *plan, int stage);

#endif
