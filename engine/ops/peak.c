#include "ops/peak.h"

#include "base/clock.h"

enum { CHAINS = 10, LAUNCHES = 5 };

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
    size_t groups =
        (size_t)device->compute_units * (device->execution == US_EXECUTION_LANES ? 64 : 4);
    us_kernel *kernel = NULL;
    us_buffer *out = NULL;
    int rounds = 1000;
    double seconds = 0;
    *flops_per_second = 0;
    unseen_status status = us_kernel_create(device, "peak", "peak", &kernel, error, "%s", "");
    if (status == UNSEEN_OK)
        status = us_buffer_create(device, groups * (size_t)device->group_size * sizeof(float),
                                  "the peak measurement", &out, error);
    /* Rounds grow until a launch takes long enough to be timed. */
    while (status == UNSEEN_OK && seconds < 0.02 && rounds < 1 << 28) {
        rounds *= 2;
        status = launch(device, kernel, out, groups, rounds, &seconds, error);
    }
    for (int i = 0; status == UNSEEN_OK && i < LAUNCHES; i++) {
        double flops = 2.0 * CHAINS * us_device_lanes(device) * (double)groups * rounds;
        status = launch(device, kernel, out, groups, rounds, &seconds, error);
        if (flops / seconds > *flops_per_second) *flops_per_second = flops / seconds;
    }
    us_buffer_destroy(out);
    us_kernel_destroy(kernel);
    return status;
}
