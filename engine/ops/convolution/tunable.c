/* SPDX-License-Identifier: MIT */
/* What the tuner has to know about convolutions besides their algorithms. */
#include <stdio.h>

#include "ops/activation.h"
#include "ops/convolution/table.h"

enum { LARGE, SMALL, WEIGHTS, BIAS, INPUT };

/* What becomes of each output does not matter: a layer is computed alike with and without a
 * normalisation folded in. */
static void key(const void *problem, char text[US_TUNABLE_TEXT]) {
    static const char *const passes[] = {"down", "up", "weights"};
    const us_convolution_problem *p = problem;
    const char *precision = us_precision_names[p->precision];
    const bool exact = p->precision == US_PRECISION_FP32;
    snprintf(text, US_TUNABLE_TEXT,
             "%s large %dx%dx%d small %dx%dx%d kernel %dx%d stride %dx%d padding %dx%d "
             "strides %zu,%zu,%zu batch %d%s%s",
             passes[p->pass], p->large.channels, p->large.height, p->large.width, p->small.channels,
             p->small.height, p->small.width, p->kernel[0], p->kernel[1], p->stride[0],
             p->stride[1], p->padding[0], p->padding[1], p->large_stride, p->tap_stride,
             p->small_stride, p->batch, exact ? "" : " ", exact ? "" : precision);
}

static void label(const void *problem, char text[US_TUNABLE_TEXT]) {
    const us_convolution_problem *p = problem;
    bool down = p->pass == US_CONVOLUTION_DOWN, gradient = p->pass == US_CONVOLUTION_WEIGHTS;
    /* Weights lie as the layer's forward pass reads them: its outputs are innermost. */
    bool forward = us_convolution_out_stride(p) == 1;
    bool transposed = gradient ? p->bias_of_large : down != forward;
    const us_shape from = gradient ? p->large : us_convolution_in(p);
    const us_shape to = gradient ? p->small : us_convolution_out(p);
    snprintf(text, US_TUNABLE_TEXT,
             "%s%s, %dx%dx%d %s %dx%dx%d, kernel %dx%d, stride %dx%d, batch %d",
             transposed ? "transposed " : "",
             gradient  ? "weight gradient"
             : forward ? "forward"
                       : "input gradient",
             from.channels, from.height, from.width, gradient ? "and" : "to", to.channels,
             to.height, to.width, p->kernel[0], p->kernel[1], p->stride[0], p->stride[1], p->batch);
}

/* ---- trials ---- */

static double tolerance(const void *problem) {
    return us_precision_tolerance(((const us_convolution_problem *)problem)->precision);
}

static void operands(const us_device_facts *device, const void *problem,
                     us_operand operands[US_TUNABLE_OPERANDS]) {
    const us_convolution_problem *p = problem;
    const bool gradient = p->pass == US_CONVOLUTION_WEIGHTS;
    const size_t batch = (size_t)p->batch;
    (void)device;
    operands[LARGE] =
        (us_operand){us_shape_size(p->large) * batch, p->pass == US_CONVOLUTION_UP, p->batch};
    operands[SMALL] =
        (us_operand){us_shape_size(p->small) * batch, p->pass == US_CONVOLUTION_DOWN, p->batch};
    operands[WEIGHTS] = (us_operand){us_convolution_weights(p), gradient, 0};
    const us_shape biased = gradient ? us_convolution_biased(p) : us_convolution_out(p);
    if (p->bias) operands[BIAS] = (us_operand){(size_t)biased.channels, gradient, 0};
    if (p->input_activation.kind != US_ACTIVATION_NONE)
        operands[INPUT] = (us_operand){us_shape_size(biased) * batch, false, p->batch};
}

/* The input position that a tap meets at an output position, or -1. */
static int input_position(bool up, int out, int tap, int stride, int padding, int size) {
    int at = up ? out + padding - tap : out * stride - padding + tap;
    if (up && at % stride != 0) return -1;
    if (up) at /= stride;
    return at >= 0 && at < size ? at : -1;
}

/* The sum over taps and input channels of an output pixel, of its image. x and w are those of the
 * first input channel. */
static double expected_sum(const us_convolution_problem *p, const float *x, const float *w, int oy,
                           int ox) {
    const bool up = p->pass == US_CONVOLUTION_UP;
    const us_shape in = us_convolution_in(p);
    const size_t batch = (size_t)p->batch, plane = (size_t)in.height * (size_t)in.width * batch;
    double sum = 0;
    for (int ky = 0; ky < p->kernel[0]; ky++) {
        int iy = input_position(up, oy, ky, p->stride[0], p->padding[0], in.height);
        for (int kx = 0; iy >= 0 && kx < p->kernel[1]; kx++) {
            int ix = input_position(up, ox, kx, p->stride[1], p->padding[1], in.width);
            if (ix < 0) continue;
            const float *at = x + ((size_t)iy * (size_t)in.width + (size_t)ix) * batch;
            const float *tap = w + (size_t)(ky * p->kernel[1] + kx) * p->tap_stride;
            for (size_t c = 0; c < (size_t)in.channels; c++)
                sum += (double)at[c * plane] * (double)tap[c * us_convolution_in_stride(p)];
        }
    }
    return sum;
}

