/* SPDX-License-Identifier: MIT */
#include "ops/random_codes.h"

#include <stdlib.h>

#include "base/random.h"

typedef struct us_random_codes_tuning {
    int vectors; /* of the batch per work-item: all of them, or 1 for LANES */
    int rows;    /* features per work-item */
} us_random_codes_tuning;

struct us_random_codes {
    us_kernel *draw;
    size_t groups[3];
};

struct us_matched_codes {
    us_kernel *match;
    size_t groups[3];
};

static us_random_codes_tuning random_codes_tuning_default(const us_device_facts *device,
                                                          size_t features, int batch) {
    if (device->execution == US_EXECUTION_LANES)
        return (us_random_codes_tuning){.vectors = 1, .rows = 1};
    const size_t items = (size_t)device->compute_units * 16;
    return (us_random_codes_tuning){.vectors = us_device_vectors(device, batch),
                                    .rows = (int)((features + items - 1) / items)};
}

/* Either kernel, and its work-groups. */
static unseen_status create_kernel(us_device *device, const char *name,
                                   us_distribution distribution, us_shape shape, int batch,
                                   us_kernel **kernel, size_t groups[3], unseen_error *error) {
    const size_t features = us_shape_size(shape);
    const us_random_codes_tuning tuning =
        random_codes_tuning_default(&device->facts, features, batch);
    groups[0] = (size_t)(us_device_vectors(&device->facts, batch) / tuning.vectors);
    groups[1] = (features + (size_t)tuning.rows - 1) / (size_t)tuning.rows;
    groups[2] = 1;
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_IMAGES};
    return us_kernel_create(&build, "random_codes", name, kernel, error,
                            "-DDISTRIBUTION=%d -DFEATURES=%zu -DBATCH=%d -DNOISE_STREAM=%d "
                            "-DVECTORS=%d -DROWS=%d",
                            distribution, features, batch, US_STREAM_NOISE, tuning.vectors,
                            tuning.rows);
}

unseen_status us_random_codes_create(us_device *device, us_distribution distribution,
                                     us_shape shape, int batch, us_random_codes **out,
                                     unseen_error *error) {
    *out = NULL;
    us_random_codes *codes = calloc(1, sizeof *codes);
    if (!codes) return us_fail_memory(error, "random codes");
    unseen_status status = create_kernel(device, "random_codes_draw", distribution, shape, batch,
                                         &codes->draw, codes->groups, error);
    if (status != UNSEEN_OK) {
        us_random_codes_destroy(codes);
        return status;
    }
    *out = codes;
    return UNSEEN_OK;
}

void us_random_codes_destroy(us_random_codes *codes) {
    if (!codes) return;
    us_kernel_destroy(codes->draw);
    free(codes);
}

unseen_status us_random_codes_draw(us_random_codes *codes, us_buffer *base, us_buffer *out, int n,
                                   float scale, uint64_t seed, uint32_t substream,
                                   unseen_error *error) {
    return us_kernel_run(codes->draw, codes->groups, error, "bbifUu", base, out, n, (double)scale,
                         seed, substream);
}

unseen_status us_matched_codes_create(us_device *device, us_shape shape, int batch,
                                      us_matched_codes **out, unseen_error *error) {
    *out = NULL;
    us_matched_codes *codes = calloc(1, sizeof *codes);
    if (!codes) return us_fail_memory(error, "matched codes");
    unseen_status status = create_kernel(device, "random_codes_match", US_DISTRIBUTION_NORMAL,
                                         shape, batch, &codes->match, codes->groups, error);
    if (status != UNSEEN_OK) {
        us_matched_codes_destroy(codes);
        return status;
    }
    *out = codes;
    return UNSEEN_OK;
}

void us_matched_codes_destroy(us_matched_codes *codes) {
    if (!codes) return;
    us_kernel_destroy(codes->match);
    free(codes);
}

unseen_status us_matched_codes_draw(us_matched_codes *codes, us_buffer *real, us_buffer *out, int n,
                                    float scale, uint64_t seed, uint32_t substream,
                                    unseen_error *error) {
    return us_kernel_run(codes->match, codes->groups, error, "bbifUu", real, out, n, (double)scale,
                         seed, substream);
}
