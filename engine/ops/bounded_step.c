/* SPDX-License-Identifier: MIT */
#include "ops/bounded_step.h"

#include <stdlib.h>

#include "ops/elementwise.h"

struct us_bounded_step {
    us_kernel *kernel;
    size_t groups;
};

unseen_status us_bounded_step_create(us_device *device, us_shape shape, int batch,
                                     us_bounded_step **out, unseen_error *error) {
    *out = NULL;
    us_elementwise plan;
    US_TRY(us_elementwise_plan(&device->facts, shape, batch, &plan, error));
    us_bounded_step *step = calloc(1, sizeof *step);
    if (!step) return us_fail_memory(error, "steps of codes");
    step->groups = plan.groups;
    const us_build build = {.device = device, .purpose = US_PURPOSE_TRAINING};
    unseen_status status =
        us_kernel_create(&build, "bounded_step", "bounded_step", &step->kernel, error,
                         "-DCOUNT=%zu -DVECTORS=%d", plan.count, plan.vectors);
    if (status == UNSEEN_OK)
        *out = step;
    else
        us_bounded_step_destroy(step);
    return status;
}

void us_bounded_step_destroy(us_bounded_step *step) {
    if (!step) return;
    us_kernel_destroy(step->kernel);
    free(step);
}

unseen_status us_bounded_step_run(us_bounded_step *step, us_buffer *y, us_buffer *d, float scale,
                                  float low, float high, unseen_error *error) {
    return us_kernel_run(step->kernel, (size_t[]){step->groups, 1, 1}, error, "bbfff", y, d,
                         (double)scale, (double)low, (double)high);
}
