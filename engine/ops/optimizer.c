/* SPDX-License-Identifier: MIT */
#include "ops/optimizer.h"

#include <math.h>
#include <stdlib.h>

typedef struct us_optimizer_tuning {
    int vectors; /* per work-item */
} us_optimizer_tuning;

struct us_optimizer {
    us_device *device;
    us_optimizer_kind kind;
    us_kernel *update, *norm_parts, *norm_finish;
    us_buffer *coefficient; /* what clipping multiplies gradients by */
    size_t groups;
};

enum { LANES_ITEMS = 1024 /* of a compute unit of a GPU, before items get more to do */ };

static us_optimizer_tuning optimizer_tuning_default(const us_device_facts *device, size_t floats) {
    const size_t vectors = floats / (size_t)device->vector_width;
    const size_t units = (size_t)device->compute_units;
    if (device->execution == US_EXECUTION_VECTOR) {
        const size_t share = vectors / (units * 8);
        return (us_optimizer_tuning){share < 64 ? 64 : share > 4096 ? 4096 : (int)share};
    }
    /* One at first, as an item may have to add up many parts of its gradient. */
    const size_t share = vectors / (units * LANES_ITEMS);
    return (us_optimizer_tuning){share < 1 ? 1 : share > 4 ? 4 : (int)share};
}

unseen_status us_optimizer_create(us_device *device, const char *network, us_optimizer_kind kind,
                                  size_t floats, us_optimizer **out, unseen_error *error) {
    *out = NULL;
    const us_optimizer_tuning tuning = optimizer_tuning_default(&device->facts, floats);
    const size_t per_group = (size_t)tuning.vectors * (size_t)us_device_lanes(&device->facts);
    if (floats < 1 || floats > INT32_MAX - per_group)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a network of %zu parameters cannot be optimized: 1 to %zu are possible",
                       floats, INT32_MAX - per_group);
    us_optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer) return us_fail_memory(error, "an optimizer");
    optimizer->device = device;
    optimizer->kind = kind;
    optimizer->groups = (floats + per_group - 1) / per_group;
    const struct {
        const char *name;
        us_kernel **kernel;
    } kernels[] = {{"optimizer_update", &optimizer->update},
                   {"optimizer_norm_parts", &optimizer->norm_parts},
                   {"optimizer_norm_finish", &optimizer->norm_finish}};
    const us_build build = {
        device, US_PURPOSE_TRAINING, {.network = network, .pass = US_PASS_UPDATE}};
    us_buffer *scratch;
    unseen_status status;
    US_CHECK(us_device_scratch(device, optimizer->groups * sizeof(float), &scratch, error));
    US_CHECK(us_buffer_create(device, sizeof(float), "gradient clipping", &optimizer->coefficient,
                              error));
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        US_CHECK(us_kernel_create(&build, "optimizer", kernels[i].name, kernels[i].kernel, error,
                                  "-DKIND=%d -DCOUNT=%zu -DVECTORS=%d -DPARTS=%zu", kind, floats,
                                  tuning.vectors, optimizer->groups));
    *out = optimizer;
    return UNSEEN_OK;

done:
    us_optimizer_destroy(optimizer);
    return status;
}

void us_optimizer_destroy(us_optimizer *optimizer) {
    if (!optimizer) return;
    us_kernel_destroy(optimizer->update);
    us_kernel_destroy(optimizer->norm_parts);
    us_kernel_destroy(optimizer->norm_finish);
    us_buffer_destroy(optimizer->coefficient);
    free(optimizer);
}

unseen_status us_optimizer_run(us_optimizer *optimizer, const us_optimizer_args *args,
                               unseen_error *error) {
    const size_t groups[3] = {optimizer->groups, 1, 1};
    us_buffer *coefficient = NULL;
    if (args->clip_norm > 0) {
        us_buffer *parts;
        US_TRY(
            us_device_scratch(optimizer->device, optimizer->groups * sizeof(float), &parts, error));
        US_TRY(us_kernel_run(optimizer->norm_parts, groups, error, "bbbiib", args->gradients,
                             args->parts.parts, args->parts.table, args->parts.rows,
                             args->parts.first, parts));
        US_TRY(us_kernel_run(optimizer->norm_finish, (size_t[]){1, 1, 1}, error, "bbf", parts,
                             optimizer->coefficient, args->clip_norm));
        coefficient = optimizer->coefficient;
    }
    double step = args->learning_rate, root = 1, decay = args->weight_decay;
    double beta1 = args->beta1, beta2 = args->beta2, rest1 = 1 - beta1;
    if (optimizer->kind == US_OPTIMIZER_SGD) { /* steps by rest1 gradient + beta2 moment */
        beta1 = args->momentum;
        rest1 = args->nesterov ? 1 : 0;
        beta2 = args->nesterov ? args->momentum : 1;
    } else {
        step /= 1 - pow(args->beta1, (double)args->step);
        root = 1 / sqrt(1 - pow(args->beta2, (double)args->step));
    }
    if (optimizer->kind == US_OPTIMIZER_ADAMW) decay *= args->learning_rate;
    const us_gradient_table *left = &args->parts;
    const us_loss_rest *loss = &args->loss;
    return us_kernel_run(optimizer->update, groups, error, "bbbbiibbbffffffffbibifi",
                         args->parameters, args->gradients, left->parts, left->table, left->rows,
                         left->first, args->moment1, args->moment2, coefficient, step, root, beta1,
                         rest1, beta2, 1 - beta2, args->epsilon, decay, loss->parts, loss->count,
                         loss->losses, loss->slot, loss->scale, loss->accumulate);
}
