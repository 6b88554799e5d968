/* SPDX-License-Identifier: MIT */
#include "ops/turned_views.h"

#include <stdlib.h>

struct us_turned_views {
    us_kernel *images, *labels;
    int wide;
    size_t groups[3];
};

unseen_status us_turned_views_create(us_device *device, us_purpose purpose, us_shape shape,
                                     int batch, int wide, us_turned_views **out,
                                     unseen_error *error) {
    *out = NULL;
    us_turned_views *views = calloc(1, sizeof *views);
    if (!views) return us_fail_memory(error, "turned images");
    const int occupied = us_device_vectors(&device->facts, wide);
    const int vectors = device->facts.execution == US_EXECUTION_LANES ? 1 : occupied;
    views->wide = wide;
    views->groups[0] = (size_t)(occupied / vectors);
    views->groups[1] = (size_t)shape.channels * (size_t)shape.height;
    views->groups[2] = 1;
    const char *const names[] = {"turned_views", "turned_views_labels"};
    us_kernel **const kernels[] = {&views->images, &views->labels};
    const us_build build = {.device = device, .purpose = purpose, .label.pass = US_PASS_IMAGES};
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < 2 && status == UNSEEN_OK; i++)
        status = us_kernel_create(&build, "turned_views", names[i], kernels[i], error,
                                  "-DSIDE=%d -DBATCH=%d -DWIDE_BATCH=%d -DTURNS=%d -DVECTORS=%d",
                                  shape.height, batch, wide, US_TURNS, vectors);
    if (status == UNSEEN_OK)
        *out = views;
    else
        us_turned_views_destroy(views);
    return status;
}

void us_turned_views_destroy(us_turned_views *views) {
    if (!views) return;
    us_kernel_destroy(views->images);
    us_kernel_destroy(views->labels);
    free(views);
}

unseen_status us_turned_views_run(us_turned_views *views, const us_turned_views_args *args,
                                  unseen_error *error) {
    if (args->labels)
        US_TRY(us_kernel_run_elements(views->labels, (size_t)views->wide, error, "bi", args->labels,
                                      args->stride));
    return us_kernel_run(views->images, views->groups, error, "bbiii", args->x, args->out, args->n,
                         args->stride, args->parts);
}
