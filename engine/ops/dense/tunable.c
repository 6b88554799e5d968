/* SPDX-License-Identifier: MIT */
/* What the tuner has to know about dense products besides their algorithms. */
#include <stdio.h>

#include "ops/activation.h"
#include "ops/dense/product.h"

enum { IN, OUT, WEIGHT, BIAS, X };

static void key(const void *problem, char text[US_TUNABLE_TEXT]) {
    const us_product_problem *p = problem;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, p->activation, p->input_activation);
    snprintf(text, US_TUNABLE_TEXT, "-DFORM=%d -DIN=%d -DOUT=%d -DBATCH=%d -DBIAS=%d %s", p->form,
             p->in, p->out, p->batch, p->bias, activations);
}

static void label(const void *problem, char text[US_TUNABLE_TEXT]) {
    static const char *const forms[] = {"forward", "input gradient", "weight gradient"};
    const us_product_problem *p = problem;
    snprintf(text, US_TUNABLE_TEXT, "%s, %d to %d, batch %d", forms[p->form], p->in, p->out,
             p->batch);
}

/* ---- trials ---- */

static void operands(const us_device_facts *device, const void *problem,
                     us_operand operands[US_TUNABLE_OPERANDS]) {
    const us_product_problem *p = problem;
    const size_t in = (size_t)p->in, out = (size_t)p->out, batch = (size_t)p->batch;
    const bool gradient = p->form == US_PRODUCT_WEIGHT;
    (void)device;
    operands[IN] = (us_operand){in * batch, p->form == US_PRODUCT_INPUT, p->batch};
    operands[OUT] = (us_operand){out * batch, p->form == US_PRODUCT_FORWARD, p->batch};
    operands[WEIGHT] = (us_operand){in * out, gradient, 0};
    operands[BIAS] = (us_operand){p->bias ? out : 0, gradient, 0};
    if (p->form == US_PRODUCT_INPUT) operands[X] = (us_operand){in * batch, false, p->batch};
}

/* The sum of products of two runs of floats, their steps apart. b NULL: of ones. */
static double dot(const float *a, size_t a_step, const float *b, size_t b_step, int count) {
    double sum = 0;
    for (size_t i = 0; i < (size_t)count; i++)
        sum += (double)a[i * a_step] * (b ? (double)b[i * b_step] : 1);
    return sum;
}

static double expected(const void *problem, const float *const *operands, int output,
                       size_t index) {
    const us_product_problem *p = problem;
    const float *in = operands[IN], *on_out = operands[OUT], *weight = operands[WEIGHT];
    const size_t out = (size_t)p->out, batch = (size_t)p->batch;
    const size_t columns = p->form == US_PRODUCT_WEIGHT ? out : batch;
    const size_t row = index / columns, column = index % columns;
    if (output == BIAS) return dot(on_out + index * batch, 1, NULL, 0, p->batch);
    if (p->form == US_PRODUCT_WEIGHT)
        return dot(in + row * batch, 1, on_out + column * batch, 1, p->batch);
    if (p->form == US_PRODUCT_INPUT)
        return dot(weight + row * out, 1, on_out + column, batch, p->out) *
               us_activation_slope(p->input_activation, (double)operands[X][index]);
    return us_activate(p->activation, dot(weight + row, out, in + column, batch, p->in) +
                                          (p->bias ? (double)operands[BIAS][row] : 0));
}

static unseen_status create(us_device *device, const void *problem, const us_choice *choice,
                            void **operation, unseen_error *error) {
    us_product *made;
    unseen_status status =
        us_product_create(&(us_build){.device = device}, problem, choice, &made, error);
    *operation = made;
    return status;
}

static unseen_status run(void *operation, us_buffer *const *on, unseen_error *error) {
    const us_product_args args = {
        .in = on[IN], .out = on[OUT], .weight = on[WEIGHT], .bias = on[BIAS], .x = on[X]};
    return us_product_run(operation, &args, error);
}

static void destroy(void *operation) {
    us_product_destroy(operation);
}

const us_tunable us_product_tunable = {
    .name = "dense",
    .algorithms = us_product_algorithms,
    .problem_size = sizeof(us_product_problem),
    .key = key,
    .label = label,
    .operands = operands,
    .expected = expected,
    .create = create,
    .run = run,
    .destroy = destroy,
};
