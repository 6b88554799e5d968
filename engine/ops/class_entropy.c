/* SPDX-License-Identifier: MIT */
#include "ops/class_entropy.h"

#include <stdlib.h>

#include "ops/activation.h"

struct us_class_entropy {
    us_kernel *each, *sum, *weighted;
    size_t groups;
};

int us_class_heads_classes(const us_class_heads *heads) {
    int classes = 0;
    for (int h = 0; h < heads->count; h++)
        classes += heads->sizes[h];
    return classes;
}

/* A byte for each. */
static unsigned pack(const int *values, int count) {
    unsigned packed = 0;
    for (int i = 0; i < count; i++)
        packed |= (unsigned)values[i] << (8 * i);
    return packed;
}

unseen_status us_class_entropy_create(us_device *device, us_purpose purpose,
                                      const us_class_heads *heads, int batch,
                                      us_activation activation, us_class_entropy **out,
                                      unseen_error *error) {
    *out = NULL;
    us_class_entropy *entropy = calloc(1, sizeof *entropy);
    if (!entropy) return us_fail_memory(error, "a loss");
    entropy->groups = (size_t)(batch / us_device_lanes(&device->facts));
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    const char *const names[] = {"class_entropy", "class_entropy_sum", "class_entropy_weighted"};
    us_kernel **const kernels[] = {&entropy->each, &entropy->sum, &entropy->weighted};
    const us_build build = {.device = device, .purpose = purpose, .label.pass = US_PASS_LOSS};
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < 3 && status == UNSEEN_OK; i++)
        status =
            us_kernel_create(&build, "class_entropy", names[i], kernels[i], error,
                             "-DHEADS=%d -DHEAD_SIZES=0x%xu -DHEAD_DIVISORS=0x%xu -DBATCH=%d %s",
                             heads->count, pack(heads->sizes, heads->count),
                             pack(heads->divisors, heads->count), batch, activations);
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
    us_kernel_destroy(entropy->weighted);
    free(entropy);
}

unseen_status us_class_entropy_run(us_class_entropy *entropy, const us_class_entropy_args *args,
                                   unseen_error *error) {
    const double scale = 1.0 / args->n;
    US_TRY(us_kernel_run(entropy->each, (size_t[]){entropy->groups, 1, 1}, error, "bbbbifi",
                         args->y, args->labels, args->dy, args->entropies, args->n,
                         args->gradient_of_sum ? 1.0 : scale, args->accumulate));
    if (!args->losses) return UNSEEN_OK;
    return us_kernel_run(entropy->sum, (size_t[]){1, 1, 1}, error, "bbif", args->entropies,
                         args->losses, args->slot, scale);
}

unseen_status us_class_entropy_weighted(us_class_entropy *entropy, const us_class_weighting *args,
                                        unseen_error *error) {
    return us_kernel_run(entropy->weighted, (size_t[]){entropy->groups, 1, 1}, error, "bbbbUii",
                         args->y, args->weights, args->dy, args->scores, (uint64_t)args->first,
                         args->n, args->accumulate);
}
