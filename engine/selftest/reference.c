/* SPDX-License-Identifier: MIT */
/* Dense, BatchNorm and activation layers on the host, and the table of all references. */
#include "selftest/reference.h"

#include <math.h>

#include "ops/attributes.h"

static size_t values(const us_reference *call, us_shape shape) {
    return us_shape_size(shape) * (size_t)call->n;
}

/* ---- dense: y[o] = sum over i of weight[i][o] x[i] + bias[o] ---- */

static void dense_forward(const us_reference *call) {
    const us_dense_attributes *dense = call->attributes;
    const int in = call->in.channels, out = call->out.channels, n = call->n;
    const double *weight = call->tensors[0];
    for (int o = 0; o < out; o++)
        for (int j = 0; j < n; j++) {
            double sum = dense->bias ? call->tensors[1][o] : 0;
            for (int i = 0; i < in; i++)
                sum += weight[(size_t)i * (size_t)out + (size_t)o] * call->x[i * n + j];
            call->y[o * n + j] = us_activate(call->activation, sum);
        }
}

static void dense_gradients(const us_reference *call) {
    const us_dense_attributes *dense = call->attributes;
    const int in = call->in.channels, out = call->out.channels, n = call->n;
    for (int i = 0; call->gradients[0] && i < in; i++)
        for (int o = 0; o < out; o++) {
            double sum = 0;
            for (int j = 0; j < n; j++)
                sum += call->x[i * n + j] * call->dy[o * n + j];
            call->gradients[0][(size_t)i * (size_t)out + (size_t)o] = sum;
        }
    for (int o = 0; dense->bias && call->gradients[1] && o < out; o++) {
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += call->dy[o * n + j];
        call->gradients[1][o] = sum;
    }
}

static void dense_backward(const us_reference *call) {
    const int in = call->in.channels, out = call->out.channels, n = call->n;
    if (call->gradients) dense_gradients(call);
    for (int i = 0; call->dx && i < in; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int o = 0; o < out; o++)
                sum += call->tensors[0][(size_t)i * (size_t)out + (size_t)o] * call->dy[o * n + j];
            call->dx[i * n + j] =
                sum * us_activation_slope(call->input_activation, call->x[i * n + j]);
        }
}

/* ---- BatchNorm: y = (x - mean) / sqrt(variance + epsilon) weight + bias ---- */

typedef struct moments {
    double mean, variance, deviation;
} moments;

