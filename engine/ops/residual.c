/* SPDX-License-Identifier: MIT */
/* The residual layer: the sum of two branches, y = activation(x + shortcut). Its gradient goes to
 * both as it is, so there is nothing to run backward but sums where gradients meet (residual.h). */
#include "ops/residual.h"

#include <stdlib.h>

#include "ops/activation.h"
#include "ops/elementwise.h"

struct us_gradient_sum {
    us_kernel *kernel;
    size_t groups;
};

typedef us_gradient_sum us_residual; /* the layer is a kernel and its groups as well */

static void destroy(void *pointer) {
    us_gradient_sum_destroy(pointer);
}

static unseen_status create_kernel(const us_build *build, const char *name, us_shape shape,
                                   int batch, us_activation own, us_activation input,
                                   us_gradient_sum **out, unseen_error *error) {
    *out = NULL;
    us_elementwise plan;
    US_TRY(us_elementwise_plan(&build->device->facts, shape, batch, &plan, error));
    us_gradient_sum *sum = calloc(1, sizeof *sum);
    if (!sum) return us_fail_memory(error, "a residual layer");
    sum->groups = plan.groups;
    char options[US_ACTIVATION_OPTIONS];
    us_activation_options(options, own, input);
    unseen_status status =
        us_kernel_create(build, "residual", name, &sum->kernel, error,
                         "-DCOUNT=%zu -DVECTORS=%d %s", plan.count, plan.vectors, options);
    if (status == UNSEEN_OK)
        *out = sum;
    else
        us_gradient_sum_destroy(sum);
    return status;
}

/* ---- the layer ---- */

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    (void)attributes;
    (void)error;
    *out = in;
    return UNSEEN_OK;
}

static unseen_status create(const us_layer_plan *plan, void **layer, unseen_error *error) {
    us_residual *residual;
    const us_build build = us_layer_build(plan, US_PASS_FORWARD);
    unseen_status status =
        create_kernel(&build, "residual_forward", plan->out, plan->batch, plan->activation,
                      (us_activation){.kind = US_ACTIVATION_NONE}, &residual, error);
    *layer = residual;
    return status;
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    us_residual *residual = pointer;
    return us_kernel_run(residual->kernel, (size_t[]){residual->groups, 1, 1}, error, "bbb",
                         args->x, args->shortcut, args->y);
}

static const us_key keys[] = {
    {.name = "layers",
     .kind = US_KEY_ARRAY,
     .required = true,
     .help = "The layers of the branch that the layer's input runs through."},
    {.name = "shortcut",
     .kind = US_KEY_ARRAY,
     .help = "The layers of the branch that is added; without them the layer's input itself, whose "
             "shape must then be that of the other branch."},
    {.kind = US_KEY_END},
};

const us_layer_type us_residual_layer = {
    .name = "residual",
    .help = "The sum of two branches: what its layers make of the input, and the input or what its "
            "shortcut makes of it.",
    .keys = keys,
    .infer = infer,
    .folds_activation = true,
    .has_branches = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
};

/* ---- sums of gradients ---- */

unseen_status us_gradient_sum_create(const us_build *build, us_shape shape, int batch,
                                     us_activation activation, us_gradient_sum **sum,
                                     unseen_error *error) {
    return create_kernel(build, "residual_gradient_sum", shape, batch,
                         (us_activation){.kind = US_ACTIVATION_NONE}, activation, sum, error);
}

void us_gradient_sum_destroy(us_gradient_sum *sum) {
    if (!sum) return;
    us_kernel_destroy(sum->kernel);
    free(sum);
}

unseen_status us_gradient_sum_run(us_gradient_sum *sum, const us_gradient_sum_args *args,
                                  unseen_error *error) {
    return us_kernel_run(sum->kernel, (size_t[]){sum->groups, 1, 1}, error, "bbbb", args->base,
                         args->x, args->gradient, args->sum);
}
