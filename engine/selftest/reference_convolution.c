/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "ops/convolution/layer.h"
#include "selftest/reference.h"

/* Calls `each` for every pair of a small pixel and a large pixel that a tap relates: small (sy, sx)
 * meets large (sy * stride - padding + ky, ...). A convolution's large side is its input, a
 * transposed convolution's its output. */
typedef struct us_meeting {
    size_t in, out, weight; /* offsets: of the pixels' first image, and of the weight */
} us_meeting;

typedef void us_meeting_function(const us_reference *call, us_meeting at);

static size_t pixel(us_shape shape, int channel, int y, int x) {
    return ((size_t)channel * (size_t)shape.height + (size_t)y) * (size_t)shape.width + (size_t)x;
}

static void meet_channels(const us_reference *call, us_meeting_function *each, int iy, int ix,
                          int oy, int ox, int ky, int kx) {
    const us_convolution_attributes *a = call->attributes;
    size_t n = (size_t)call->n;
    for (int ci = 0; ci < call->in.channels; ci++) {
        size_t tap =
            ((size_t)ci * (size_t)a->kernel[0] + (size_t)ky) * (size_t)a->kernel[1] + (size_t)kx;
        for (int co = 0; co < call->out.channels; co++)
            each(call, (us_meeting){
                           .in = pixel(call->in, ci, iy, ix) * n,
                           .out = pixel(call->out, co, oy, ox) * n,
                           .weight = tap * (size_t)call->out.channels + (size_t)co,
                       });
    }
}

static void meet(const us_reference *call, bool transposed, us_meeting_function *each) {
    const us_convolution_attributes *a = call->attributes;
    us_shape small = transposed ? call->in : call->out;
    us_shape large = transposed ? call->out : call->in;
    for (int sy = 0; sy < small.height; sy++)
        for (int sx = 0; sx < small.width; sx++)
            for (int ky = 0; ky < a->kernel[0]; ky++)
                for (int kx = 0; kx < a->kernel[1]; kx++) {
                    int ly = sy * a->stride[0] - a->padding[0] + ky;
                    int lx = sx * a->stride[1] - a->padding[1] + kx;
                    if (ly < 0 || ly >= large.height || lx < 0 || lx >= large.width) continue;
                    if (transposed)
                        meet_channels(call, each, sy, sx, ly, lx, ky, kx);
                    else
                        meet_channels(call, each, ly, lx, sy, sx, ky, kx);
                }
}

static void meet_forward(const us_reference *call, us_meeting at) {
    for (int n = 0; n < call->n; n++)
        call->y[at.out + (size_t)n] += call->tensors[0][at.weight] * call->x[at.in + (size_t)n];
}

static void meet_dx(const us_reference *call, us_meeting at) {
    for (int n = 0; n < call->n; n++)
        call->dx[at.in + (size_t)n] += call->tensors[0][at.weight] * call->dy[at.out + (size_t)n];
}

static void meet_gradient(const us_reference *call, us_meeting at) {
    for (int n = 0; n < call->n; n++)
        call->gradients[0][at.weight] += call->x[at.in + (size_t)n] * call->dy[at.out + (size_t)n];
}

static void forward(const us_reference *call, bool transposed) {
    const us_convolution_attributes *a = call->attributes;
    size_t size = us_shape_size(call->out) * (size_t)call->n;
    size_t per_channel = size / (size_t)call->out.channels;
    for (size_t i = 0; i < size; i++)
        call->y[i] = a->bias ? call->tensors[1][i / per_channel] : 0;
    meet(call, transposed, meet_forward);
    for (size_t i = 0; i < size; i++)
        call->y[i] = us_activate(call->activation, call->y[i]);
}

static void backward(const us_reference *call, bool transposed) {
    const us_convolution_attributes *a = call->attributes;
    if (call->dx) {
        size_t size = us_shape_size(call->in) * (size_t)call->n;
        memset(call->dx, 0, size * sizeof *call->dx);
        meet(call, transposed, meet_dx);
        for (size_t i = 0; i < size; i++)
            call->dx[i] *= us_activation_slope(call->input_activation, call->x[i]);
    }
    if (!call->gradients) return;
    if (call->gradients[0]) {
        size_t weights = (size_t)call->in.channels * (size_t)call->out.channels *
                         (size_t)a->kernel[0] * (size_t)a->kernel[1];
        memset(call->gradients[0], 0, weights * sizeof **call->gradients);
        meet(call, transposed, meet_gradient);
    }
    if (!a->bias || !call->gradients[1]) return;
    size_t per_channel = (size_t)call->out.height * (size_t)call->out.width * (size_t)call->n;
    for (size_t channel = 0; channel < (size_t)call->out.channels; channel++) {
        double sum = 0;
        for (size_t i = 0; i < per_channel; i++)
            sum += call->dy[channel * per_channel + i];
        call->gradients[1][channel] = sum;
    }
}

void us_reference_convolution_forward(const us_reference *call) {
    forward(call, false);
}

void us_reference_convolution_backward(const us_reference *call) {
    backward(call, false);
}

void us_reference_convolution_transpose_forward(const us_reference *call) {
    forward(call, true);
}

void us_reference_convolution_transpose_backward(const us_reference *call) {
    backward(call, true);
}
