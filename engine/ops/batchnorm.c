/* SPDX-License-Identifier: MIT */
/* BatchNorm, over images and pixels per channel. Running statistics move by `momentum` towards the
 * batch's mean and unbiased variance, as PyTorch's do. With one value per channel (one image of one
 * pixel), where PyTorch refuses to train, both variances are 0. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "ops/activation.h"
#include "ops/attributes.h"
#include "ops/group_statistics.h"
#include "ops/layer.h"

/* How the work is cut. */
typedef struct us_batchnorm_tuning {
    int items;    /* of a work-group */
    int vectors;  /* of the batch per work-item, all of them; not for LANES */
    int rows;     /* pixels per work-group */
    int channels; /* channels per work-group */
} us_batchnorm_tuning;

typedef struct us_batchnorm {
    us_device *device;
    us_batchnorm_attributes attributes;
    us_batchnorm_tuning tuning;
    int channels, pixels, batch;
    size_t groups[3];
    us_parts parts;                  /* of moments or of gradients' sums */
    us_group_statistics *statistics; /* in common with other ranks; NULL: of this one alone */
    us_kernel *take_moments, *apply, *fold, *gradient_sums, *input_gradient;
} us_batchnorm;

enum {
    PART_FLOATS = 32768,   /* of a part on a CPU: a cache keeps it until it is read again */
    LANES_ITEMS = 256,     /* of a work-group of a GPU, a power of two */
    LANES_GROUPS = 4,      /* wanted per compute unit of a GPU */
    LANES_QUADS = 2,       /* of a work-item, at least, where there are as many */
    LANES_MAX_SPLITS = 64, /* so that adding up the parts again stays short */
    STATISTICS = 4,        /* of a channel, see us_backward_fusion.statistics */
};

static int clamp_int(int64_t value, int low, int high) {
    return value < low ? low : value > high ? high : (int)value;
}

/* Whole pixels, so that every work-group has the first image's values. */
static us_batchnorm_tuning lanes_tuning(const us_device_facts *device, us_shape shape, int batch) {
    us_batchnorm_tuning tuning = {.items = LANES_ITEMS, .vectors = 1, .channels = 1};
    while ((size_t)tuning.items > device->max_group_size)
        tuning.items /= 2;
    const int pixels = shape.height * shape.width;
    const int wanted = us_divide_up(LANES_GROUPS * device->compute_units, shape.channels);
    const int splits = us_smaller(wanted, LANES_MAX_SPLITS);
    const int least = us_divide_up(LANES_QUADS * tuning.items * 4, batch);
    tuning.rows = clamp_int(us_divide_up(pixels, splits), us_smaller(least, pixels), pixels);
    return tuning;
}

static us_batchnorm_tuning batchnorm_tuning_default(const us_device_facts *device, us_shape shape,
                                                    int batch) {
    if (device->execution == US_EXECUTION_LANES) return lanes_tuning(device, shape, batch);
    us_batchnorm_tuning tuning = {.items = 1, .channels = 1};
    const int pixels = shape.height * shape.width;
    tuning.vectors = us_device_vectors(device, batch);
    tuning.rows = clamp_int(PART_FLOATS / batch, 1, pixels);
    /* Few channels on many cores: cut finer, so that all have work. */
    const int wanted = (4 * device->compute_units + shape.channels - 1) / shape.channels;
    tuning.rows = clamp_int(tuning.rows, 1, (pixels + wanted - 1) / wanted);
    if (tuning.rows == pixels) {
        const int most = (shape.channels + wanted - 1) / wanted;
        const int cores =
            (shape.channels + 4 * device->compute_units - 1) / (4 * device->compute_units);
        tuning.channels =
            clamp_int(PART_FLOATS / ((int64_t)pixels * batch), 1, cores < most ? cores : most);
    }
    return tuning;
}

static void destroy(void *pointer) {
    us_batchnorm *layer = pointer;
    if (!layer) return;
    us_buffer_destroy(layer->parts.buffer);
    us_group_statistics_destroy(layer->statistics);
    us_kernel *const kernels[] = {layer->take_moments, layer->apply, layer->fold,
                                  layer->gradient_sums, layer->input_gradient};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        us_kernel_destroy(kernels[i]);
    free(layer);
}

static unseen_status create_kernels(us_batchnorm *layer, const us_layer_plan *plan,
                                    unseen_error *error) {
    const struct {
        const char *name;
        us_pass pass;
        us_kernel **kernel;
    } kernels[] = {
        {"batchnorm_moments", US_PASS_FORWARD, &layer->take_moments},
        {"batchnorm_apply", US_PASS_FORWARD, &layer->apply},
        {"batchnorm_fold", US_PASS_FORWARD, &layer->fold},
        {"batchnorm_gradient_sums", US_PASS_BACKWARD, &layer->gradient_sums},
        {"batchnorm_input_gradient", US_PASS_BACKWARD, &layer->input_gradient},
    };
    char options[US_ACTIVATION_OPTIONS];
    us_activation_options(options, plan->activation, plan->input_activation);
    int step = 8;
    while (layer->tuning.vectors % step)
        step /= 2;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        const us_build build = us_layer_build(plan, kernels[i].pass);
        US_TRY(us_kernel_create(&build, "batchnorm", kernels[i].name, kernels[i].kernel, error,
                                "-DSTEP=%d -DITEMS=%d %s", step, layer->tuning.items, options));
    }
    return UNSEEN_OK;
}

