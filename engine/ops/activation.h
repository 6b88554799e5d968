/* Activations: as build options that common.cl understands, and on the host. */
#ifndef US_OPS_ACTIVATION_H
#define US_OPS_ACTIVATION_H

#include <stdio.h>

#include "ops/layer.h"

enum { US_ACTIVATION_OPTIONS = 128 };

/* The options for a kernel that applies `own` to what it writes and whose input `input` produced.
 */
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
