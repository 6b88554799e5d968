/* The gradients of a convolution's weights and bias, transposed or not. Twin of
 * cl_kernels/weight_gradient.cl. */
#ifndef US_OPS_WEIGHT_GRADIENT_H
#define US_OPS_WEIGHT_GRADIENT_H

#include "device/tunable.h"
#include "ops/layer.h"

/* What is computed. The small side is a convolution's output and a transposed convolution's input.
 * Pairs are {along height, along width}. */
typedef struct us_weight_gradient_spec {
    us_device *device;
    us_shape large, small;
    int batch; /* padded */
    int kernel[2], stride[2], padding[2];
    size_t large_stride, tap_stride, small_stride; /* of the weights, in floats */
    bool bias;                                     /* computed as well */
    bool bias_of_large; /* the bias belongs to the channels of the large side, else of the small */
} us_weight_gradient_spec;

/* How it is computed; results do not depend on it beyond rounding. */
typedef struct us_weight_gradient_tiles {
    int small, large; /* channels per work-item, at most those of the side */
    int taps;         /* of a kernel row, per work-item; at most kernel[1] */
    int splits;       /* parts that the small rows are summed in, at most small.height */
    /* Winograd's minimal filtering on tiles of outputs x outputs small pixels; 0: not, and what
     * follows is not looked at. `taps` is not used then; registers hold sums of `small` vectors of
     * an item's small channels and `large` of its rows, one for each phase of the stride and large
     * channel, and of either a multiple; splits share us_winograd_gradient_blocks. */
    int outputs;
    int item_small, item_large; /* channels per work-item */
    int vectors;                /* of the batch at a time */
} us_weight_gradient_tiles;

us_weight_gradient_tiles us_weight_gradient_default(const us_weight_gradient_spec *spec);
/* Without Winograd's filtering. */
us_weight_gradient_tiles us_weight_gradient_default_direct(const us_weight_gradient_spec *spec);

/* ---- weight_gradient_tunable.c ---- */

extern const us_tunable us_weight_gradient_tunable;

/* The tuned tiles of the device, or else the default. */
unseen_status us_weight_gradient_choose(const us_weight_gradient_spec *spec,
                                        us_weight_gradient_tiles *tiles, unseen_error *error);

/* ---- weight_gradient.c ---- */

/* The build options that say what is computed. */
void us_weight_gradient_options(const us_weight_gradient_spec *spec, char text[US_TUNABLE_TEXT]);

typedef struct us_weight_gradient us_weight_gradient;

/* tiles NULL: those of us_weight_gradient_choose. */
unseen_status us_weight_gradient_create(const us_weight_gradient_spec *spec,
                                        const us_weight_gradient_tiles *tiles,
                                        us_weight_gradient **made, unseen_error *error);
void us_weight_gradient_destroy(us_weight_gradient *gradient); /* NULL is fine */

/* Enqueues. large and small are x and dy in the order of the layer; bias is written only with
 * spec.bias. Uses the device's scratch. */
unseen_status us_weight_gradient_run(us_weight_gradient *gradient, us_buffer *large,
                                     us_buffer *small, us_buffer *weights, us_buffer *bias,
                                     bool accumulate, unseen_error *error);

#endif
