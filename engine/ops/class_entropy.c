/* SPDX-License-Identifier: MIT */
#include "ops/class_entropy.h"

#include <stdlib.h>

#include "ops/activation.h"

struct us_class_entropy {
    us_kernel *each, *sum;
    size_t groups;
};

unseen_status us_class_entropy_create(us_device *device, us_purpose purpose, int classes, int batch,
                                      us_activation activation, us_class_entropy **out,
                                      unseen_error *error) {
    *out = NULL;
    us_class_entropy *entropy = calloc(1, sizeof *entropy);
    if (!entropy) return us_fail_memory(error, "a loss");
    entropy->groups = (size_t)(batch / us_device_lanes(&device->facts));
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    const char *const names[] = {"class_entropy", "class_entropy_sum"};
    us_kernel **const kernels[] = {&entropy->each, &entropy->sum};
    const us_build build = {.device = device, .purpose = purpose, .label.pass = US_PASS_LOSS};
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < 2 && status == UNSEEN_OK; i++)
        status = us_kernel_create(&build, "class_entropy", names[i], kernels[i], error,
                                  "-DCLASSES=%d -DBATCH=%d %s", classes, batch, activations);
    if (status != UNSEEN_OK) {
        us_class_entropy_destroy(entropy);
        return status;
    }
    *out = entropy;
    return UNSEEN_OK;
}

void us_class_entropy_destroy(us_class_entropy *entropy) {
    if (!entropy) return;
    us_kernel_destroy(entropy->each);
    us_kernel_destroy(entropy->sum);
    free(entropy);
}

unseen_status us_class_entropy_run(us_class_entropy *entropy, const us_class_entropy_args *args,
                                   unseen_error *error) {
    const double scale = 1.0 / args->n;
    US_TRY(us_kernel_run(entropy->each, (size_t[]){entropy->groups, 1, 1}, error, "bbbbifi",
                         args->y, args->labels, args->dy, args->entropies, args->n, scale,
                         args->accumulate));
    if (!args->losses) return UNSEEN_OK;
    return us_kernel_run(entropy->sum, (size_t[]){1, 1, 1}, error, "bbif", args->entropies,
                         args->losses, args->slot, scale);
}
