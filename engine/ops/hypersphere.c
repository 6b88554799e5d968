/* SPDX-License-Identifier: MIT */
#include "ops/hypersphere.h"

#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"

/* Kernels of cl_kernels/hypersphere.cl. The loss takes distances by a kernel of its own, which
 * profiles tell from that of scoring. */
enum { SCORE_DISTANCE, LOSS_DISTANCE, LOSS, GRADIENT, KERNELS };

struct us_hypersphere {
    us_kernel *kernels[KERNELS];
    us_buffer *distances; /* of a batch, on the way to their loss */
    size_t lane_groups, row_groups;
};

static unseen_status create_kernels(us_device *device, us_shape features, int batch, int rows,
                                    us_activation activation, bool training,
                                    us_hypersphere *hypersphere, unseen_error *error) {
    static const struct {
        const char *name;
        us_pass pass;
        us_purpose purpose;
    } kernels[KERNELS] = {
        {"hypersphere_distance", US_PASS_SCORE, US_PURPOSE_SCORING},
        {"hypersphere_distance", US_PASS_LOSS, US_PURPOSE_SCORING},
        {"hypersphere_loss", US_PASS_LOSS, US_PURPOSE_TRAINING},
        {"hypersphere_gradient", US_PASS_LOSS, US_PURPOSE_TRAINING},
    };
    char options[US_ACTIVATION_OPTIONS];
    us_activation_options(options, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    for (int i = 0; i < (training ? KERNELS : SCORE_DISTANCE + 1); i++) {
        const us_build build = {
            .device = device, .purpose = kernels[i].purpose, .label.pass = kernels[i].pass};
        US_TRY(us_kernel_create(&build, "hypersphere", kernels[i].name, &hypersphere->kernels[i],
                                error, "-DFEATURES=%zu -DBATCH=%d -DROWS=%d %s",
                                us_shape_size(features), batch, rows, options));
    }
    return UNSEEN_OK;
}

unseen_status us_hypersphere_create(us_device *device, us_shape features, int batch,
                                    us_activation activation, bool training, us_hypersphere **out,
                                    unseen_error *error) {
    enum { ROWS = 16 /* features of an item's gradients */ };
    *out = NULL;
    us_hypersphere *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a hypersphere");
    made->lane_groups = (size_t)us_device_vectors(&device->facts, batch);
    made->row_groups = (us_shape_size(features) + ROWS - 1) / ROWS;
    unseen_status status = UNSEEN_OK;
    if (training)
        status = us_buffer_create(device, (size_t)batch * sizeof(float), "distances",
                                  &made->distances, error);
    if (status == UNSEEN_OK)
        status = create_kernels(device, features, batch, ROWS, activation, training, made, error);
    if (status == UNSEEN_OK)
        *out = made;
    else
        us_hypersphere_destroy(made);
    return status;
}

void us_hypersphere_destroy(us_hypersphere *hypersphere) {
    if (!hypersphere) return;
    for (int i = 0; i < KERNELS; i++)
        us_kernel_destroy(hypersphere->kernels[i]);
    us_buffer_destroy(hypersphere->distances);
    free(hypersphere);
}

static unseen_status measure(us_hypersphere *hypersphere, int kernel, us_buffer *y,
                             us_buffer *centre, us_buffer *distances, unseen_error *error) {
    const size_t groups[3] = {hypersphere->lane_groups, 1, 1};
    return us_kernel_run(hypersphere->kernels[kernel], groups, error, "bbb", y, centre, distances);
}

unseen_status us_hypersphere_score(us_hypersphere *hypersphere, us_buffer *y, us_buffer *centre,
                                   us_buffer *distances, unseen_error *error) {
    return measure(hypersphere, SCORE_DISTANCE, y, centre, distances, error);
}

unseen_status us_hypersphere_score_gradient(us_hypersphere *hypersphere, us_buffer *y,
                                            us_buffer *centre, us_buffer *distances, int n,
                                            us_buffer *dy, unseen_error *error) {
    const size_t groups[3] = {hypersphere->lane_groups, hypersphere->row_groups, 1};
    return us_kernel_run(hypersphere->kernels[GRADIENT], groups, error, "bbbbiff", y, centre,
                         distances, dy, n, 0.0, 2.0);
}

unseen_status us_hypersphere_loss(us_hypersphere *hypersphere, const us_hypersphere_args *args,
                                  unseen_error *error) {
    us_buffer *distances = hypersphere->distances;
    const double factor = 1 / (args->share * args->n);
    US_TRY(measure(hypersphere, LOSS_DISTANCE, args->y, args->centre, distances, error));
    US_TRY(us_kernel_run(hypersphere->kernels[LOSS], (size_t[]){1, 1, 1}, error, "bbiiff",
                         distances, args->losses, args->slot, args->n, args->radius_squared,
                         factor));
    if (!args->dy) return UNSEEN_OK;
    const size_t groups[3] = {hypersphere->lane_groups, hypersphere->row_groups, 1};
    return us_kernel_run(hypersphere->kernels[GRADIENT], groups, error, "bbbbiff", args->y,
                         args->centre, distances, args->dy, args->n, args->radius_squared,
                         2 * factor);
}
