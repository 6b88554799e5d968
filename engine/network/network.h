/* SPDX-License-Identifier: MIT */
/* A network on a device: parameters, gradients and statistics in flat buffers, and the passes.
 *
 * A network is created for one batch size. Its activations lie in tapes, so that it can run several
 * times within a step (on real images, on reconstructions) and remember each pass or only the last.
 */
#ifndef US_NETWORK_NETWORK_H
#define US_NETWORK_NETWORK_H

#include "network/safetensors.h"
#include "network/spec.h"

typedef struct us_network us_network;
typedef struct us_tape us_tape;

/* Buffers that several networks share, so that one launch can update them: a network's views of
 * parameters and gradients, us_network_spec_floats floats, from number `first` on. They outlive it.
 * Their owner allocates the parts (NULL on CPUs and for scoring) once all networks are there. */
typedef struct us_network_share {
    us_buffer *parameters, *gradients;
    us_gradient_parts *parts;
    size_t first;
} us_network_share;

typedef struct us_network_options {
    int batch; /* images; padded inside */
    us_activation
        input_activation; /* that produced the network's input, when dx flows back to it */
    bool logits;   /* leave out a final sigmoid: the output is the logit, for a loss on logits */
    bool compared; /* the output will mostly be compared with images, see us_network_compare */
    bool training; /* passes backward will follow */
    us_precision precision;
    us_group *group;               /* see us_layer_plan */
    const us_network_share *share; /* where parameters and gradients lie; NULL: in its own */
    /* NULL, or a network of the same spec that outlives it: both have its running statistics. */
    const us_network *same;
} us_network_options;

size_t us_network_spec_floats(const us_device_facts *device, const us_network_spec *spec);

/* spec outlives the network. Parameters are zero until initialised or read. */
unseen_status us_network_create(us_device *device, const us_network_spec *spec,
                                const us_network_options *options, us_network **network,
                                unseen_error *error);
void us_network_destroy(us_network *network);

/* The activation folded into the output: dy for us_network_backward is with respect to the value
 * before it. */
us_activation us_network_output_activation(const us_network *network);

/* ---- parameters ---- */

/* Flat device buffers of us_network_floats floats: what an optimizer updates in one launch. Both
 * are NULL for a network without parameters. Ask for the parameters anew whenever they are to
 * change: forward passes of scoring keep what they compute from the parameters alone. */
us_buffer *us_network_parameters(us_network *network);
us_buffer *us_network_gradients(const us_network *network);

/* On GPUs passes backward leave some gradients in parts: what an optimizer reads besides, and what
 * puts them into us_network_gradients for others. */
us_gradient_table us_network_gradient_parts(const us_network *network);
unseen_status us_network_sum_gradients(us_network *network, unseen_error *error);
size_t us_network_floats(const us_network *network);

/* Where the values of a parameter tensor lie in the flat buffers, in floats. Between tensors there
 * is room, as much as the device's alignment asks for. */
typedef struct us_tensor_place {
    size_t first, count;
} us_tensor_place;

/* The tensors in their order: *places, to be freed; returns how many, negative without memory. */
int us_network_places(const us_network *network, us_tensor_place **places);

/* PyTorch's default initialisation; element i of a tensor depends on (seed, its full name, i)
 * alone: bound * (2 u - 1), u = us_random_uniform(seed, INITIALIZATION, FNV-1a of the name, i), i
 * counted in PyTorch's order. */
unseen_status us_network_initialize(us_network *network, uint64_t seed, unseen_error *error);

/* Adds every tensor, statistics included, with PyTorch's name and layout, to a file; reads every
 * one from it (missing or of another shape: UNSEEN_BAD_INPUT). */
unseen_status us_network_save(const us_network *network, us_safetensors_builder *builder,
                              unseen_error *error);
unseen_status us_network_load(us_network *network, const us_safetensors *file, unseen_error *error);

/* The same for a flat buffer with one value per parameter (gradients, an optimizer's moments),
 * under "PREFIX.NAME". */
unseen_status us_network_save_like(const us_network *network, us_buffer *flat, const char *prefix,
                                   us_safetensors_builder *builder, unseen_error *error);
unseen_status us_network_load_like(const us_network *network, us_buffer *flat, const char *prefix,
                                   const us_safetensors *file, unseen_error *error);

/* ---- passes ---- */

/* backward: keeps what us_network_backward needs; otherwise activations share a few reused buffers.
 */
unseen_status us_tape_create(us_network *network, bool backward, us_tape **tape,
                             unseen_error *error);
void us_tape_destroy(us_tape *tape);

/* x [C][H][W][batch] stays in use until backward. */
unseen_status us_network_forward(us_network *network, us_tape *tape, us_buffer *x, int n,
                                 us_training training, unseen_error *error);

/* Scores as far as a layer, whose output then is the tape's: one that is there by itself, see
 * us_network_check_layer. The rest of the network may be run by another pass alone. */
unseen_status us_network_forward_to(us_network *network, us_tape *tape, us_buffer *x, int n,
                                    int layer, unseen_error *error);

/* Whether a pass of scoring gives the layer's output: not where it is computed as one with what
 * follows. logits as in the options. UNSEEN_BAD_INPUT tells which layers do. */
unseen_status us_network_check_layer(const us_network_spec *spec, int layer, bool logits,
                                     unseen_error *error);

/* As us_network_forward, and the output is compared with the target where the last layer does so,
 * which sets target->errors; else the output is there, and the caller does it. */
unseen_status us_network_compare(us_network *network, us_tape *tape, us_buffer *x, int n,
                                 us_training training, us_target *target, unseen_error *error);

/* The output of the last forward pass, [C][H][W][batch], unless it was compared. */
us_buffer *us_tape_output(const us_tape *tape);

typedef struct us_network_backward_args {
    us_buffer *dy; /* before the output's activation; not changed */
    us_buffer *dx; /* may be NULL */
    int n;
    bool parameters; /* compute the gradients of parameters */
    bool accumulate; /* and add them to what is there */
} us_network_backward_args;
unseen_status us_network_backward(us_network *network, us_tape *tape,
                                  const us_network_backward_args *args, unseen_error *error);

#endif
