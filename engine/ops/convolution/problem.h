/* SPDX-License-Identifier: MIT */
/* What a pass of a convolution computes, transposed or not, however it does so.
 *
 * A convolution relates a large and a small side: small pixel (y, x) meets large pixel
 * (y * stride - padding + ky, x * stride - padding + kx) at tap (ky, kx) of the kernel. Its input
 * is the large side; a transposed convolution's is the small one. So three passes serve both:
 *
 *   DOWN     small from large    forward of a convolution, input gradient of a transposed one
 *   UP       large from small    the other way round
 *   WEIGHTS  weights from both   the gradient of the weights, and of the bias */
#ifndef US_OPS_CONVOLUTION_PROBLEM_H
#define US_OPS_CONVOLUTION_PROBLEM_H

#include "ops/layer.h"
#include "tuning/tunable.h"

typedef enum us_convolution_pass {
    US_CONVOLUTION_DOWN,
    US_CONVOLUTION_UP,
    US_CONVOLUTION_WEIGHTS,
} us_convolution_pass;

/* Pairs are {along height, along width}. */
typedef struct us_convolution_problem {
    us_convolution_pass pass;
    us_shape large, small;
    int batch;              /* padded */
    us_precision precision; /* that matrix units may use; FP32 on devices without */
    int kernel[2], stride[2], padding[2];
    size_t large_stride, tap_stride, small_stride; /* of the weights, in floats, from a channel of a
                                                      side to the next; taps are row by row */
    bool bias;          /* added to the output; WEIGHTS: its gradient is computed as well */
    bool bias_of_large; /* WEIGHTS: the bias is of the large side's channels, else of the small */
    us_activation activation;       /* applied to the output */
    us_activation input_activation; /* or: the output is multiplied by its derivative at `input` */
    bool moments;                   /* may be wanted of the output, see us_convolution_args */
    bool compared;                  /* outputs may be, with a us_target */
} us_convolution_problem;

/* The sides that DOWN and UP read and write, and the weights' strides along their channels. */
static inline us_shape us_convolution_in(const us_convolution_problem *problem) {
    return problem->pass == US_CONVOLUTION_UP ? problem->small : problem->large;
}
static inline us_shape us_convolution_out(const us_convolution_problem *problem) {
    return problem->pass == US_CONVOLUTION_UP ? problem->large : problem->small;
}
static inline size_t us_convolution_in_stride(const us_convolution_problem *problem) {
    return problem->pass == US_CONVOLUTION_UP ? problem->small_stride : problem->large_stride;
}
static inline size_t us_convolution_out_stride(const us_convolution_problem *problem) {
    return problem->pass == US_CONVOLUTION_UP ? problem->large_stride : problem->small_stride;
}

/* Whether kernel, stride and padding are the same along both axes. */
static inline bool us_convolution_is_square(const us_convolution_problem *problem) {
    return problem->kernel[0] == problem->kernel[1] && problem->stride[0] == problem->stride[1] &&
           problem->padding[0] == problem->padding[1];
}

/* Whether it is a matrix product, as of a dense layer: one tap, images of one pixel, and weights
 * [large][small]. */
static inline bool us_convolution_is_product(const us_convolution_problem *problem) {
    return problem->kernel[0] * problem->kernel[1] == 1 &&
           problem->padding[0] + problem->padding[1] == 0 &&
           problem->large.height * problem->large.width == 1 &&
           problem->small.height * problem->small.width == 1 &&
           problem->large_stride == (size_t)problem->small.channels && problem->small_stride == 1;
}

/* Makes a product of it where the only pixel of the small side sees all of the large one, whose
 * pixels and taps lie in memory in the same order. On GPUs few rows and many terms are better off
 * so: the terms lie side by side. */
static inline void us_convolution_flatten(us_convolution_problem *problem) {
    const int taps = problem->kernel[0] * problem->kernel[1];
    if (problem->small.height * problem->small.width != 1 ||
        problem->padding[0] + problem->padding[1] != 0 ||
        problem->kernel[0] != problem->large.height || problem->kernel[1] != problem->large.width ||
        problem->large_stride != (size_t)taps * problem->tap_stride || problem->bias_of_large)
        return;
    problem->large = (us_shape){problem->large.channels * taps, 1, 1};
    problem->large_stride = problem->tap_stride;
    problem->kernel[0] = problem->kernel[1] = problem->stride[0] = problem->stride[1] = 1;
}

static inline size_t us_convolution_weights(const us_convolution_problem *problem) {
    return (size_t)problem->large.channels * (size_t)problem->small.channels *
           (size_t)problem->kernel[0] * (size_t)problem->kernel[1];
}

/* Pairs of a small pixel and a tap, along an axis, that meet the large side rather than what pads
 * it.
 */
static inline int64_t us_convolution_pairs(const us_convolution_problem *problem, int axis) {
    int small = axis == 0 ? problem->small.height : problem->small.width;
    int large = axis == 0 ? problem->large.height : problem->large.width;
    int64_t count = 0;
    for (int s = 0; s < small; s++) {
        int first = s * problem->stride[axis] - problem->padding[axis];
        int last = first + problem->kernel[axis];
        if (first < 0) first = 0;
        if (last > large) last = large;
        count += last > first ? last - first : 0;
    }
    return count;
}

/* WEIGHTS: the side that the bias belongs to. */
static inline us_shape us_convolution_biased(const us_convolution_problem *problem) {
    return problem->bias_of_large ? problem->large : problem->small;
}

#endif
