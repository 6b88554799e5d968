/* SPDX-License-Identifier: MIT */
#include "ops/transformation.h"

#include <stdlib.h>

#include "base/random.h"

struct us_transformation {
    us_kernel *draw, *each, *all, *adjoint;
    size_t groups[3];
    int batch;
};

unseen_status us_transformation_create(us_device *device, us_purpose purpose,
                                       const us_transformations *set, us_shape shape, int batch,
                                       us_transformation **out, unseen_error *error) {
    *out = NULL;
    us_transformation *transformation = calloc(1, sizeof *transformation);
    if (!transformation) return us_fail_memory(error, "transformations");
    const int occupied = us_device_vectors(&device->facts, batch);
    const int vectors = device->facts.execution == US_EXECUTION_LANES ? 1 : occupied;
    transformation->batch = batch;
    transformation->groups[0] = (size_t)(occupied / vectors);
    transformation->groups[1] = (size_t)shape.channels * (size_t)shape.height;
    transformation->groups[2] = 1;
    const char *const names[] = {"transformation_draw", "transformation_each", "transformation_all",
                                 "transformation_adjoint"};
    us_kernel **const kernels[] = {&transformation->draw, &transformation->each,
                                   &transformation->all, &transformation->adjoint};
    const us_build build = {.device = device, .purpose = purpose, .label.pass = US_PASS_IMAGES};
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < 4 && status == UNSEEN_OK; i++)
        status = us_kernel_create(
            &build, "transformation", names[i], kernels[i], error,
            "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DFLIPS=%d -DSHIFTS=%d "
            "-DSHIFT_Y=%d -DSHIFT_X=%d -DTRANSFORMATIONS=%d -DNOISE_STREAM=%d -DVECTORS=%d",
            shape.channels, shape.height, shape.width, batch, set->flips, set->shifts, set->shift_y,
            set->shift_x, us_transformations_count(set), US_STREAM_NOISE, vectors);
    if (status != UNSEEN_OK) {
        us_transformation_destroy(transformation);
        return status;
    }
    *out = transformation;
    return UNSEEN_OK;
}

void us_transformation_destroy(us_transformation *transformation) {
    if (!transformation) return;
    us_kernel_destroy(transformation->draw);
    us_kernel_destroy(transformation->each);
    us_kernel_destroy(transformation->all);
    us_kernel_destroy(transformation->adjoint);
    free(transformation);
}

unseen_status us_transformation_draw(us_transformation *transformation, us_buffer *labels,
                                     int fixed, uint64_t seed, uint32_t substream,
                                     unseen_error *error) {
    return us_kernel_run_elements(transformation->draw, (size_t)transformation->batch, error,
                                  "biUu", labels, fixed, seed, substream);
}

unseen_status us_transformation_each(us_transformation *transformation, us_buffer *x,
                                     us_buffer *labels, us_buffer *out, int n,
                                     unseen_error *error) {
    return us_kernel_run(transformation->each, transformation->groups, error, "bbbi", x, labels,
                         out, n);
}

unseen_status us_transformation_all(us_transformation *transformation, us_buffer *x, int t,
                                    us_buffer *out, int n, unseen_error *error) {
    return us_kernel_run(transformation->all, transformation->groups, error, "bbii", x, out, t, n);
}

unseen_status us_transformation_adjoint(us_transformation *transformation, us_buffer *gradient,
                                        int t, bool accumulate, us_buffer *dx,
                                        unseen_error *error) {
    return us_kernel_run(transformation->adjoint, transformation->groups, error, "bbii", gradient,
                         dx, t, accumulate);
}
