/* SPDX-License-Identifier: MIT */
/* What each launch takes. While a device is profiled its queue times every command, which costs a
 * little, so throughput is measured without. */
#ifndef US_DEVICE_PROFILE_H
#define US_DEVICE_PROFILE_H

#include "device/device.h"

/* Seconds count from the beginning of the profile, on the host's clock. */
typedef struct us_launch {
    char name[48]; /* of the kernel, or of what is done to a buffer */
    us_label label;
    double enqueued, returned; /* the host's call */
    double started, ended;     /* the device's work */
    cl_event event;
    cl_event before; /* NULL; or what the work began after, whose last command is the event's */
} us_launch;

struct us_profile {
    cl_command_queue plain; /* the device's queue before and after */
    us_launch *launches;    /* in the order of the queue */
    size_t count, room;
    double begun;
    bool by_host; /* the device does not time its work, so the host waits for each command */
    bool lost;    /* no memory for all launches */
};

/* What to say of by_host; %s: the device. */
#define US_TIMED_BY_HOST                                                                           \
    "%s does not tell how long its kernels take: they are timed from outside, one by one, which "  \
    "includes what starting one costs"

/* From here on launches are recorded, until us_profile_take. Both wait until all work is done. */
unseen_status us_profile_begin(us_device *device, unseen_error *error);

/* Ends it. The profile is released with us_profile_release. */
unseen_status us_profile_take(us_device *device, us_profile **profile, unseen_error *error);
void us_profile_release(us_profile *profile); /* NULL is fine */

/* ---- for those who enqueue ---- */

/* Stands before and behind a call that enqueues a command and, where *event is not NULL, stores its
 * event there. Without a profile both do nothing. */
typedef struct us_launch_timer {
    us_label label; /* nothing, unless it is set between the two */
    double enqueued;
    cl_event event;
    cl_event *wanted; /* &event, or NULL without a profile */
    cl_event before;  /* of us_launch_enter */
} us_launch_timer;
void us_launch_begin(us_device *device, us_launch_timer *timer);
unseen_status us_launch_end(us_device *device, us_launch_timer *timer, const char *name,
                            unseen_error *error);

/* The same before and behind a library's call, which enqueues commands of its own: as one, timed
 * from outside. */
unseen_status us_launch_enter(us_device *device, us_launch_timer *timer, unseen_error *error);
unseen_status us_launch_leave(us_device *device, us_launch_timer *timer, const char *name,
                              unseen_error *error);

/* "input gradient" */
const char *us_pass_name(us_pass pass);

#endif
