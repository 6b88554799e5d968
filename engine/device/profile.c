/* SPDX-License-Identifier: MIT */
#include "device/profile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

const char *us_pass_name(us_pass pass) {
    static const char *const names[] = {
        [US_PASS_OTHER] = "other",
        [US_PASS_IMAGES] = "images",
        [US_PASS_FORWARD] = "forward",
        [US_PASS_BACKWARD] = "backward",
        [US_PASS_INPUT_GRADIENT] = "input gradient",
        [US_PASS_WEIGHT_GRADIENT] = "weight gradient",
        [US_PASS_LOSS] = "loss",
        [US_PASS_UPDATE] = "update",
        [US_PASS_SCORE] = "score",
    };
    return names[pass];
}

/* ---- asking ---- */

static bool event_time(cl_event event, cl_profiling_info what, double *seconds) {
    cl_ulong nanoseconds = 0;
    if (clGetEventProfilingInfo(event, what, sizeof nanoseconds, &nanoseconds, NULL) != CL_SUCCESS)
        return false;
    *seconds = 1e-9 * (double)nanoseconds;
    return true;
}

/* Whether the times of a command that writes 4 MiB are plausible: later than it was enqueued, and
 * not none. */
static bool device_tells_time(us_device *device) {
    enum { BYTES = 4 << 20 };
    us_buffer *buffer = NULL;
    cl_event event = NULL;
    const cl_uint pattern = 0;
    double queued, started, ended;
    bool plausible =
        us_buffer_create(device, BYTES, "a test of profiling", &buffer, NULL) == UNSEEN_OK &&
        clEnqueueFillBuffer(device->queue, buffer->memory, &pattern, sizeof pattern, 0, BYTES, 0,
                            NULL, &event) == CL_SUCCESS;
    plausible = us_device_finish(device, NULL) == UNSEEN_OK && plausible;
    plausible = plausible && event_time(event, CL_PROFILING_COMMAND_QUEUED, &queued) &&
                event_time(event, CL_PROFILING_COMMAND_START, &started) &&
                event_time(event, CL_PROFILING_COMMAND_END, &ended) && queued > 0 &&
                started >= queued && ended > started;
    if (event) clReleaseEvent(event);
    us_buffer_destroy(buffer);
    return plausible;
}

/* ---- beginning and end ---- */

static void drop_events(us_profile *profile) {
    for (size_t i = 0; i < profile->count; i++) {
        us_launch *launch = &profile->launches[i];
        if (launch->event) clReleaseEvent(launch->event);
        if (launch->before) clReleaseEvent(launch->before);
        launch->event = launch->before = NULL;
    }
}

void us_profile_release(us_profile *profile) {
    if (!profile) return;
    drop_events(profile);
    free(profile->launches);
    free(profile);
}

unseen_status us_profile_begin(us_device *device, unseen_error *error) {
    US_TRY(us_device_finish(device, error));
    us_profile *profile = calloc(1, sizeof *profile);
    if (!profile) return us_fail_memory(error, "a profile");
    cl_int code;
    cl_command_queue timed =
        clCreateCommandQueue(device->context, device->id, CL_QUEUE_PROFILING_ENABLE, &code);
    profile->plain = device->queue;
    if (timed) device->queue = timed;
    profile->by_host = !timed || !device_tells_time(device);
    profile->begun = us_clock();
    device->profile = profile;
    return UNSEEN_OK;
}

/* Puts the device's times on the host's clock: the first command was queued while the host enqueued
 * it, and none started before the host asked for it. */
static bool read_times(us_profile *profile) {
    double offset = 0, late = 0;
    for (size_t i = 0; i < profile->count; i++) {
        us_launch *launch = &profile->launches[i];
        const cl_event first = launch->before ? launch->before : launch->event;
        double queued;
        if (!event_time(first, CL_PROFILING_COMMAND_QUEUED, &queued) ||
            !event_time(first,
                        launch->before ? CL_PROFILING_COMMAND_END : CL_PROFILING_COMMAND_START,
                        &launch->started) ||
            !event_time(launch->event, CL_PROFILING_COMMAND_END, &launch->ended))
            return false;
        if (i == 0) offset = launch->enqueued - queued;
        launch->started += offset;
        launch->ended += offset;
        if (launch->enqueued - launch->started > late) late = launch->enqueued - launch->started;
    }
    for (size_t i = 0; i < profile->count; i++) {
        profile->launches[i].started += late;
        profile->launches[i].ended += late;
    }
    return true;
}