static unseen_status create_buffers(us_batchnorm *layer, unseen_error *error) {
    enum { MOST_VALUES = 3 };
    const int width = layer->device->facts.vector_width;
    const int parts = (int)(layer->groups[0] * layer->groups[1]);
    layer->parts.stride = us_divide_up(parts, width) * width;
    return us_buffer_create(layer->device,
                            (size_t)layer->channels * MOST_VALUES * (size_t)layer->parts.stride *
                                sizeof(float),
                            "batchnorm sums", &layer->parts.buffer, error);
}

static unseen_status create(const us_layer_plan *plan, void **out, unseen_error *error) {
    *out = NULL;
    us_batchnorm *layer = calloc(1, sizeof *layer);
    if (!layer) return us_fail_memory(error, "a batchnorm layer");
    us_device *device = layer->device = plan->device;
    memcpy(&layer->attributes, plan->attributes, sizeof layer->attributes);
    layer->channels = plan->in.channels;
    layer->pixels = plan->in.height * plan->in.width;
    layer->batch = plan->batch;
    layer->tuning = batchnorm_tuning_default(&device->facts, plan->in, plan->batch);
    const us_batchnorm_tuning *tuning = &layer->tuning;
    const bool lanes = device->facts.execution == US_EXECUTION_LANES;
    layer->groups[0] =
        lanes ? 1 : (size_t)(us_device_vectors(&device->facts, plan->batch) / tuning->vectors);
    layer->groups[1] = (size_t)us_divide_up(layer->pixels, tuning->rows);
    layer->groups[2] = (size_t)us_divide_up(layer->channels, tuning->channels);
    unseen_status status;
    US_CHECK(create_buffers(layer, error));
    US_CHECK(create_kernels(layer, plan, error));
    if (plan->group && plan->training)
        US_CHECK(us_group_statistics_create(device, plan->group, layer->channels,
                                            &layer->statistics, error));
    *out = layer;
    return UNSEEN_OK;

done:
    destroy(layer);
    return status;
}

/* The tensors by name; without affine there are only the running statistics. */
static us_buffer *tensor(const us_batchnorm *layer, us_buffer *const *tensors, int index) {
    if (!tensors) return NULL;
    if (layer->attributes.affine) return tensors[index];
    return index < 2 ? NULL : tensors[index - 2];
}
enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VARIANCE };

/* The arguments that the kernels declare by SHAPE. */
#define SHAPE_TYPES "iiiiii"
#define SHAPE(layer)                                                                               \
    (layer)->channels, (layer)->pixels, (layer)->batch, (layer)->tuning.vectors,                   \
        (layer)->tuning.rows, (layer)->tuning.channels

/* Launches one of the kernels that have work-groups of their own size. */
#define RUN(layer, kernel, groups, error, types, ...)                                              \
    us_kernel_run_groups((layer)->kernel, groups, (size_t)(layer)->tuning.items, error,            \
                         types SHAPE_TYPES, __VA_ARGS__, SHAPE(layer))

static unseen_status forward(void *pointer, const us_layer_forward *args, unseen_error *error) {
    us_batchnorm *layer = pointer;
    const bool of_batch = args->training && args->training != US_TRAINING_FIXED;
    us_parts moments = {0}; /* none: the running ones */
    if (of_batch) moments = args->fusion.x_moments;
    if (of_batch && !moments.stride) {
        moments = layer->parts;
        US_TRY(RUN(layer, take_moments, layer->groups, error, "bbii", args->x, moments.buffer,
                   moments.stride, args->n));
    }
    if (of_batch && layer->statistics)
        US_TRY(us_group_statistics_moments(layer->statistics, &moments, error));
    us_buffer *const *tensors = args->tensors;
    const double momentum = args->training == US_TRAINING_STILL ? 0 : layer->attributes.momentum;
    return RUN(layer, apply, layer->groups, error, "bbibbbbbffb", args->x, moments.buffer,
               moments.stride, tensor(layer, tensors, WEIGHT), tensor(layer, tensors, BIAS),
               args->training ? args->saved : NULL, tensor(layer, tensors, RUNNING_MEAN),
               tensor(layer, tensors, RUNNING_VARIANCE), momentum, layer->attributes.epsilon,
               args->y);
}

/* What follows from the sums, over `values` values: gradients of parameters, and of x where there
 * is dx. */
