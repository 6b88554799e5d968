/* SPDX-License-Identifier: MIT */
/* Losses, optimizers and scores on the host. */
#include <math.h>

#include "selftest/reference.h"

static double loss_of(us_loss_kind kind, double y, double t, double *slope) {
    switch (kind) {
    case US_LOSS_MEAN_SQUARED_ERROR:
        break;
    case US_LOSS_BINARY_CROSS_ENTROPY:
        *slope = (y - t) / fmax(y * (1 - y), 1e-12);
        return -(t * fmax(log(y), -100) + (1 - t) * fmax(log1p(-y), -100));
    case US_LOSS_BINARY_CROSS_ENTROPY_LOGITS:
        *slope = 1 / (1 + exp(-y)) - t;
        return fmax(y, 0) - y * t + log1p(exp(-fabs(y)));
    }
    *slope = 2 * (y - t);
    return (y - t) * (y - t);
}

double us_reference_loss(us_loss_kind kind, us_activation activation, size_t count, const double *y,
                         const double *target, double target_constant, double *dy) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double slope;
        sum += loss_of(kind, y[i], target ? target[i] : target_constant, &slope);
        if (dy) dy[i] = slope / (double)count * us_activation_slope(activation, y[i]);
    }
    return sum / (double)count;
}

double us_reference_spread(size_t count, const double *values) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - sum / (double)count) * (values[i] - sum / (double)count);
    return sqrt(squares / (double)count);
}

/* Kingma and Ba, "Adam" (arXiv 1412.6980); Loshchilov and Hutter, "Decoupled weight decay
 * regularization" (arXiv 1711.05101); all as PyTorch writes them. */
void us_reference_optimizer(us_optimizer_kind kind, const us_optimizer_args *args, size_t count,
                            double *parameters, const double *gradients, double *moment1,
                            double *moment2) {
    double clipping = 1, norm = 0;
    for (size_t i = 0; i < count; i++)
        norm += gradients[i] * gradients[i];
    if (args->clip_norm > 0) clipping = fmin(1, args->clip_norm / (sqrt(norm) + 1e-6));
    for (size_t i = 0; i < count; i++) {
        double g = gradients[i] * clipping;
        if (kind == US_OPTIMIZER_ADAMW)
            parameters[i] *= 1 - args->learning_rate * args->weight_decay;
        else
            g += args->weight_decay * parameters[i];
        if (kind == US_OPTIMIZER_SGD) {
            moment1[i] = args->momentum * moment1[i] + g;
            parameters[i] -= args->learning_rate *
                             (args->nesterov ? g + args->momentum * moment1[i] : moment1[i]);
            continue;
        }
        moment1[i] = args->beta1 * moment1[i] + (1 - args->beta1) * g;
        moment2[i] = args->beta2 * moment2[i] + (1 - args->beta2) * g * g;
        const double step = (double)args->step;
        const double mean = moment1[i] / (1 - pow(args->beta1, step));
        const double square = moment2[i] / (1 - pow(args->beta2, step));
        parameters[i] -= args->learning_rate * mean / (sqrt(square) + args->epsilon);
    }
}

/* The k-th step takes the largest error that is left. */
static double top_mean(double *errors, int pixels, int k) {
    double sum = 0;
    for (int step = 0; step < k; step++) {
        int largest = 0;
        for (int p = 1; p < pixels; p++)
            if (errors[p] > errors[largest]) largest = p;
        sum += errors[largest];
        errors[largest] = -1;
    }
    return sum / k;
}

void us_reference_pixel_score(us_pixel_score_kind kind, int top_k, us_shape shape, int n,
                              const double *x, const double *y, double *scores, double *errors) {
    const int pixels = shape.height * shape.width;
    for (int j = 0; j < n; j++) {
        double sum = 0, largest = 0, size = 0;
        for (int p = 0; p < pixels; p++) {
            errors[p] = 0;
            for (int c = 0; c < shape.channels; c++) {
                const size_t i = ((size_t)c * (size_t)pixels + (size_t)p) * (size_t)n + (size_t)j;
                errors[p] += (x[i] - y[i]) * (x[i] - y[i]);
                size += (x[i] + 1) * (x[i] + 1);
            }
            sum += errors[p];
            largest = fmax(largest, errors[p]);
        }
        switch (kind) {
        case US_PIXEL_SCORE_ROOT_SUM:
            scores[j] = sqrt(sum);
            break;
        case US_PIXEL_SCORE_MEAN:
            scores[j] = sum / ((double)pixels * shape.channels);
            break;
        case US_PIXEL_SCORE_MAXIMUM:
            scores[j] = largest;
            break;
        case US_PIXEL_SCORE_TOP_K:
            scores[j] = top_mean(errors, pixels, top_k < pixels ? top_k : pixels);
            break;
        case US_PIXEL_SCORE_SUM:
            scores[j] = sum;
            break;
        case US_PIXEL_SCORE_RELATIVE:
            scores[j] = sqrt(sum) / (1 + sqrt(size));
            break;
        }
    }
}