unseen_status us_profile_take(us_device *device, us_profile **out, unseen_error *error) {
    us_profile *profile = device->profile;
    *out = NULL;
    if (!profile) return us_fail(error, UNSEEN_FAILURE, "%s is not profiled", device->facts.name);
    unseen_status status = us_device_finish(device, error);
    device->profile = NULL;
    if (device->queue != profile->plain) {
        device->lost |= status != UNSEEN_OK; /* nobody waits for this queue again */
        clReleaseCommandQueue(device->queue);
    }
    device->queue = profile->plain;
    if (status == UNSEEN_OK && profile->lost) status = us_fail_memory(error, "a profile");
    if (status == UNSEEN_OK && !profile->by_host && !read_times(profile))
        status = us_fail(error, UNSEEN_FAILURE, "%s: the times of a command are not to be had",
                         device->facts.name);
    drop_events(profile);
    if (status == UNSEEN_OK)
        *out = profile;
    else
        us_profile_release(profile);
    return status;
}

/* ---- launches ---- */

void us_launch_begin(us_device *device, us_launch_timer *timer) {
    *timer = (us_launch_timer){0};
    if (!device->profile) return;
    if (!device->profile->by_host) timer->wanted = &timer->event;
    timer->enqueued = us_clock();
}

static us_launch *add_launch(us_profile *profile) {
    if (profile->count == profile->room) {
        size_t room = profile->room ? 2 * profile->room : 256;
        us_launch *more = reallocarray(profile->launches, room, sizeof *more);
        if (!more) return NULL;
        profile->launches = more;
        profile->room = room;
    }
    return &profile->launches[profile->count++];
}

unseen_status us_launch_end(us_device *device, us_launch_timer *timer, const char *name,
                            unseen_error *error) {
    us_profile *profile = device->profile;
    if (!profile) return UNSEEN_OK;
    double returned = us_clock();
    if (profile->by_host) US_TRY(us_device_finish(device, error));
    us_launch *launch = add_launch(profile);
    if (!launch) {
        profile->lost = true;
        if (timer->event) clReleaseEvent(timer->event);
        if (timer->before) clReleaseEvent(timer->before);
        return UNSEEN_OK;
    }
    *launch = (us_launch){
        .label = timer->label,
        .enqueued = timer->enqueued - profile->begun,
        .returned = returned - profile->begun,
        .started = timer->enqueued - profile->begun,
        .ended = us_clock() - profile->begun,
        .event = timer->event,
        .before = timer->before,
    };
    snprintf(launch->name, sizeof launch->name, "%s", name);
    return UNSEEN_OK;
}

static unseen_status mark(us_device *device, cl_event *event, unseen_error *error) {
    cl_int code = clEnqueueMarkerWithWaitList(device->queue, 0, NULL, event);
    if (code == CL_SUCCESS) return UNSEEN_OK;
    return us_device_fail(device, error, code, "clEnqueueMarkerWithWaitList");
}

unseen_status us_launch_enter(us_device *device, us_launch_timer *timer, unseen_error *error) {
    us_launch_begin(device, timer);
    return timer->wanted ? mark(device, &timer->before, error) : UNSEEN_OK;
}

unseen_status us_launch_leave(us_device *device, us_launch_timer *timer, const char *name,
                              unseen_error *error) {
    unseen_status status = timer->wanted ? mark(device, timer->wanted, error) : UNSEEN_OK;
    if (status == UNSEEN_OK) return us_launch_end(device, timer, name, error);
    if (timer->before) clReleaseEvent(timer->before);
    return status;
}