static unseen_status finish_backward(us_batchnorm *layer, const us_layer_backward *args,
                                     us_parts sums, bool parameters, us_buffer *dx, double values,
                                     unseen_error *error) {
    const size_t first[3] = {1, 1, layer->groups[2]};
    us_buffer *const *gradients = parameters ? args->gradients : NULL;
    return RUN(layer, input_gradient, dx ? layer->groups : first, error, "bbbbibbbfii", args->x,
               args->dy, args->saved, sums.buffer, sums.stride, tensor(layer, gradients, WEIGHT),
               tensor(layer, gradients, BIAS), dx, values, (int32_t)args->accumulate, args->n);
}

/* Statistics that do not depend on the batch are as those of a batch of endless size. */
static unseen_status backward(void *pointer, const us_layer_backward *args, unseen_error *error) {
    us_batchnorm *layer = pointer;
    const bool fixed = args->training == US_TRAINING_FIXED;
    const double values = fixed ? (double)FLT_MAX : (double)args->n * (double)layer->pixels;
    us_parts sums = args->fusion.dy_sums;
    if (!sums.stride) {
        sums = layer->parts;
        US_TRY(RUN(layer, gradient_sums, layer->groups, error, "bbbbi", args->x, args->dy,
                   args->saved, sums.buffer, sums.stride));
    }
    if (!layer->statistics || fixed)
        return finish_backward(layer, args, sums, true, args->dx, values, error);
    /* Gradients of parameters are added up over the ranks later, as those of other layers. */
    if (args->gradients) US_TRY(finish_backward(layer, args, sums, true, NULL, values, error));
    double all_values = values;
    US_TRY(us_group_statistics_sums(layer->statistics, &sums, &all_values, error));
    return args->dx ? finish_backward(layer, args, sums, false, args->dx, all_values, error)
                    : UNSEEN_OK;
}

static unseen_status fold(void *pointer, const us_layer_fold *args, unseen_error *error) {
    us_batchnorm *layer = pointer;
    us_buffer *const *tensors = args->tensors;
    const size_t rows[3] = {args->rows, 1, 1};
    return us_kernel_run(layer->fold, rows, error, "bbbbfbbbbi",
                         tensor(layer, tensors, RUNNING_MEAN),
                         tensor(layer, tensors, RUNNING_VARIANCE), tensor(layer, tensors, WEIGHT),
                         tensor(layer, tensors, BIAS), layer->attributes.epsilon, args->weight,
                         args->bias, args->to_weight, args->to_bias, layer->channels);
}

static unseen_status infer(const void *attributes, us_shape in, us_shape *out,
                           unseen_error *error) {
    (void)attributes;
    if ((int64_t)in.height * in.width > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%d x %d pixels are more than a layer can have",
                       in.height, in.width);
    *out = in;
    return UNSEEN_OK;
}

static int tensors(const void *attributes, us_shape in,
                   us_tensor_spec specs[US_LAYER_MAX_TENSORS]) {
    const us_batchnorm_attributes *batchnorm = attributes;
    const us_tensor_spec all[] = {
        {.name = "weight", .trainable = true, .value = 1},
        {.name = "bias", .trainable = true, .value = 0},
        {.name = "running_mean", .value = 0},
        {.name = "running_var", .value = 1},
    };
    int count = 0;
    for (int i = batchnorm->affine ? 0 : 2; i < 4; i++, count++) {
        specs[count] = all[i];
        specs[count].rank = 1;
        specs[count].dims[0] = in.channels;
        specs[count].init = US_INIT_CONSTANT;
    }
    return count;
}

static double flops(const void *attributes, us_shape in, us_shape out) {
    (void)attributes;
    (void)out;
    return 2.0 * (double)us_shape_size(in);
}

static size_t saved_floats(const void *attributes, us_shape in, int batch) {
    (void)attributes;
    (void)batch;
    return STATISTICS * (size_t)in.channels;
}

static const us_key keys[] = {
    {.name = "momentum",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_batchnorm_attributes, momentum),
     .minimum = 0,
     .maximum = 1,
     .fallback = {0.1},
     .help = "How far one batch moves the running statistics, which scoring uses."},
    {.name = "epsilon",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_batchnorm_attributes, epsilon),
     .minimum = 0,
     .maximum = 1,
     .above_minimum = true,
     .fallback = {1e-5},
     .help = "Added to the variance before its root is taken."},
    {.name = "affine",
     .kind = US_KEY_BOOL,
     .offset = offsetof(us_batchnorm_attributes, affine),
     .fallback = {1},
     .help = "Whether a weight and a bias per channel are learned."},
    {.kind = US_KEY_END},
};

const us_layer_type us_batchnorm_layer = {
    .name = "batchnorm",
    .help = "Takes each channel's mean away and divides by its standard deviation.",
    .keys = keys,
    .attributes_size = sizeof(us_batchnorm_attributes),
    .infer = infer,
    .tensors = tensors,
    .flops = flops,
    .saved_floats = saved_floats,
    .folds_activation = true,
    .is_normalization = true,
    .create = create,
    .destroy = destroy,
    .forward = forward,
    .backward = backward,
    .fold = fold,
};
