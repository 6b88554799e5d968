/* SPDX-License-Identifier: MIT */
/* The Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415), by erf itself. Its slope
 * is no function of its value, so that no layer before it can compute it: it has kernels of its own
 * and reads what it was given again on the way back. */
#include <stdlib.h>

#include "ops/activation.h"
#include "ops/elementwise.h"

typedef struct gelu {
    us_kernel *forward, *backward;
    size_t groups;
} gelu;

static void destroy(void *pointer) {
    gelu *layer = pointer;
    if (!layer) return;
    us_kernel_destroy(layer->forward);
    us_kernel_destroy(layer->backward);
    free(layer);
}

static unseen_status create(const us_layer_plan *plan, void **out, unseen_error *error) {
    *out = NULL;
    const us_build ahead = us_layer_build(plan, US_PASS_FORWARD);
    const us_build back = us_layer_build(plan, US_PASS_BACKWARD);
    us_elementwise cut;
    US_TRY(us_elementwise_plan(&plan->device->facts, plan->in, plan->batch, &cut, error));
    gelu *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "an activation layer");
    layer->groups = cut.groups;
    char options[US_ACTIVATION_OPTIONS];
    us_activation_options(options, (us_activation){US_ACTIVATION_NONE, 0}, plan->input_activation);
    unseen_status status =
        us_kernel_create(&ahead, "gelu", "gelu_forward", &layer->forward, error,
                         "-DCOUNT=%zu -DVECTORS=%d %s", cut.count, cut.vectors, options);
    if (status == UNSEEN_OK)
        status = us_kernel_create(&back, "gelu", "gelu_backward", &layer->backward, error,
                                  "-DCOUNT=%zu -DVECTORS=%d %s", cut.count, cut.vectors, options);
    if (status == UNSEEN_OK)
        *out = layer;
    else
        destroy(layer);
    return status;
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    gelu *layer = pointer;
    return us_kernel_run(layer->forward, (size_t[]){layer->groups, 1, 1}, error, "bb", args->x,
                         args->y);
}

static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    gelu *layer = pointer;
    if (!args->dx) return UNSEEN_OK;
    return us_kernel_run(layer->backward, (size_t[]){layer->groups, 1, 1}, error, "bbb", args->x,
                         args->dy, args->dx);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    (void)attributes;
    (void)error;
    *out = in;
    return UNSEEN_OK;
}

static const us_key keys[] = {{.kind = US_KEY_END}};

const us_layer_type us_gelu_layer = {
    .name = "gelu",
    .help = "x times the share of a standard normal distribution below x, as PyTorch's GELU.",
    .keys = keys,
    .infer = infer,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};
