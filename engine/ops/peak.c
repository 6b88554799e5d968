/* SPDX-License-Identifier: MIT */
#include "ops/peak.h"

#include "base/clock.h"

enum { CHAINS = 10, LAUNCHES = 5, COPY_BYTES = 128 << 20, COPY_GROUPS_PER_UNIT = 64 };

static const double enough_seconds = 0.5; /* for copying */

static unseen_status launch(us_device *device, us_kernel *kernel, us_buffer *out, size_t groups,
                            int rounds, double *seconds, unseen_error *error) {
    double started = us_clock();
    US_TRY(
        us_kernel_run(kernel, (size_t[3]){groups, 1, 1}, error, "iffb", rounds, 0.999, 0.001, out));
    US_TRY(us_device_finish(device, error));
    *seconds = us_clock() - started;
    return UNSEEN_OK;
}

unseen_status us_peak_measure(us_device *device, double *flops_per_second, unseen_error *error) {
    size_t groups = (size_t)device->facts.compute_units *
                    (device->facts.execution == US_EXECUTION_LANES ? 64 : 4);
    us_kernel *kernel = NULL;
    us_buffer *out = NULL;
    int rounds = 4; /* llvmpipe needs a second for a thousand */
    double seconds = 0;
    *flops_per_second = 0;
    unseen_status status = us_kernel_create(&(us_build){.device = device}, "peak",
                                            "peak_arithmetic", &kernel, error, "%s", "");
    if (status == UNSEEN_OK)
        status = us_buffer_create(device, groups * (size_t)device->facts.group_size * sizeof(float),
                                  "the peak measurement", &out, error);
    /* The first launch also compiles. Then rounds grow until one takes long enough to be timed. */
    if (status == UNSEEN_OK) status = launch(device, kernel, out, groups, rounds, &seconds, error);
    seconds = 0;
    while (status == UNSEEN_OK && seconds < 0.02 && rounds < 1 << 28) {
        rounds *= 2;
        status = launch(device, kernel, out, groups, rounds, &seconds, error);
    }
    for (int i = 0; status == UNSEEN_OK && i < LAUNCHES; i++) {
        double flops = 2.0 * CHAINS * us_device_lanes(&device->facts) * (double)groups * rounds;
        status = launch(device, kernel, out, groups, rounds, &seconds, error);
        if (flops / seconds > *flops_per_second) *flops_per_second = flops / seconds;
    }
    us_buffer_destroy(out);
    us_kernel_destroy(kernel);
    return status;
}

/* Large enough not to stay in a cache, or what the device has room for. */
static size_t copy_bytes(const us_device_facts *device) {
    size_t bytes = COPY_BYTES;
    while (bytes > device->largest_allocation_bytes || bytes > device->memory_bytes / 8)
        bytes /= 2;
    return bytes;
}

static unseen_status copy(us_device *device, us_kernel *kernel, us_buffer *from, us_buffer *to,
                          double *bytes_per_second, unseen_error *error) {
    size_t vectors = from->bytes / sizeof(float) / (size_t)us_device_lanes(&device->facts);
    size_t groups = (size_t)device->facts.compute_units * COPY_GROUPS_PER_UNIT;
    size_t each = vectors / groups;
    double moved = 2.0 * (double)(groups * each) * us_device_lanes(&device->facts) * sizeof(float);
    const double begun = us_clock();
    for (int i = 0; i < 2 || (i < LAUNCHES && us_clock() - begun < enough_seconds); i++) {
        double started = us_clock();
        US_TRY(us_kernel_run(kernel, (size_t[3]){groups, 1, 1}, error, "bbi", from, to,
                             (int32_t)each));
        US_TRY(us_device_finish(device, error));
        double rate = moved / (us_clock() - started);
        if (i > 0 && rate > *bytes_per_second) *bytes_per_second = rate; /* the first warms up */
    }
    return UNSEEN_OK;
}

unseen_status us_peak_measure_memory(us_device *device, double *bytes_per_second,
                                     unseen_error *error) {
    us_kernel *kernel = NULL;
    us_buffer *from = NULL, *to = NULL;
    const char *what = "the peak measurement";
    size_t bytes = copy_bytes(&device->facts);
    *bytes_per_second = 0;
    unseen_status status = us_kernel_create(&(us_build){.device = device}, "peak", "peak_copy",
                                            &kernel, error, "%s", "");
    if (status == UNSEEN_OK) status = us_buffer_create(device, bytes, what, &from, error);
    if (status == UNSEEN_OK) status = us_buffer_create(device, bytes, what, &to, error);
    if (status == UNSEEN_OK) status = copy(device, kernel, from, to, bytes_per_second, error);
    us_buffer_destroy(from);
    us_buffer_destroy(to);
    us_kernel_destroy(kernel);
    return status;
}
