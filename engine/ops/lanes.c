/* SPDX-License-Identifier: MIT */
#include "ops/lanes.h"

#include <stdlib.h>

struct us_lanes {
    us_kernel *copy;
    size_t groups[3];
    int to_batch;
};

unseen_status us_lanes_create(us_device *device, us_shape shape, int from_batch, int to_batch,
                              us_lanes **out, unseen_error *error) {
    *out = NULL;
    us_lanes *lanes = calloc(1, sizeof *lanes);
    if (!lanes) return us_fail_memory(error, "lanes");
    const size_t features = us_shape_size(shape), items = (size_t)device->facts.compute_units * 8;
    const bool by_lane = device->facts.execution == US_EXECUTION_LANES;
    const size_t rows = by_lane ? 1 : (features + items - 1) / items;
    lanes->to_batch = to_batch;
    lanes->groups[0] = by_lane ? (size_t)us_device_vectors(&device->facts, to_batch) : 1;
    lanes->groups[1] = (features + rows - 1) / rows;
    lanes->groups[2] = 1;
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_IMAGES};
    const unseen_status status =
        us_kernel_create(&build, "lanes", "lanes_copy", &lanes->copy, error,
                         "-DFEATURES=%zu -DFROM_BATCH=%d -DTO_BATCH=%d -DROWS=%zu", features,
                         from_batch, to_batch, rows);
    if (status != UNSEEN_OK) {
        us_lanes_destroy(lanes);
        return status;
    }
    *out = lanes;
    return UNSEEN_OK;
}

void us_lanes_destroy(us_lanes *lanes) {
    if (!lanes) return;
    us_kernel_destroy(lanes->copy);
    free(lanes);
}

unseen_status us_lanes_copy(us_lanes *lanes, const us_lanes_args *args, unseen_error *error) {
    const int zeros = args->last ? lanes->to_batch - args->to_first - args->n : 0;
    return us_kernel_run(lanes->copy, lanes->groups, error, "bbiiii", args->from, args->to,
                         args->from_first, args->to_first, args->n, zeros);
}
