/* SPDX-License-Identifier: MIT */
/* What the algorithms for weight gradients share: sums that are cut into splits and added up
 * afterwards, and the bias's gradient where the kernel for the weights does not take it along. */
#ifndef US_OPS_CONVOLUTION_WEIGHT_GRADIENT_H
#define US_OPS_CONVOLUTION_WEIGHT_GRADIENT_H

#include "ops/convolution/algorithm.h"

enum {
    US_GRADIENT_MOST_SPLITS = 4096,
    US_GRADIENT_FEW_WEIGHTS = 48 * 64 * 16 /* for which each may be summed straight from memory */
};

typedef struct us_weight_gradient us_weight_gradient;

struct us_weight_gradient {
    us_convolution_problem problem;
    us_kernel *kernel;  /* of the weights */
    size_t groups;      /* its work-groups, of all splits or of each, as `launch` has it */
    size_t items;       /* of a group, where it is the kernel's own number */
    int splits;         /* parts of the sums; 1: they are whole */
    bool takes_bias;    /* the kernel computes the bias's gradient, too */
    size_t bias_groups; /* or its launch has so many more work-groups that do: us_bias_options */

    /* Launches the kernel. With several splits `to` gets partial sums one after the other for each,
     * of the weights and then of the bias where it is taken. With a single one the gradients go to
     * `to` and `bias` (NULL: not wanted). With `accumulate` they are added to what is there. With
     * bias_groups the bias's partial sums go to `bias` from bias_first on, and are added to what is
     * there where us_bias_accumulates. */
    unseen_status (*launch)(const us_weight_gradient *gradient, const us_convolution_args *args,
                            us_buffer *to, us_buffer *bias, bool accumulate, unseen_error *error);

    /* ---- of us_weight_gradient_prepare ---- */
    us_kernel *bias, *sum; /* NULL where not needed */
    int bias_splits;
    size_t bias_first; /* float of the partial sums */
};

/* The options of bias_sum.cl for a kernel whose launch the bias joins, and the work-groups that are
 * to be added to those of the weights, of `items` items (0: of the device's group size); "" and 0
 * where there is none. */
enum { US_BIAS_OPTIONS = 128 };
size_t us_bias_options(const us_device_facts *device, const us_convolution_problem *problem,
                       size_t items, char options[US_BIAS_OPTIONS]);

static inline bool us_bias_accumulates(const us_convolution_args *args) {
    return args->parts && args->accumulate;
}

/* Work-groups that keep every compute unit busy until the end. */
int us_weight_gradient_wanted_groups(const us_device_facts *device);

/* Whether partial sums of so many splits fit into memory. */
bool us_weight_gradient_valid_splits(const us_device_facts *device,
                                     const us_convolution_problem *problem, int splits);

/* Makes what is needed beside the kernel, which is there. */
unseen_status us_weight_gradient_prepare(const us_build *build, us_weight_gradient *gradient,
                                         unseen_error *error);

/* As of us_convolution_implementation. */
void us_weight_gradient_destroy(void *state);
size_t us_weight_gradient_parts(const void *state, us_split_gradient split[2]);
unseen_status us_weight_gradient_run(void *state, us_buffer *weights,
                                     const us_convolution_args *args, unseen_error *error);

#endif
