/* SPDX-License-Identifier: MIT */
/* Dense layers: y[o] = a(sum over i of weight[i][o] x[i] + bias[o]); each pass is a product. */
#include <math.h>
#include <stdlib.h>

#include "ops/attributes.h"
#include "ops/dense/product.h"
#include "tuning/tuning.h"

typedef struct dense_layer {
    bool has_bias, bias_learns;             /* not where a normalisation follows */
    us_product *products[US_PRODUCT_FORMS]; /* by form */
} dense_layer;

static us_product_problem product_problem(const us_layer_plan *plan, us_product_form form) {
    const bool bias = ((const us_dense_attributes *)plan->attributes)->bias;
    us_product_problem problem = {
        .form = form, .in = plan->in.channels, .out = plan->out.channels, .batch = plan->batch};
    if (form == US_PRODUCT_FORWARD) {
        problem.bias = bias;
        problem.activation = plan->activation;
        problem.compared = plan->fusion.compared;
    } else if (form == US_PRODUCT_INPUT) {
        problem.input_activation = plan->input_activation;
    } else {
        problem.bias = bias && !plan->fusion.is_normalized;
    }
    return problem;
}

static void destroy(void *pointer) {
    dense_layer *layer = pointer;
    if (!layer) return;
    for (int form = 0; form < US_PRODUCT_FORMS; form++)
        us_product_destroy(layer->products[form]);
    free(layer);
}

unseen_status us_dense_create(const us_layer_plan *plan, const us_choice *choices, void **out,
                              unseen_error *error) {
    *out = NULL;
    dense_layer *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "a dense layer");
    layer->has_bias = ((const us_dense_attributes *)plan->attributes)->bias;
    layer->bias_learns = layer->has_bias && !plan->fusion.is_normalized;
    static const us_pass passes[US_PRODUCT_FORMS] = {US_PASS_FORWARD, US_PASS_INPUT_GRADIENT,
                                                     US_PASS_WEIGHT_GRADIENT};
    for (int form = 0; form < US_PRODUCT_FORMS; form++) {
        const us_product_problem problem = product_problem(plan, form);
        const us_build build = us_layer_build(plan, passes[form]);
        unseen_status status =
            us_product_create(&build, &problem, &choices[form], &layer->products[form], error);
        if (status == UNSEEN_OK) continue;
        destroy(layer);
        return status;
    }
    *out = layer;
    return UNSEEN_OK;
}

static unseen_status create(const us_layer_plan *plan, void **out, unseen_error *error) {
    us_choice choices[US_PRODUCT_FORMS];
    *out = NULL;
    for (int form = 0; form < US_PRODUCT_FORMS; form++) {
        const us_product_problem problem = product_problem(plan, form);
        US_TRY(us_tuning_choose(plan->device->tuning, &plan->device->facts, &us_product_tunable,
                                &problem, &choices[form], error));
    }
    return us_dense_create(plan, choices, out, error);
}

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    const dense_layer *layer = pointer;
    const us_product_args product = {.in = args->x,
                                     .out = args->y,
                                     .weight = args->tensors[0],
                                     .bias = layer->has_bias ? args->tensors[1] : NULL,
                                     .n = args->n,
                                     .target = args->fusion.target};
    return us_product_run(layer->products[US_PRODUCT_FORWARD], &product, error);
}

static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    const dense_layer *layer = pointer;
    if (args->dx) { /* first, as the layer before waits for it */
        const us_product_args product = {
            .in = args->dx, .out = args->dy, .weight = args->tensors[0], .x = args->x};
        US_TRY(us_product_run(layer->products[US_PRODUCT_INPUT], &product, error));
    }
    if (!args->gradients) return UNSEEN_OK;
    const us_product_args product = {.in = args->x,
                                     .out = args->dy,
                                     .weight = args->gradients[0],
                                     .bias = layer->bias_learns ? args->gradients[1] : NULL,
                                     .accumulate = args->accumulate};
    return us_product_run(layer->products[US_PRODUCT_WEIGHT], &product, error);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    const us_dense_attributes *dense = attributes;
    if (in.height != 1 || in.width != 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a dense layer takes one row of features: put {\"layer\": \"flatten\"} "
                       "before it");
    if ((int64_t)in.channels * dense->units > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%d x %d weights are more than a layer can have",
                       in.channels, dense->units);
    *out = (us_shape){dense->units, 1, 1};
    return UNSEEN_OK;
}

/* torch.nn.Linear's: uniform within 1 / sqrt(inputs), weight and bias alike. */
static int tensors(const void *attributes, us_shape in,
                   us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    const us_dense_attributes *dense = attributes;
    const float bound = (float)(1 / sqrt((double)in.channels));
    specs[0] = (us_tensor_spec){
        .name = "weight",
        .rank = 2,
        .dims = {dense->units, in.channels},
        .order = {1, 0},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    specs[1] = (us_tensor_spec){
        .name = "bias",
        .rank = 1,
        .dims = {dense->units},
        .trainable = true,
        .init = US_INIT_UNIFORM,
        .value = bound,
    };
    return dense->bias ? 2 : 1;
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    (void)attributes;
    return 2.0 * in.channels * out.channels;
}

static const us_key keys[] = {
    {.name = "units",
     .kind = US_KEY_INT,
     .offset = offsetof(us_dense_attributes, units),
     .required = true,
     .minimum = 1,
     .maximum = 1 << 24,
     .help = "Features of the output."},
    {.name = "bias",
     .kind = US_KEY_BOOL,
     .offset = offsetof(us_dense_attributes, bias),
     .fallback = {1},
     .help = "Whether a number per output is added."},
    {.kind = US_KEY_END},
};

const us_layer_type us_dense_layer = {
    .name = "dense",
    .help = "Every output is a weighted sum of all inputs.",
    .keys = keys,
    .attributes_size = sizeof(us_dense_attributes),
    .infer = infer,
    .tensors = tensors,
    .flops = flops,
    .folds_activation = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
};
