/* SPDX-License-Identifier: MIT */
#include "ops/convolution/weight_gradient.h"

#include <stdio.h>
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

static int bias_pixels(const us_convolution_problem *problem) {
    const us_shape biased = us_convolution_biased(problem);
    return biased.height * biased.width;
}

/* items: of the work-groups that sum them, of which larger ones need not be as many; 0: as of most
 * kernels. */
static int count_bias_splits(const us_device_facts *device, const us_convolution_problem *problem,
                             size_t items) {
    enum { LANES_MOST = 64 }; /* an item adds up what they leave of a channel */
    int groups = us_weight_gradient_wanted_groups(device);
    if (items > 0) groups = us_divide_up((int64_t)groups * device->group_size, (int64_t)items);
    int wanted = us_divide_up(groups, us_convolution_biased(problem).channels);
    if (device->execution == US_EXECUTION_LANES) wanted = us_smaller(wanted, LANES_MOST);
    return us_smaller(wanted, bias_pixels(problem));
}

size_t us_bias_options(const us_device_facts *device, const us_convolution_problem *problem,
                       size_t items, char options[US_BIAS_OPTIONS]) {
    *options = '\0';
    if (!problem->bias) return 0;
    const int channels = us_convolution_biased(problem).channels;
    const int splits = count_bias_splits(device, problem, items);
    snprintf(options, US_BIAS_OPTIONS,
             "-DBIAS_CHANNELS=%d -DBIAS_PIXELS=%d -DBIAS_SPLITS=%d -DBIAS_OF_LARGE=%d", channels,
             bias_pixels(problem), splits, problem->bias_of_large);
    return (size_t)channels * (size_t)splits;
}

/* Weights in splits and then, in others, the bias. A kernel that takes the bias puts that of each
 * split after the split's weights. */
size_t us_weight_gradient_parts(const void *state, us_split_gradient split[2]) {
    const us_weight_gradient *g = state;
    const size_t weights = us_convolution_weights(&g->problem), biases = bias_count(g);
    const bool taken = g->problem.bias && g->takes_bias;
    const size_t stride = weights + (taken ? biases : 0);
    size_t floats = 0;
    split[0] = split[1] = (us_split_gradient){0};
    if (g->splits > 1) {
        split[0] = (us_split_gradient){g->splits, 0, stride, weights};
        if (taken) split[1] = (us_split_gradient){g->splits, weights, stride, biases};
        floats = stride * (size_t)g->splits;
    }
    if (!g->problem.bias || taken) return floats;
    split[1] = (us_split_gradient){g->bias_splits, floats, biases, biases};
    return floats + biases * (size_t)g->bias_splits;
}

unseen_status us_weight_gradient_prepare(const us_build *build, us_weight_gradient *gradient,
                                         unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    us_split_gradient split[2];
    char options[US_BIAS_OPTIONS];
    gradient->bias_splits = count_bias_splits(device, &gradient->problem,
                                              gradient->bias_groups > 0 ? gradient->items : 0);
    const size_t bytes = us_weight_gradient_parts(gradient, split) * sizeof(float);
    gradient->bias_first = split[1].first;
    if (gradient->problem.bias && !gradient->takes_bias && gradient->bias_groups == 0) {
        us_bias_options(device, &gradient->problem, 0, options);
        US_TRY(us_kernel_create(build, "bias_gradient", "bias_gradient", &gradient->bias, error,
                                "-DBATCH=%d %s", gradient->problem.batch, options));
    }
    if (bytes == 0) return UNSEEN_OK;
    us_buffer *scratch;
    US_TRY(us_kernel_create(build, "sum_splits", "sum_splits", &gradient->sum, error, " "));
    return us_device_scratch(build->device, bytes, &scratch, error);
}

void us_weight_gradient_destroy(void *state) {
    us_weight_gradient *gradient = state;
    if (!gradient) return;
    us_kernel_destroy(gradient->kernel);
    us_kernel_destroy(gradient->bias);
    us_kernel_destroy(gradient->sum);
    free(gradient);
}

/* Adds up the parts of weights and bias, which for a bias that was taken is one launch. */
static unseen_status add_parts(const us_weight_gradient *g, us_buffer *parts,
                               const us_split_gradient split[2], us_buffer *const to[2],
                               bool accumulate, unseen_error *error) {
    const bool together = split[0].splits && split[1].splits && g->takes_bias;
    for (int t = 0; t < (together ? 1 : 2); t++) {
        const us_split_gradient *s = &split[t];
        const size_t more = together ? split[1].count : 0;
        if (!s->splits) continue;
        US_TRY(us_kernel_run_elements(g->sum, s->count + more, error, "blillibb", parts,
                                      (int64_t)s->first, (int32_t)s->splits, (int64_t)s->count,
                                      (int64_t)more, (int32_t)accumulate, to[t],
                                      together ? to[1] : NULL));
    }
    return UNSEEN_OK;
}

unseen_status us_weight_gradient_run(void *state, us_buffer *weights,
                                     const us_convolution_args *args, unseen_error *error) {
    const us_weight_gradient *g = state;
    us_split_gradient split[2];
    const size_t floats = us_weight_gradient_parts(g, split);
    const bool whole = g->splits == 1, has_bias = g->problem.bias;
    us_buffer *parts = args->parts;
    if (floats > 0 && !parts)
        US_TRY(us_device_scratch(weights->device, floats * sizeof(float), &parts, error));
    us_buffer *bias = NULL;
    if (has_bias && g->takes_bias && whole) bias = args->bias;
    if (has_bias && g->bias_groups > 0) bias = parts;
    const bool accumulate = args->accumulate && (whole || args->parts);
    US_TRY(g->launch(g, args, whole ? weights : parts, bias, accumulate, error));
    if (g->bias) {
        const size_t groups[3] = {bias_count(g), (size_t)g->bias_splits, 1};
        US_TRY(us_kernel_run(g->bias, groups, error, "bbli",
                             g->problem.bias_of_large ? args->large : args->small, parts,
                             (int64_t)g->bias_first, (int32_t)us_bias_accumulates(args)));
    }
    if (args->parts) return UNSEEN_OK;
    us_buffer *const to[2] = {weights, args->bias};
    return add_parts(g, parts, split, to, args->accumulate, error);
}
