/* Outputs compared with images on their way: us_target in engine/ops/layer.h. Options: COMPARED,
 * and INPUT_ACTIVATION, which is then the one that gives the outputs. */
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
