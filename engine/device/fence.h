/* SPDX-License-Identifier: MIT */
/* Points in the queue that the host can wait for, and reads that do not make it wait. */
#ifndef US_DEVICE_FENCE_H
#define US_DEVICE_FENCE_H

#include "device/device.h"

/* A point after everything enqueued so far. Zero is a fence that has been reached. */
typedef struct us_fence {
    cl_event event;
} us_fence;

/* Drops what the fence was before, and starts the work in front of it. */
unseen_status us_fence_set(us_fence *fence, us_device *device, unseen_error *error);

/* Waits until the device has come so far; the fence is zero again afterwards. */
unseen_status us_fence_wait(us_fence *fence, us_device *device, unseen_error *error);

void us_fence_drop(us_fence *fence);

/* Enqueues a read; the bytes are there once a fence set later has been waited for. They must not be
 * freed before us_device_finish has succeeded, not even after a failure. */
unseen_status us_buffer_read_later(us_buffer *buffer, size_t offset, void *bytes, size_t size,
                                   unseen_error *error);

#endif
