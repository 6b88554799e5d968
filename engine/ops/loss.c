/* SPDX-License-Identifier: MIT */
#include "ops/loss.h"

#include <stdlib.h>

#include "ops/activation.h"

typedef struct us_loss_tuning {
    int vectors; /* of the batch per work-item: all of them, or 1 for LANES */
    int rows;    /* features per work-item */
} us_loss_tuning;

enum { LANES_WHOLE = 64 /* values of an item of a GPU */ };

struct us_loss {
    us_device *device;
    us_loss_kind kind;
    us_kernel *parts, *sum, *errors_sum;
    us_buffer *sums; /* a part for each work-group */
    size_t groups[3];
    bool whole; /* a single work-group, which needs nobody to add up parts */
    double features;
};

static us_loss_tuning loss_tuning_default(const us_device_facts *device, size_t features,
                                          int batch) {
    const bool lanes = device->execution == US_EXECUTION_LANES;
    us_loss_tuning tuning = {.vectors = us_device_vectors(device, batch)};
    if (lanes) {
        /* Few values, or one of each image, are done sooner by one work-group than by two launches.
         */
        if (features == 1 || features * (size_t)tuning.vectors <= LANES_WHOLE) {
            tuning.rows = (int)features;
            return tuning;
        }
        tuning.vectors = 1;
    }
    const size_t items = (size_t)device->compute_units * 16;
    const size_t room = lanes ? items * 64 / (size_t)batch + 1 : items;
    size_t rows = (features + room - 1) / room;
    /* Long enough to be worth a work-group. */
    if (!lanes && rows * (size_t)batch < 4096) rows = 4096 / (size_t)batch + 1;
    tuning.rows = (int)(rows < features ? rows : features);
    return tuning;
}

unseen_status us_loss_create(us_device *device, us_loss_kind kind, us_shape shape, int batch,
                             us_activation activation, us_loss **out, unseen_error *error) {
    *out = NULL;
    us_loss *loss = calloc(1, sizeof *loss);
    if (!loss) return us_fail_memory(error, "a loss");
    const size_t features = us_shape_size(shape);
    const us_loss_tuning tuning = loss_tuning_default(&device->facts, features, batch);
    loss->device = device;
    loss->kind = kind;
    loss->features = (double)features;
    loss->groups[0] = (size_t)(us_device_vectors(&device->facts, batch) / tuning.vectors);
    loss->groups[1] = (features + (size_t)tuning.rows - 1) / (size_t)tuning.rows;
    loss->groups[2] = 1;
    loss->whole = loss->groups[0] * loss->groups[1] == 1;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    const char *const names[] = {"loss_parts", "loss_sum", "loss_errors_sum"};
    us_kernel **const kernels[] = {&loss->parts, &loss->sum, &loss->errors_sum};
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_LOSS};
    unseen_status status =
        us_buffer_create(device, loss->groups[0] * loss->groups[1] * sizeof(float),
                         "parts of a loss", &loss->sums, error);
    for (int i = 0; i < 3 && status == UNSEEN_OK; i++)
        status = us_kernel_create(&build, "loss", names[i], kernels[i], error,
                                  "-DKIND=%d -DFEATURES=%zu -DBATCH=%d -DOCCUPIED=%d -DVECTORS=%d "
                                  "-DROWS=%d %s",
                                  kind, features, batch, us_device_occupied(&device->facts, batch),
                                  tuning.vectors, tuning.rows, activations);
    if (status != UNSEEN_OK) {
        us_loss_destroy(loss);
        return status;
    }
    *out = loss;
    return UNSEEN_OK;
}

void us_loss_destroy(us_loss *loss) {
    if (!loss) return;
    us_kernel_destroy(loss->parts);
    us_kernel_destroy(loss->sum);
    us_kernel_destroy(loss->errors_sum);
    us_buffer_destroy(loss->sums);
    free(loss);
}

us_target us_loss_target(const us_loss *loss, const us_loss_args *args) {
    if (loss->kind != US_LOSS_MEAN_SQUARED_ERROR || args->accumulate_gradient != 0.0f)
        return (us_target){0};
    return (us_target){
        .image = args->target,
        .dy = args->dy,
        .scale = 2 * (double)args->weight / (loss->features * args->n),
    };
}

static unseen_status add_errors(us_loss *loss, const us_loss_args *args, double scale,
                                unseen_error *error) {
    if (!args->losses) return UNSEEN_OK;
    return us_kernel_run(loss->errors_sum, (size_t[]){1, 1, 1}, error, "bibiifi",
                         args->errors.buffer, args->errors.count, args->losses, args->slot, args->n,
                         scale, args->accumulate_loss);
}

unseen_status us_loss_run(us_loss *loss, const us_loss_args *args, unseen_error *error) {
    const double mean = 1 / (loss->features * args->n), scale = (double)args->weight * mean;
    const double reported = args->plain_loss ? mean : scale;
    if (args->rest) *args->rest = (us_loss_rest){0};
    if (args->errors.count > 0) return add_errors(loss, args, reported, error);
    US_TRY(us_kernel_run(loss->parts, loss->groups, error, "bbfbbiffbifibi", args->y, args->target,
                         (double)args->target_constant, args->dy, loss->sums, args->n, scale,
                         (double)args->accumulate_gradient, loss->whole ? args->losses : NULL,
                         args->slot, reported, args->accumulate_loss, args->spreads,
                         args->spread_slot));
    if (!args->losses || loss->whole) return UNSEEN_OK;
    const us_loss_rest rest = {.loss = loss,
                               .parts = loss->sums,
                               .count = (int)(loss->groups[0] * loss->groups[1]),
                               .losses = args->losses,
                               .slot = args->slot,
                               .scale = reported,
                               .accumulate = args->accumulate_loss};
    if (!args->rest) return us_loss_finish(&rest, error);
    *args->rest = rest;
    return UNSEEN_OK;
}

unseen_status us_loss_finish(const us_loss_rest *rest, unseen_error *error) {
    if (rest->count == 0) return UNSEEN_OK;
    return us_kernel_run(rest->loss->sum, (size_t[]){1, 1, 1}, error, "bibifi", rest->parts,
                         rest->count, rest->losses, rest->slot, rest->scale, rest->accumulate);
}