static moments measure(const us_reference *call, int channel) {
    const us_batchnorm_attributes *batchnorm = call->attributes;
    const size_t count = values(call, (us_shape){1, call->in.height, call->in.width});
    const double *x = call->x + (size_t)channel * count;
    moments m = {0, 0, 0};
    for (size_t i = 0; i < count; i++)
        m.mean += x[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        m.variance += (x[i] - m.mean) * (x[i] - m.mean) / (double)count;
    m.deviation = sqrt(m.variance + batchnorm->epsilon);
    return m;
}

static moments running_moments(const us_reference *call, int channel) {
    const us_batchnorm_attributes *batchnorm = call->attributes;
    double *const *running = call->tensors + (batchnorm->affine ? 2 : 0);
    const double variance = running[1][channel];
    return (moments){running[0][channel], variance, sqrt(variance + batchnorm->epsilon)};
}

static void batchnorm_forward(const us_reference *call) {
    const us_batchnorm_attributes *batchnorm = call->attributes;
    const size_t count = values(call, (us_shape){1, call->in.height, call->in.width});
    double *const *running = call->tensors + (batchnorm->affine ? 2 : 0);
    for (int c = 0; c < call->in.channels; c++) {
        moments m = running_moments(call, c);
        if (call->training && call->training != US_TRAINING_FIXED) {
            m = measure(call, c);
            const double unbiased = count > 1 ? (double)count / (double)(count - 1) : 1;
            const double momentum = call->training == US_TRAINING_STILL ? 0 : batchnorm->momentum;
            running[0][c] += momentum * (m.mean - running[0][c]);
            running[1][c] += momentum * (m.variance * unbiased - running[1][c]);
        }
        const double weight = batchnorm->affine ? call->tensors[0][c] : 1;
        const double bias = batchnorm->affine ? call->tensors[1][c] : 0;
        for (size_t i = (size_t)c * count; i < (size_t)(c + 1) * count; i++)
            call->y[i] =
                us_activate(call->activation, (call->x[i] - m.mean) / m.deviation * weight + bias);
    }
}

static void batchnorm_backward(const us_reference *call) {
    const us_batchnorm_attributes *batchnorm = call->attributes;
    const size_t count = values(call, (us_shape){1, call->in.height, call->in.width});
    for (int c = 0; c < call->in.channels; c++) {
        const bool fixed = call->training == US_TRAINING_FIXED;
        const moments m = fixed ? running_moments(call, c) : measure(call, c);
        const double *x = call->x + (size_t)c * count, *dy = call->dy + (size_t)c * count;
        double sum = 0, product = 0;
        for (size_t i = 0; i < count; i++) {
            sum += dy[i];
            product += dy[i] * (x[i] - m.mean) / m.deviation;
        }
        if (call->gradients && batchnorm->affine) {
            if (call->gradients[0]) call->gradients[0][c] = product;
            if (call->gradients[1]) call->gradients[1][c] = sum;
        }
        const double weight = batchnorm->affine ? call->tensors[0][c] : 1;
        for (size_t i = 0; call->dx && i < count; i++) {
            const double normal = (x[i] - m.mean) / m.deviation;
            const double mean = sum / (double)count + normal * product / (double)count;
            const double d = fixed ? dy[i] : dy[i] - mean;
            call->dx[(size_t)c * count + i] =
                d * weight / m.deviation * us_activation_slope(call->input_activation, x[i]);
        }
    }
}

/* ---- groupnorm ---- */

/* The i-th value of a group of an image. */
static size_t group_place(const us_reference *call, int group, size_t values, size_t i, int image) {
    return ((size_t)group * values + i) * (size_t)call->n + (size_t)image;
}

static moments group_moments(const us_reference *call, int group, size_t values, int image) {
    const us_groupnorm_attributes *a = call->attributes;
    moments m = {0, 0, 0};
    for (size_t i = 0; i < values; i++)
        m.mean += call->x[group_place(call, group, values, i, image)] / (double)values;
    for (size_t i = 0; i < values; i++) {
        const double away = call->x[group_place(call, group, values, i, image)] - m.mean;
        m.variance += away * away / (double)values;
    }
    m.deviation = sqrt(m.variance + a->epsilon);
    return m;
}

static void groupnorm_forward(const us_reference *call) {
    const us_groupnorm_attributes *a = call->attributes;
    const size_t pixels = (size_t)call->in.height * (size_t)call->in.width;
    const size_t count = us_shape_size(call->in) / (size_t)a->groups;
    for (int g = 0; g < a->groups; g++)
        for (int j = 0; j < call->n; j++) {
            const moments m = group_moments(call, g, count, j);
            for (size_t i = 0; i < count; i++) {
                const size_t at = group_place(call, g, count, i, j);
                const size_t channel = ((size_t)g * count + i) / pixels;
                double value = (call->x[at] - m.mean) / m.deviation;
                if (a->affine)
                    value = value * call->tensors[0][channel] + call->tensors[1][channel];
                call->y[at] = us_activate(call->activation, value);
            }
        }
}

static void groupnorm_backward_group(const us_reference *call, int group, size_t count, int image) {
    const us_groupnorm_attributes *a = call->attributes;
    const size_t pixels = (size_t)call->in.height * (size_t)call->in.width;
    const moments m = group_moments(call, group, count, image);
    double sum = 0, product = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            const size_t at = group_place(call, group, count, i, image);
            const size_t channel = ((size_t)group * count + i) / pixels;
            const double normal = (call->x[at] - m.mean) / m.deviation, dy = call->dy[at];
            const double d = a->affine ? dy * call->tensors[0][channel] : dy;
            if (pass == 0) {
                sum += d / (double)count;
                product += d * normal / (double)count;
                if (call->gradients && call->gradients[0])
                    call->gradients[0][channel] += dy * normal;
                if (call->gradients && call->gradients[1]) call->gradients[1][channel] += dy;
            } else if (call->dx) {
                call->dx[at] = (d - sum - normal * product) / m.deviation *
                               us_activation_slope(call->input_activation, call->x[at]);
            }
        }
}

static void groupnorm_backward(const us_reference *call) {
    const us_groupnorm_attributes *a = call->attributes;
    for (int t = 0; call->gradients && a->affine && t < 2; t++)
        for (int c = 0; call->gradients[t] && c < call->in.channels; c++)
            call->gradients[t][c] = 0;
    for (int g = 0; g < a->groups; g++)
        for (int j = 0; j < call->n; j++)
            groupnorm_backward_group(call, g, us_shape_size(call->in) / (size_t)a->groups, j);
}

/* ---- gelu ---- */

static void gelu_forward(const us_reference *call) {
    for (size_t i = 0; i < values(call, call->in); i++)
        call->y[i] = 0.5 * call->x[i] * (1 + erf(call->x[i] / sqrt(2)));
}

static void gelu_backward(const us_reference *call) {
    for (size_t i = 0; call->dx && i < values(call, call->in); i++) {
        const double x = call->x[i], density = exp(-x * x / 2) / sqrt(2 * acos(-1));
        call->dx[i] = call->dy[i] * (0.5 * (1 + erf(x / sqrt(2))) + x * density) *
                      us_activation_slope(call->input_activation, x);
    }
}

/* ---- activations as layers: dy is with respect to x already ---- */

