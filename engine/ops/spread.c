/* SPDX-License-Identifier: MIT */
#include "ops/spread.h"

#include <stdlib.h>

struct us_spread {
    us_kernel *kernel;
};

unseen_status us_spread_create(us_device *device, int batch, us_spread **out, unseen_error *error) {
    *out = NULL;
    us_spread *spread = calloc(1, sizeof *spread);
    if (!spread) return us_fail_memory(error, "a spread");
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_LOSS};
    unseen_status status =
        us_kernel_create(&build, "spread", "spread", &spread->kernel, error, "-DBATCH=%d", batch);
    if (status != UNSEEN_OK) {
        us_spread_destroy(spread);
        return status;
    }
    *out = spread;
    return UNSEEN_OK;
}

void us_spread_destroy(us_spread *spread) {
    if (!spread) return;
    us_kernel_destroy(spread->kernel);
    free(spread);
}

unseen_status us_spread_run(us_spread *spread, us_buffer *values, us_buffer *out, int slot, int n,
                            unseen_error *error) {
    return us_kernel_run(spread->kernel, (size_t[]){1, 1, 1}, error, "bbii", values, out, slot, n);
}
