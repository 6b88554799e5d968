/* SPDX-License-Identifier: MIT */
/* What the algorithms that follow the definition share: cl_kernels/convolution.cl computes each
 * output pixel from the pixels that its taps reach, in one of several ways. */
#ifndef US_OPS_CONVOLUTION_GATHER_H
#define US_OPS_CONVOLUTION_GATHER_H

#include "ops/convolution/algorithm.h"

/* Most sums of an item, and most of what makes them, that a tuner tries. */
enum {
    US_GATHER_MOST_SUMS = 48,
    US_GATHER_MOST_CHANNELS = 32,
    US_GATHER_MOST_VECTORS = 8,
    US_GATHER_MOST_RUN = 16
};

/* How the kernel cuts the work; its build options. */
typedef struct us_gather_cut {
    int channels, vectors; /* output channels, and vectors of the batch, of an item's sums */
    int run;               /* pieces of work of an item, one after the other */
    int staged;            /* input channels copied side by side at a time; 0: not copied */
    int row_groups;        /* all phases of a row at once, of so many groups; 0: pixel by pixel */
    size_t groups;         /* work-groups */
    int error_parts;       /* of a comparison; 0: it makes none */
} us_gather_cut;

/* Whether a block of sums is possible. */
bool us_gather_valid_sums(const us_device_facts *device, const us_convolution_problem *problem,
                          int channels, int vectors);

/* The choices of channels and vectors. */
int us_gather_channels_choices(const us_convolution_problem *problem, int *choices);
int us_gather_vectors_choices(const us_device_facts *device, const us_convolution_problem *problem,
                              int *choices);

/* As of us_convolution_implementation. */
unseen_status us_gather_create(const us_build *build, const us_convolution_problem *problem,
                               const us_gather_cut *cut, void **state, unseen_error *error);
void us_gather_destroy(void *state);
size_t us_gather_packed_bytes(const void *state);
unseen_status us_gather_pack(void *state, us_buffer *weights, us_buffer *packed,
                             unseen_error *error);
unseen_status us_gather_run(void *state, us_buffer *weights, const us_convolution_args *args,
                            unseen_error *error);

/* ---- direct.c ---- */

/* Output channels and vectors of an item where nothing was tuned. */
void us_direct_default_sums(const us_device_facts *device, const us_convolution_problem *problem,
                            int *channels, int *vectors);

#endif