static void activate(const us_reference *call, us_activation activation) {
    for (size_t i = 0; i < values(call, call->in); i++)
        call->y[i] = us_activate(activation, call->x[i]);
}

static void relu_forward(const us_reference *call) {
    activate(call, us_relu_layer.activation(call->attributes));
}

static void leaky_relu_forward(const us_reference *call) {
    activate(call, us_leaky_relu_layer.activation(call->attributes));
}

static void tanh_forward(const us_reference *call) {
    activate(call, us_tanh_layer.activation(call->attributes));
}

static void sigmoid_forward(const us_reference *call) {
    activate(call, us_sigmoid_layer.activation(call->attributes));
}

static void activation_backward(const us_reference *call) {
    for (size_t i = 0; call->dx && i < values(call, call->in); i++)
        call->dx[i] = call->dy[i] * us_activation_slope(call->input_activation, call->x[i]);
}

/* ---- pooling ---- */

typedef struct pooled {
    us_pooling_window window;
    bool maximum, backward;
} pooled;

/* Input pixel of tap `tap` for output pixel `at` of a plane, or -1 in the padding. */
static int pooled_from(const us_reference *call, const pooled *p, int at, int tap) {
    const us_pooling_window *w = &p->window;
    const int y = at / call->out.width * w->stride[0] - w->padding[0] + tap / w->kernel[1];
    const int x = at % call->out.width * w->stride[1] - w->padding[1] + tap % w->kernel[1];
    if (y < 0 || y >= call->in.height || x < 0 || x >= call->in.width) return -1;
    return y * call->in.width + x;
}

/* Forward writes a value of y, backward adds to those of dx that it came from. */
static void pool_pixel(const us_reference *call, const pooled *p, int channel, int at, int image) {
    const int taps = p->window.kernel[0] * p->window.kernel[1];
    const size_t n = (size_t)call->n, in = (size_t)(call->in.height * call->in.width);
    const size_t out = (size_t)(call->out.height * call->out.width);
    const size_t to = ((size_t)channel * out + (size_t)at) * n + (size_t)image;
    double sum = 0, largest = -INFINITY;
    size_t from_largest = 0;
    for (int tap = 0; tap < taps; tap++) {
        const int pixel = pooled_from(call, p, at, tap);
        if (pixel < 0) continue;
        const size_t from = ((size_t)channel * in + (size_t)pixel) * n + (size_t)image;
        sum += call->x[from];
        if (call->x[from] > largest) {
            largest = call->x[from];
            from_largest = from;
        }
        if (p->backward && !p->maximum) call->dx[from] += call->dy[to] / taps;
    }
    if (p->backward && p->maximum) call->dx[from_largest] += call->dy[to];
    if (!p->backward) call->y[to] = p->maximum ? largest : sum / taps;
}

static void pool(const us_reference *call, bool maximum, bool backward) {
    const pooled p = {us_pooling_window_of(call->attributes, call->in), maximum, backward};
    for (size_t i = 0; backward && i < values(call, call->in); i++)
        call->dx[i] = 0;
    for (int c = 0; c < call->out.channels; c++)
        for (int at = 0; at < call->out.height * call->out.width; at++)
            for (int j = 0; j < call->n; j++)
                pool_pixel(call, &p, c, at, j);
    for (size_t i = 0; backward && i < values(call, call->in); i++)
        call->dx[i] *= us_activation_slope(call->input_activation, call->x[i]);
}

static void average_pool_forward(const us_reference *call) {
    pool(call, false, false);
}

static void average_pool_backward(const us_reference *call) {
    if (call->dx) pool(call, false, true);
}

static void max_pool_forward(const us_reference *call) {
    pool(call, true, false);
}

static void max_pool_backward(const us_reference *call) {
    if (call->dx) pool(call, true, true);
}

static const us_reference_layer layers[] = {
    {&us_convolution_layer, us_reference_convolution_forward, us_reference_convolution_backward},
    {&us_convolution_transpose_layer, us_reference_convolution_transpose_forward,
     us_reference_convolution_transpose_backward},
    {&us_dense_layer, dense_forward, dense_backward},
    {&us_batchnorm_layer, batchnorm_forward, batchnorm_backward},
    {&us_groupnorm_layer, groupnorm_forward, groupnorm_backward},
    {&us_gelu_layer, gelu_forward, gelu_backward},
    {&us_relu_layer, relu_forward, activation_backward},
    {&us_leaky_relu_layer, leaky_relu_forward, activation_backward},
    {&us_tanh_layer, tanh_forward, activation_backward},
    {&us_sigmoid_layer, sigmoid_forward, activation_backward},
    {&us_average_pool_layer, average_pool_forward, average_pool_backward},
    {&us_max_pool_layer, max_pool_forward, max_pool_backward},
};

const us_reference_layer *us_reference_find(const us_layer_type *type) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (layers[i].type == type) return &layers[i];
    return NULL;
}
