/* SPDX-License-Identifier: MIT */
/* What a layer is: one row of this type per layer, in network/layer_table.c.
 *
 * Layouts on the device (floats):
 *
 *   activations: [channels][height][width][batch], "CHWN": the batch is innermost. Of its
 *   us_device_pad lanes the first n hold images. Padded lanes hold finite values and never
 *   reach a gradient of a parameter or a statistic: gradients with respect to activations are
 *   zero there.
 *
 *   weights: of a convolution, transposed or not, [in][kernel_h][kernel_w][out], "CRSK"; of a
 *   dense layer [in][out]: the output channel is innermost.
 *
 * Folded activations: an activation that follows a layer with folds_activation is computed by that
 * layer, y = a(...), and only y is stored. Every activation's derivative is a function of its
 * output. Backward: dy is with respect to the value BEFORE the layer's own activation: whoever
 * produces dy has multiplied it by the derivative of the activation of y. A layer therefore
 * multiplies its dx by the derivative of `input_activation`, given that activation's output x. */
#ifndef US_OPS_LAYER_H
#define US_OPS_LAYER_H

#include "base/json.h"
#include "device/device.h"
#include "ops/fusion.h"
#include "ops/gradient_parts.h"
#include "ops/precision.h"
#include "parallel/group.h"

typedef struct us_shape {
    int channels, height, width; /* features of a dense layer: channels, 1, 1 */
} us_shape;

static inline size_t us_shape_size(us_shape shape) {
    return (size_t)shape.channels * (size_t)shape.height * (size_t)shape.width;
}

enum { US_LAYER_MAX_TENSORS = 4 };

typedef enum us_init { US_INIT_CONSTANT, US_INIT_UNIFORM } us_init;

/* A parameter or running statistic. */
typedef struct us_tensor_spec {
    const char *name;  /* PyTorch's: "weight", "bias", "running_mean", "running_var" */
    int rank, dims[4]; /* PyTorch's order */
    int order[4];      /* axis i on the device is PyTorch's axis order[i] */
    bool trainable;
    us_init init;
    float value; /* the constant, or the bound of uniform(-bound, bound) */
} us_tensor_spec;

typedef struct us_layer_plan {
    us_device *device;
    us_label label;         /* its network and place there, for profiles */
    const void *attributes; /* what type->keys read; outlives the layer */
    us_shape in, out;
    int batch;                      /* us_device_pad of what the user asked for */
    us_activation activation;       /* computed on the output; NONE unless folds_activation */
    us_activation input_activation; /* that produced x; NONE where it is not folded */
    us_fusion fusion;
    us_precision precision; /* that is asked for */
    /* Where it may leave gradients in parts, or NULL; and where each tensor's gradient begins among
     * the network's, in floats. */
    us_gradient_parts *gradient_parts;
    size_t gradient_offset[US_LAYER_MAX_TENSORS];
    bool training; /* passes backward will follow: their kernels are created, too, so that they are
                      compiled together with those of other layers */
    us_group *group; /* the ranks that take statistics of a batch in common; NULL: there are none */
} us_layer_plan;

/* What a layer's kernels of a pass are created for. Those of backward passes, too, are compiled
 * with those of scoring, unless the layer sets another purpose. */
static inline us_build us_layer_build(const us_layer_plan *plan, us_pass pass) {
    return (us_build){
        plan->device, US_PURPOSE_SCORING, {plan->label.network, plan->label.layer, pass}};
}

/* What BatchNorm takes its statistics from. */
typedef enum us_training {
    US_TRAINING_NONE,  /* scoring: from the running ones */
    US_TRAINING_MOVES, /* from the batch, towards which the running ones move */
    US_TRAINING_STILL, /* from the batch; the running ones stay, as it is unlike what is scored */
    US_TRAINING_FIXED, /* from the running ones, as for scoring, but a pass backward will follow */
} us_training;

/* Whether to reuse what a layer computed from its tensors alone. */
typedef enum us_reuse {
    US_REUSE_NONE,  /* the tensors change before the next pass, as in training */
    US_REUSE_LATER, /* they may not: it is kept */
    US_REUSE_NOW,   /* they have not since the last pass, which kept it */
} us_reuse;

