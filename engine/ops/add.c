#include "ops/add.h"

#include <stdlib.h>

typedef struct us_add_tuning {
    int vectors; /* per work-item */
} us_add_tuning;

struct us_add {
    us_kernel *kernel;
    size_t groups;
};

static us_add_tuning add_tuning_default(const us_device *device) {
    return (us_add_tuning){.vectors = device->execution == US_EXECUTION_VECTOR ? 512 : 4};
}

unseen_status us_add_create(us_device *device, us_shape shape, int batch, us_add **out,
                            unseen_error *error) {
    *out = NULL;
    const us_add_tuning tuning = add_tuning_default(device);
    const size_t count = us_shape_size(shape) * (size_t)batch;
    const size_t per_group = (size_t)tuning.vectors * (size_t)us_device_lanes(device);
    if (count > INT32_MAX - per_group)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "a sum of %zu values in a batch is beyond what one kernel can address: "
                       "lower /training/batch",
                       count);
    us_add *add = calloc(1, sizeof *add);
    if (!add) return us_fail_memory(error, "a sum");
    add->groups = (count + per_group - 1) / per_group;
    unseen_status status = us_kernel_create(device, "add", "add", &add->kernel, error,
                                            "-DCOUNT=%zu -DVECTORS=%d", count, tuning.vectors);
    if (status != UNSEEN_OK) {
        us_add_destroy(add);
        return status;
    }
    *out = add;
    return UNSEEN_OK;
}

void us_add_destroy(us_add *add) {
    if (!add) return;
    us_kernel_destroy(add->kernel);
    free(add);
}

unseen_status us_add_run(us_add *add, us_buffer *from, us_buffer *to, unseen_error *error) {
    return us_kernel_run(add->kernel, (size_t[]){add->groups, 1, 1}, error, "bb", from, to);
}
