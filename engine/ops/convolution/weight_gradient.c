/* SPDX-License-Identifier: MIT */
#include "ops/convolution/weight_gradient.h"

#include <stdlib.h>

#include "base/arithmetic.h"

int us_weight_gradient_wanted_groups(const us_device_facts *device) {
    return device->compute_units * (device->execution == US_EXECUTION_LANES ? 16 : 8);
}

bool us_weight_gradient_valid_splits(const us_device_facts *device,
                                     const us_convolution_problem *problem, int splits) {
    if (splits < 1 || splits > US_GRADIENT_MOST_SPLITS) return false;
    size_t bytes = us_convolution_weights(problem) * (size_t)splits * sizeof(float);
    return splits == 1 || bytes <= device->largest_allocation_bytes / 4;
}

static size_t bias_count(const us_weight_gradient *gradient) {
    return (size_t)us_convolution_biased(&gradient->problem).channels;
}

static size_t scratch_bytes(const us_weight_gradient *gradient) {
    size_t split = us_convolution_weights(&gradient->problem) +
                   (gradient->takes_bias ? bias_count(gradient) : 0);
    size_t weights = gradient->splits > 1 ? split * (size_t)gradient->splits : 0;
    size_t bias = gradient->bias ? bias_count(gradient) * (size_t)gradient->bias_splits : 0;
    return (weights > bias ? weights : bias) * sizeof(float);
}

unseen_status us_weight_gradient_prepare(const us_build *build, us_weight_gradient *gradient,
                                         unseen_error *error) {
    const us_shape biased = us_convolution_biased(&gradient->problem);
    const int pixels = biased.height * biased.width;
    gradient->bias_splits = us_smaller(
        us_divide_up(us_weight_gradient_wanted_groups(&build->device->facts), biased.channels),
        pixels);
    if (gradient->problem.bias && !gradient->takes_bias)
        US_TRY(us_kernel_create(build, "bias_gradient", "bias_gradient", &gradient->bias, error,
                                "-DBATCH=%d -DBIAS_CHANNELS=%d -DBIAS_PIXELS=%d -DBIAS_SPLITS=%d",
                                gradient->problem.batch, biased.channels, pixels,
                                gradient->bias_splits));
    if (gradient->bias || gradient->splits > 1)
        US_TRY(us_kernel_create(build, "sum_splits", "sum_splits", &gradient->sum, error, " "));
    us_buffer *scratch;
    if (scratch_bytes(gradient) == 0) return UNSEEN_OK;
    return us_device_scratch(build->device, scratch_bytes(gradient), &scratch, error);
}

void us_weight_gradient_destroy(void *state) {
    us_weight_gradient *gradient = state;
    if (!gradient) return;
    us_kernel_destroy(gradient->kernel);
    us_kernel_destroy(gradient->bias);
    us_kernel_destroy(gradient->sum);
    free(gradient);
}

/* Splits of a gradient of `count` floats and, where `bias` is not NULL, of the bias's after it. */
typedef struct split_sums {
    us_buffer *partial;
    int splits;
    size_t count;
    us_buffer *to, *bias;
} split_sums;

static unseen_status add_splits(const us_weight_gradient *gradient, const split_sums *sums,
                                bool accumulate, unseen_error *error) {
    size_t more = sums->bias ? bias_count(gradient) : 0;
    return us_kernel_run_elements(gradient->sum, sums->count + more, error, "billibb",
                                  sums->partial, (int32_t)sums->splits, (int64_t)sums->count,
                                  (int64_t)more, (int32_t)accumulate, sums->to, sums->bias);
}

unseen_status us_weight_gradient_run(void *state, us_buffer *weights,
                                     const us_convolution_args *args, unseen_error *error) {
    const us_weight_gradient *g = state;
    us_buffer *scratch = NULL, *bias = g->takes_bias ? args->bias : NULL;
    if (scratch_bytes(g) > 0)
        US_TRY(us_device_scratch(weights->device, scratch_bytes(g), &scratch, error));
    if (g->splits == 1) {
        US_TRY(g->launch(g, args, weights, bias, args->accumulate, error));
    } else {
        US_TRY(g->launch(g, args, scratch, NULL, false, error));
        const split_sums sums = {scratch, g->splits, us_convolution_weights(&g->problem), weights,
                                 bias};
        US_TRY(add_splits(g, &sums, args->accumulate, error));
    }
    if (!g->bias) return UNSEEN_OK;
    const size_t groups[3] = {bias_count(g), (size_t)g->bias_splits, 1};
    US_TRY(us_kernel_run(g->bias, groups, error, "bb",
                         g->problem.bias_of_large ? args->large : args->small, scratch));
    const split_sums sums = {scratch, g->bias_splits, bias_count(g), args->bias, NULL};
    return add_splits(g, &sums, args->accumulate, error);
}