typedef struct us_layer_forward {
    us_buffer *x, *y;
    us_buffer *shortcut;       /* the other branch's output, of a layer with branches; else NULL */
    us_buffer *const *tensors; /* in the order of type->tensors */
    us_buffer *saved;          /* saved_floats, kept until backward; NULL if none */
    int n;                     /* images in the batch, 1 .. plan.batch */
    us_training training;
    us_reuse reuse;
    us_forward_fusion fusion;
} us_layer_forward;

typedef struct us_layer_backward {
    us_buffer *x, *y, *dy;
    us_buffer *dx; /* NULL: not wanted. Never aliases dy or x */
    us_buffer *const *tensors;
    us_buffer *const *gradients; /* per tensor, NULL where not trainable; NULL array: not wanted */
    us_buffer *saved;
    int n;
    us_training training; /* of the pass forward */
    bool accumulate;      /* gradients of parameters are added to what is there */
    us_backward_fusion fusion;
} us_layer_backward;

/* A layer and the normalisation after it as one, for scoring. */
typedef struct us_layer_fold {
    us_buffer *const *tensors; /* of the normalisation */
    us_buffer *weight, *bias;  /* of the layer before; bias may be NULL */
    us_buffer *to_weight, *to_bias;
    size_t rows; /* of the weight, each with a number per channel */
} us_layer_fold;

typedef struct us_layer_type {
    const char *name;       /* in configs */
    const char *help;       /* one sentence, for the schema */
    const us_key *keys;     /* besides "layer"; ends with US_KEY_END */
    size_t attributes_size; /* of the struct that keys fill */

    /* Output shape, or UNSEEN_BAD_INPUT saying which dimension is wrong and why. */
    unseen_status (*infer)(const void *attributes, us_shape in, us_shape *out, unseen_error *error);

    /* Fills specs and returns how many; NULL: none. */
    int (*tensors)(const void *attributes, us_shape in, us_tensor_spec specs[US_LAYER_MAX_TENSORS]);

    /* Operations of one image forward, a multiply-add counted as two; NULL: 0. */
    double (*flops)(const void *attributes, us_shape in, us_shape out);

    /* Floats to keep from forward to backward; NULL: 0. */
    size_t (*saved_floats)(const void *attributes, us_shape in, int batch);

    /* Set for activation layers: what they compute. */
    us_activation (*activation)(const void *attributes);

    bool folds_activation;    /* can compute an activation on its output */
    bool is_view;             /* y is x with another shape: no kernels, create and below are NULL */
    bool folds_normalization; /* see us_forward_fusion.folded; the last axis of its weight, the
                                 first tensor, are the channels of y, and the second one, if any, is
                                 a bias */
    bool is_normalization;    /* see us_fusion.is_normalized */
    bool has_branches; /* adds the outputs of two lists of nested layers, "layers" and "shortcut":
                          the network reads and runs those and sums gradients; backward is NULL */

    unseen_status (*create)(const us_layer_plan *plan, void **layer, unseen_error *error);
    void (*destroy)(void *layer);
    unseen_status (*forward)(void *layer, const us_layer_forward *args, unseen_error *error);
    unseen_status (*backward)(void *layer, const us_layer_backward *args, unseen_error *error);

    /* Normalisations only. */
    unseen_status (*fold)(void *layer, const us_layer_fold *args, unseen_error *error);
} us_layer_type;

/* A row for each layer that a config can name, in the order of the schema: us_NAME_layer. */
#define US_LAYER_TYPES(ROW)                                                                        \
    ROW(convolution)                                                                               \
    ROW(convolution_transpose)                                                                     \
    ROW(dense)                                                                                     \
    ROW(batchnorm)                                                                                 \
    ROW(groupnorm)                                                                                 \
    ROW(relu)                                                                                      \
    ROW(leaky_relu)                                                                                \
    ROW(tanh)                                                                                      \
    ROW(sigmoid)                                                                                   \
    ROW(gelu)                                                                                      \
    ROW(average_pool)                                                                              \
    ROW(max_pool)                                                                                  \
    ROW(flatten)                                                                                   \
    ROW(reshape)                                                                                   \
    ROW(residual)

#define US_LAYER_DECLARATION(name) extern const us_layer_type us_##name##_layer;
US_LAYER_TYPES(US_LAYER_DECLARATION)

#endif