static double expected_output(const us_convolution_problem *p, const float *const *operands,
                              size_t index) {
    const us_shape out = us_convolution_out(p);
    const size_t batch = (size_t)p->batch, width = (size_t)out.width, height = (size_t)out.height;
    const size_t n = index % batch, pixel = index / batch, channel = pixel / (width * height);
    double sum = expected_sum(p, operands[p->pass == US_CONVOLUTION_UP ? SMALL : LARGE] + n,
                              operands[WEIGHTS] + channel * us_convolution_out_stride(p),
                              (int)(pixel / width % height), (int)(pixel % width));
    if (p->bias) sum += (double)operands[BIAS][channel];
    if (p->input_activation.kind == US_ACTIVATION_NONE) return us_activate(p->activation, sum);
    return sum * us_activation_slope(p->input_activation, (double)operands[INPUT][index]);
}

static double expected_bias(const us_convolution_problem *p, const float *const *operands,
                            size_t channel) {
    const us_shape side = us_convolution_biased(p);
    size_t count = (size_t)side.height * (size_t)side.width * (size_t)p->batch;
    const float *dy = operands[p->bias_of_large ? LARGE : SMALL] + channel * count;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)dy[i];
    return sum;
}

/* The sum over small pixels and the batch of what the tap (ky, kx) brings together. */
static double expected_weight(const us_convolution_problem *p, const float *large,
                              const float *small, int ky, int kx) {
    size_t batch = (size_t)p->batch;
    double sum = 0;
    for (int sy = 0; sy < p->small.height; sy++) {
        int ly = sy * p->stride[0] - p->padding[0] + ky;
        if (ly < 0 || ly >= p->large.height) continue;
        for (int sx = 0; sx < p->small.width; sx++) {
            int lx = sx * p->stride[1] - p->padding[1] + kx;
            if (lx < 0 || lx >= p->large.width) continue;
            const float *a = small + ((size_t)sy * (size_t)p->small.width + (size_t)sx) * batch;
            const float *b = large + ((size_t)ly * (size_t)p->large.width + (size_t)lx) * batch;
            for (size_t n = 0; n < batch; n++)
                sum += (double)a[n] * (double)b[n];
        }
    }
    return sum;
}

static double expected(const void *problem, const float *const *operands, int output,
                       size_t index) {
    const us_convolution_problem *p = problem;
    if (p->pass != US_CONVOLUTION_WEIGHTS) return expected_output(p, operands, index);
    if (output == BIAS) return expected_bias(p, operands, index);
    /* Weights are [outer][tap][inner]; strides are alike only where a side has one channel. */
    bool large_outer = p->large_stride > p->small_stride ||
                       (p->large_stride == p->small_stride && p->small.channels == 1);
    size_t outer_stride = large_outer ? p->large_stride : p->small_stride;
    size_t outer = index / outer_stride, rest = index % outer_stride;
    size_t tap = rest / p->tap_stride, inner = rest % p->tap_stride, batch = (size_t)p->batch;
    size_t l = large_outer ? outer : inner, s = large_outer ? inner : outer;
    return expected_weight(
        p, operands[LARGE] + l * (size_t)p->large.height * (size_t)p->large.width * batch,
        operands[SMALL] + s * (size_t)p->small.height * (size_t)p->small.width * batch,
        (int)tap / p->kernel[1], (int)tap % p->kernel[1]);
}

static unseen_status create(us_device *device, const void *problem, const us_choice *choice,
                            void **operation, unseen_error *error) {
    us_convolution *made;
    unseen_status status =
        us_convolution_create(&(us_build){.device = device}, problem, choice, &made, error);
    *operation = made;
    return status;
}

static unseen_status run(void *operation, us_buffer *const *operands, unseen_error *error) {
    const us_convolution_args args = {.large = operands[LARGE],
                                      .small = operands[SMALL],
                                      .weights = operands[WEIGHTS],
                                      .bias = operands[BIAS],
                                      .input = operands[INPUT]};
    return us_convolution_run(operation, &args, error);
}

static void destroy(void *operation) {
    us_convolution_destroy(operation);
}

const us_tunable us_convolution_tunable = {
    .name = "convolution",
    .algorithms = us_convolution_algorithms,
    .problem_size = sizeof(us_convolution_problem),
    .key = key,
    .label = label,
    .operands = operands,
    .tolerance = tolerance,
    .expected = expected,
    .create = create,
    .run = run,
    .destroy = destroy,
};
