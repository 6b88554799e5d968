/* Convolution as a gather, down (the output is the small side: a convolution's forward) or up (the
 * output is the large side: a transposed convolution's forward). Either direction is also the
 * backward pass of the other. Twin of cl_kernels/gather.cl. */
#ifndef US_OPS_GATHER_H
#define US_OPS_GATHER_H

#include "device/tunable.h"
#include "ops/layer.h"

/* What is computed. Pairs are {along height, along width}. */
typedef struct us_gather_spec {
    us_device *device;
    bool up;
    us_shape in, out; /* of the gather: for a backward pass, the layer's out and in */
    int batch;        /* padded */
    int kernel[2], stride[2], padding[2];
    size_t in_stride, tap_stride, out_stride; /* of the weights, in floats; taps are row by row */
    bool bias;
    us_activation activation;       /* applied to the output */
    us_activation input_activation; /* or: the output is multiplied by its derivative at `input` */
    bool moments;                   /* may be wanted, see us_gather_args */
    bool compared;                  /* outputs may be, with a us_target */
} us_gather_spec;

/* How it is computed; results do not depend on it beyond rounding. */
typedef struct us_gather_tiles {
    int channels; /* output channels per work-item, at most out.channels */
    int vectors;  /* vectors of the batch per work-item, at most those of the batch; where an item
                     takes all phases of a row (BY_PHASES of gather.cl), all of these, so many at
                     a time */
    int staged;   /* input channels copied side by side at a time, for all output channels of a
                     pixel; 0: not copied. Only for US_EXECUTION_VECTOR. By Winograd's filtering:
                     those transformed at a time, a divisor of all; 0: all */
    int run;      /* work of a work-item, one after the other: pixels of a row, or, when staged,
                     times `vectors` of the batch */
    int outputs; /* Winograd's minimal filtering on tiles of outputs x outputs pixels, `run` vectors
                    of the batch per work-item, a multiple of `vectors`; 0: not. See
                    us_winograd_fits */
} us_gather_tiles;

us_gather_tiles us_gather_default(const us_gather_spec *spec);
us_gather_tiles us_gather_default_direct(const us_gather_spec *spec); /* without Winograd's */

/* ---- gather_tunable.c ---- */

extern const us_tunable us_gather_tunable;

/* The tuned tiles of the device, or else the default. */
unseen_status us_gather_choose(const us_gather_spec *spec, us_gather_tiles *tiles,
                               unseen_error *error);

/* ---- gather.c ---- */

/* The build options that say what is computed, but for what then becomes of each output: tiles do
 * not depend on that, and a layer has the same ones with and without a normalisation folded in. */
void us_gather_options(const us_gather_spec *spec, char text[US_TUNABLE_TEXT]);

typedef struct us_gather us_gather;

/* tiles NULL: those of us_gather_choose. */
unseen_status us_gather_create(const us_gather_spec *spec, const us_gather_tiles *tiles,
                               us_gather **gather, unseen_error *error);
void us_gather_destroy(us_gather *gather); /* NULL is fine */

typedef struct us_gather_args {
    us_buffer *x, *weights, *y;
    us_buffer *bias;  /* read only with spec.bias */
    us_buffer *input; /* read only with spec.input_activation */
    /* NULL; or with spec.moments, set where the implementation takes them along the way: of each
     * channel, before the activation, over n images: count, mean and sum of squared deviations.
     * Valid until the next run. */
    us_parts *moments;
    /* NULL; or, instead of moments, as in us_layer_backward, with y for dx and input for x. */
    us_buffer *normalized, *statistics;
    us_parts *sums;
    us_target *target; /* NULL; or with spec.compared, its errors set where y was compared */
    us_reuse reuse;    /* of packed weights */
    int n;
} us_gather_args;

/* Enqueues. Uses the device's scratch. */
unseen_status us_gather_run(us_gather *gather, const us_gather_args *args, unseen_error *error);

#endif
