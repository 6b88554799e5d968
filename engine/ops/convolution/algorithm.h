/* SPDX-License-Identifier: MIT */
/* An algorithm for convolutions, of which dense layers are a kind: a row of table.c. A new one is a
 * constant of this kind in a .c file of its own, its kernel file in cl_kernels/, a line in table.c,
 * and its cases in tests/device/test_convolution_tiles.c or test_dense_tiles.c. */
#ifndef US_OPS_CONVOLUTION_ALGORITHM_H
#define US_OPS_CONVOLUTION_ALGORITHM_H

#include "ops/convolution/problem.h"

/* DOWN and UP read one side and write the other; WEIGHTS reads both and writes weights and bias. */
typedef struct us_convolution_args {
    us_buffer *large, *small, *weights;
    us_buffer *bias;  /* used only with problem.bias */
    us_buffer *input; /* read only with problem.input_activation */
    int n;            /* images in the batch */
    bool accumulate;  /* WEIGHTS: gradients are added to what is there */
    us_buffer *parts; /* WEIGHTS: room for what the algorithm leaves in parts; NULL: they are whole
                         when it is done */
    us_reuse reuse;   /* of packed weights */

    /* What an algorithm may compute besides, and says so by setting it. NULL: not wanted.
     * moments, with problem.moments: of each channel of the output, before the activation, over n
     * images: count, mean and sum of squared deviations; valid until the next run. Or, instead,
     * sums: as in us_backward_fusion, with the output for dx and `input` for x.
     * target, with problem.compared: its errors are set where the output was compared. */
    us_parts *moments, *sums;
    us_buffer *normalized, *statistics; /* for sums */
    us_target *target;
} us_convolution_args;

/* The buffers that DOWN and UP read and write. */
static inline us_buffer *us_convolution_x(const us_convolution_problem *problem,
                                          const us_convolution_args *args) {
    return problem->pass == US_CONVOLUTION_UP ? args->small : args->large;
}
static inline us_buffer *us_convolution_y(const us_convolution_problem *problem,
                                          const us_convolution_args *args) {
    return problem->pass == US_CONVOLUTION_UP ? args->large : args->small;
}

/* What us_algorithm.implementation points to. `parameters` is the algorithm's own struct, `state`
 * what create made; on failure *state is NULL or must be destroyed all the same. */
typedef struct us_convolution_implementation {
    unseen_status (*create)(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **state, unseen_error *error);
    void (*destroy)(void *state); /* NULL is fine */

    /* The weights as run reads them: how many bytes (0: as they are), and the launch that writes
     * them. NULL: always as they are. */
    size_t (*packed_bytes)(const void *state);
    unseen_status (*pack)(void *state, us_buffer *weights, us_buffer *packed, unseen_error *error);

    /* WEIGHTS: the floats of the gradients that run leaves in parts where it has room for them, and
     * how those of the weights and of the bias lie there. NULL: it never does. */
    size_t (*parts)(const void *state, us_split_gradient split[2]);

    /* Enqueues. weights: packed, where they are. May use the device's scratch. */
    unseen_status (*run)(void *state, us_buffer *weights, const us_convolution_args *args,
                         unseen_error *error);
} us_convolution_implementation;

#endif
