/* SPDX-License-Identifier: MIT */
/* Activations: as build options that common.cl understands, and on the host. */
#ifndef US_OPS_ACTIVATION_H
#define US_OPS_ACTIVATION_H

#include <stdio.h>

typedef enum us_activation_kind {
    US_ACTIVATION_NONE,
    US_ACTIVATION_RELU,
    US_ACTIVATION_LEAKY_RELU,
    US_ACTIVATION_TANH,
    US_ACTIVATION_SIGMOID,
} us_activation_kind;

typedef struct us_activation {
    us_activation_kind kind;
    float slope; /* of LEAKY_RELU, >= 0 */
} us_activation;

enum { US_ACTIVATION_OPTIONS = 128 };

/* Build options: the kernel applies `own` to what it writes, and `input` produced what it reads. */
static inline void us_activation_options(char text[US_ACTIVATION_OPTIONS], us_activation own,
                                         us_activation input) {
    snprintf(text, US_ACTIVATION_OPTIONS,
             "-DACTIVATION=%d -DSLOPE=%.9ef -DINPUT_ACTIVATION=%d -DINPUT_SLOPE=%.9ef", own.kind,
             (double)own.slope, input.kind, (double)input.slope);
}

/* The activation of v on the host, and its derivative as a function of its output y. */
double us_activate(us_activation activation, double v);
double us_activation_slope(us_activation activation, double y);

#endif
