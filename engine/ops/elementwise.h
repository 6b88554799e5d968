/* SPDX-License-Identifier: MIT */
/* How kernels that work on each value of [features][batch] by itself are cut. */
#ifndef US_OPS_ELEMENTWISE_H
#define US_OPS_ELEMENTWISE_H

#include <stdint.h>

#include "ops/layer.h"

typedef struct us_elementwise {
    size_t count; /* values, those of padded lanes included */
    int vectors;  /* per work-item */
    size_t groups;
} us_elementwise;

/* Build options of such a kernel: "-DCOUNT=%zu -DVECTORS=%d". */
static inline unseen_status us_elementwise_plan(const us_device_facts *device, us_shape shape,
                                                int batch, us_elementwise *plan,
                                                unseen_error *error) {
    const size_t vectors = device->execution == US_EXECUTION_VECTOR ? 512 : 4;
    const size_t per_group = vectors * (size_t)us_device_lanes(device);
    const size_t count = us_shape_size(shape) * (size_t)batch;
    *plan = (us_elementwise){count, (int)vectors, (count + per_group - 1) / per_group};
    if (count > INT32_MAX - per_group)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "%zu values in a batch are beyond what one kernel can address: lower "
                       "/training/batch",
                       count);
    return UNSEEN_OK;
}

#endif
