/* SPDX-License-Identifier: MIT */
#include "tuning/tuner_builders.h"

#include <unistd.h>

#include "base/arithmetic.h"
#include "device/process.h"
#include "device/program.h"
#include "tuning/tuner_starts.h"

/* ---- in a builder ---- */

/* What cannot be made or built says so in its trial. */
static void build(us_device *device, const us_tuner_shape *shape, const us_choice *choice) {
    void *operation;
    if (shape->tunable->create(device, shape->problem, choice, &operation, NULL) == UNSEEN_OK)
        us_programs_build(device);
    shape->tunable->destroy(operation);
    us_device_drop_scratch(device); /* whose memory trials may need */
}

/* In the order of a search, in which the default's programs are there when others are built: all
 * that wait are built as one. */
static void build_shape(us_device *device, const us_tuner_shape *shape) {
    us_choice starts[US_TUNER_STARTS];
    const int count = us_tuner_starts(shape->tunable, &device->facts, shape->problem, starts);
    const us_choice usual = us_tunable_default(shape->tunable, &device->facts, shape->problem);
    us_programs_release(device);
    build(device, shape, &usual);
    for (int i = 0; i < count; i++)
        build(device, shape, &starts[i]);
}

/* ---- in the parent ---- */

int us_builders_wanted(const us_device_facts *device, int processors) {
    const uint64_t room = (uint64_t)8 << 30; /* a driver's own memory, and partial sums */
    if (!us_device_is_gpu(device)) return 0;
    const int wanted = us_smaller((int64_t)(device->memory_bytes / room), processors - 2);
    return wanted < 0 ? 0 : us_smaller(wanted, US_BUILDERS_MOST);
}

void us_builders_start(const char *selector, const us_tuner_shape *shapes, int shape_count,
                       int wanted, us_builders *builders) {
    *builders = (us_builders){.count = 0};
    while (builders->count < wanted &&
           builders->count < us_smaller(shape_count, US_BUILDERS_MOST)) {
        const pid_t process = us_process_fork();
        if (process < 0) return;
        if (process > 0) {
            builders->processes[builders->count++] = process;
            continue;
        }
        us_device *device;
        if (us_device_open(selector, &device, NULL) != UNSEEN_OK) _exit(0);
        for (int i = builders->count; i < shape_count; i += wanted)
            build_shape(device, &shapes[i]);
        _exit(0);
    }
}

void us_builders_end(us_builders *builders) {
    char how[80];
    for (int i = 0; i < builders->count; i++)
        us_process_end(builders->processes[i], how);
    builders->count = 0;
}
