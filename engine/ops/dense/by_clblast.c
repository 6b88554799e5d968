/* SPDX-License-Identifier: MIT */
/* Dense products by CLBlast, which cuts them by itself, and so has no parameters here. Kernels of
 * cl_kernels/dense.cl do what it does not: bias, activations, and the bias's gradient. */
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/clblast.h"
#include "ops/dense/kernels.h"

/* On GPUs CLBlast stages both operands in local memory, which our kernel for them does not. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_WORK = 1 << 22 }; /* multiply-adds for which CLBlast's several launches pay */
    const us_product_size size = us_product_sizes(device, problem);
    (void)parameters;
    return us_clblast_available() && !device->is_cpu &&
           (int64_t)size.rows * size.terms * size.width >= LEAST_WORK;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    (void)device, (void)problem, (void)parameters;
    return us_clblast_available();
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    (void)device, (void)problem, (void)parameters;
    return index == 0;
}

typedef struct state {
    us_device *device;
    us_product_form form;
    us_clblast_product product;
    us_kernel *combine; /* finishes the sums; NULL: there is nothing to do */
    us_kernel *bias_gradient;
    size_t combine_groups[3], bias_groups;
} state;

/* Whether anything follows the sums. */
static bool needs_combine(const us_product_problem *problem) {
    if (problem->form == US_PRODUCT_INPUT)
        return problem->input_activation.kind != US_ACTIVATION_NONE;
    return problem->form == US_PRODUCT_FORWARD &&
           (problem->bias || problem->activation.kind != US_ACTIVATION_NONE);
}

static unseen_status create(const us_build *build, const us_product_problem *problem,
                            const void *parameters, void **out, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_product_size size = us_product_sizes(device, problem);
    const bool weight = problem->form == US_PRODUCT_WEIGHT;
    (void)parameters;
    *out = NULL;
    US_TRY(us_clblast_check(error));
    state *made = calloc(1, sizeof *made);
    *out = made;
    if (!made) return us_fail_memory(error, "a dense layer");
    made->device = build->device;
    made->form = problem->form;
    /* It takes all lanes: dy is zero in those that hold no image. */
    made->product = (us_clblast_product){.m = (size_t)size.rows,
                                         .n = (size_t)(weight ? problem->out : problem->batch),
                                         .k = (size_t)(weight ? problem->batch : size.terms),
                                         .a_transposed = problem->form == US_PRODUCT_FORWARD,
                                         .b_transposed = weight};
    const us_product_cut cut = {1, 1, size.terms, 1, 1, 1, 1};
    us_product_combine_groups(device, problem, &cut, made->combine_groups);
    made->bias_groups = (size_t)us_divide_up(problem->out, US_PRODUCT_BIAS_ROWS);
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

static unseen_status run(void *pointer, const us_product_args *args, unseen_error *error) {
    const state *s = pointer;
    const bool forward = s->form == US_PRODUCT_FORWARD;
    if (s->form == US_PRODUCT_WEIGHT) {
        if (s->bias_gradient)
            US_TRY(us_kernel_run(s->bias_gradient, (size_t[]){s->bias_groups, 1, 1}, error, "bbi",
                                 args->out, args->bias, args->accumulate));
        return us_clblast_multiply(s->device, &s->product, args->in, args->out, args->weight,
                                   args->accumulate, error);
    }
    us_buffer *from = forward ? args->in : args->out, *to = forward ? args->out : args->in;
    US_TRY(us_clblast_multiply(s->device, &s->product, args->weight, from, to, false, error));
    if (!s->combine) return UNSEEN_OK;
    return us_kernel_run(s->combine, s->combine_groups, error, "bbb", to,
                         forward ? args->bias : args->x, to);
}

static const us_product_implementation implementation = {
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
