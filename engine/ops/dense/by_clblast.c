/* SPDX-License-Identifier: MIT */
/* Dense products by CLBlast, which cuts them by itself, and so has no parameters here. Kernels of
 * cl_kernels/dense.cl do what it does not: bias, activations, and the bias's gradient. */
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/clblast.h"
#include "ops/dense/kernels.h"

/* It is tuned for few devices, takes up to four launches and the host's time for each. On an NVIDIA
 * H200, which it does not know, the products of configs/simple.json reached an eighth of the
 * device's arithmetic. So it is used only where a tuner finds it faster. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    (void)device, (void)problem, (void)parameters;
    return false;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    (void)device, (void)parameters;
    return us_clblast_available() && us_convolution_is_product(problem);
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    (void)device, (void)parameters;
    return index == 0 && us_convolution_is_product(problem);
}

typedef struct state {
    us_device *device;
    us_convolution_pass pass;
    us_label label; /* for profiles */
    us_clblast_product product;
    us_kernel *combine; /* finishes the sums; NULL: there is nothing to do */
    us_kernel *bias_gradient;
    size_t combine_groups[3], bias_groups;
} state;

/* Whether anything follows the sums. */
static bool needs_combine(const us_convolution_problem *problem) {
    if (problem->pass == US_CONVOLUTION_UP)
        return problem->input_activation.kind != US_ACTIVATION_NONE;
    return problem->pass == US_CONVOLUTION_DOWN &&
           (problem->bias || problem->activation.kind != US_ACTIVATION_NONE);
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **out, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_product_size size = us_product_sizes(device, problem);
    const bool weight = problem->pass == US_CONVOLUTION_WEIGHTS;
    (void)parameters;
    *out = NULL;
    US_TRY(us_clblast_check(error));
    state *made = calloc(1, sizeof *made);
    *out = made;
    if (!made) return us_fail_memory(error, "a dense layer");
    made->device = build->device;
    made->pass = problem->pass;
    made->label = build->label;
    /* It takes all lanes: dy is zero in those that hold no image. */
    made->product =
        (us_clblast_product){.m = (size_t)size.rows,
                             .n = (size_t)(weight ? problem->small.channels : problem->batch),
                             .k = (size_t)(weight ? problem->batch : size.terms),
                             .a_transposed = problem->pass == US_CONVOLUTION_DOWN,
                             .b_transposed = weight};
    const us_product_cut cut = {1, 1, size.terms, 1, 1, 1, 1};
    us_product_combine_groups(device, problem, &cut, made->combine_groups);
    made->bias_groups = (size_t)us_divide_up(problem->small.channels, US_PRODUCT_BIAS_ROWS);
    if (weight && problem->bias)
        return us_product_build(build, problem, &cut, false, "dense_bias_gradient",
                                &made->bias_gradient, error);
    if (!needs_combine(problem)) return UNSEEN_OK;
    return us_product_build(build, problem, &cut, false, "dense_combine", &made->combine, error);
}

static void destroy(void *pointer) {
    state *s = pointer;
    if (!s) return;
    us_kernel_destroy(s->combine);
    us_kernel_destroy(s->bias_gradient);
    free(s);
}

static unseen_status run(void *pointer, us_buffer *weights, const us_convolution_args *args,
                         unseen_error *error) {
    const state *s = pointer;
    if (s->pass == US_CONVOLUTION_WEIGHTS) {
        if (s->bias_gradient)
            US_TRY(us_kernel_run(s->bias_gradient, (size_t[]){s->bias_groups, 1, 1}, error, "bbi",
                                 args->small, args->bias, args->accumulate));
        return us_clblast_multiply(s->device, &s->product, s->label, args->large, args->small,
                                   weights, args->accumulate, error);
    }
    const bool forward = s->pass == US_CONVOLUTION_DOWN;
    us_buffer *from = forward ? args->large : args->small,
              *to = forward ? args->small : args->large;
    US_TRY(us_clblast_multiply(s->device, &s->product, s->label, weights, from, to, false, error));
    if (!s->combine) return UNSEEN_OK;
    return us_kernel_run(s->combine, s->combine_groups, error, "bbb", to,
                         forward ? args->bias : args->input, to);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = destroy,
    .run = run,
};

const us_algorithm us_product_clblast = {
    .name = "clblast",
    .sources = {"dense"},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .implementation = &implementation,
};
