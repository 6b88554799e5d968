/* SPDX-License-Identifier: MIT */
#include "device/fence.h"

#include "device/command.h"

unseen_status us_fence_set(us_fence *fence, us_device *device, unseen_error *error) {
    us_fence_drop(fence);
    cl_int code = clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &fence->event);
    if (code != CL_SUCCESS) {
        fence->event = NULL;
        return us_device_fail(device, error, code, "clEnqueueMarkerWithWaitList");
    }
    return us_device_flush(device, error);
}

unseen_status us_fence_wait(us_fence *fence, us_device *device, unseen_error *error) {
    if (!fence->event) return UNSEEN_OK;
    cl_int code = clWaitForEvents(1, &fence->event);
    us_fence_drop(fence);
    if (code != CL_SUCCESS)
        return us_device_fail(device, error, code, "waiting for a step (clWaitForEvents)");
    return UNSEEN_OK;
}

void us_fence_drop(us_fence *fence) {
    if (fence->event) clReleaseEvent(fence->event);
    fence->event = NULL;
}

unseen_status us_buffer_read_later(us_buffer *buffer, size_t offset, void *bytes, size_t size,
                                   unseen_error *error) {
    us_command command;
    us_command_begin(&command, buffer->device);
    us_command_touch(&command, buffer->uses, false);
    cl_int code = clEnqueueReadBuffer(buffer->device->queue, buffer->memory, CL_FALSE, offset, size,
                                      bytes, command.wait_count, us_command_waits(&command),
                                      us_command_event(&command));
    if (code != CL_SUCCESS)
        return us_device_fail(buffer->device, error, code, "clEnqueueReadBuffer");
    return us_command_end(&command, NULL, error);
}
