/* SPDX-License-Identifier: MIT */
/* Included by kernels that can compare their outputs with images while they have them at hand
 * (us_target in engine/ops/fusion.h), rather than write them for a loss or a score to read:
 *
 *     errors[part][n]  sums of (y - target)^2 over the outputs of a part
 *     dy               scale (y - target), before the activation of y, written in place of y
 *
 * target and dy are laid out as y. A part is what one work-group computes.
 *
 * Options
 *     COMPARED    1: a target may be given; whether it is, its pointer says at run time
 *     INPUT_ACTIVATION   if COMPARED: the one that gives the outputs */
typedef struct comparison {
    __global const float *target; /* as the outputs; NULL: they are not compared */
    __global float *errors;       /* [part][BATCH] */
    float scale;
    int n;
} comparison;

#if COMPARED
/* Adds the squared errors of y to `error`. */
INLINE vec add_errors(vec y, const comparison *with, size_t at, vec error) {
    const vec difference = y - vec_load(with->target + at);
    return fma(difference, difference, error);
}

/* The gradient with respect to what gave y, in the lanes from `lane` on. */
INLINE vec error_gradient(vec y, const comparison *with, size_t at, int lane) {
    const vec difference = y - vec_load(with->target + at);
    return vec_mask(input_activation_backward(with->scale * difference, y), lane, with->n);
}
#endif
