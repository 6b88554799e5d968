#include "ops/elementwise.h"

#include <stdlib.h>

#include "ops/activation.h"

struct us_elementwise {
    us_kernel *step_within, *add_gradient;
    size_t groups[3];
};

typedef struct us_elementwise_tuning {
    int vectors; /* per work-item */
} us_elementwise_tuning;

static us_elementwise_tuning elementwise_tuning_default(const us_device *device) {
    return (us_elementwise_tuning){.vectors = device->execution == US_EXECUTION_VECTOR ? 512 : 4};
}

unseen_status us_elementwise_create(us_device *device, us_shape shape, int batch,
                                    us_activation activation, us_elementwise **out,
                                    unseen_error *error) {
    *out = NULL;
    const us_elementwise_tuning tuning = elementwise_tuning_default(device);
    const size_t count = us_shape_size(shape) * (size_t)batch;
    const size_t per_group = (size_t)tuning.vectors * (size_t)us_device_lanes(device);
    if (count > INT32_MAX - per_group)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "%zu values in a batch are beyond what one kernel can address: lower "
                       "/training/batch",
                       count);
    us_elementwise *elementwise = calloc(1, sizeof *elementwise);
    if (!elementwise) return us_fail_memory(error, "sums of tensors");
    elementwise->groups[0] = (count + per_group - 1) / per_group;
    elementwise->groups[1] = elementwise->groups[2] = 1;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    const char *const names[] = {"step_within", "add_gradient"};
    us_kernel **const kernels[] = {&elementwise->step_within, &elementwise->add_gradient};
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < 2 && status == UNSEEN_OK; i++)
        status =
            us_kernel_create(device, "elementwise", names[i], kernels[i], error,
                             "-DCOUNT=%zu -DVECTORS=%d %s", count, tuning.vectors, activations);
    if (status != UNSEEN_OK) {
        us_elementwise_destroy(elementwise);
        return status;
    }
    *out = elementwise;
    return UNSEEN_OK;
}

void us_elementwise_destroy(us_elementwise *elementwise) {
    if (!elementwise) return;
    us_kernel_destroy(elementwise->step_within);
    us_kernel_destroy(elementwise->add_gradient);
    free(elementwise);
}

unseen_status us_elementwise_step_within(us_elementwise *elementwise, us_buffer *y, us_buffer *d,
                                         float scale, float low, float high, unseen_error *error) {
    return us_kernel_run(elementwise->step_within, elementwise->groups, error, "bbfff", y, d,
                         (double)scale, (double)low, (double)high);
}

unseen_status us_elementwise_add_gradient(us_elementwise *elementwise, us_buffer *dy, us_buffer *d,
                                          us_buffer *x, unseen_error *error) {
    return us_kernel_run(elementwise->add_gradient, elementwise->groups, error, "bbb", dy, d, x);
}
