/* SPDX-License-Identifier: MIT */
#include "device/command.h"

#include <stdlib.h>

/* A profile's queue is in order, and everything before it is done. */
static bool is_tracked(const us_device *device) {
    return device->out_of_order && !device->profile;
}

/* ---- uses of memory ---- */

/* An event that the driver does not let us keep cannot be waited for later: its code, and none is
 * kept. */
static cl_int replace(cl_event *old, cl_event event) {
    cl_int code = event ? clRetainEvent(event) : CL_SUCCESS;
    if (*old) clReleaseEvent(*old);
    *old = code == CL_SUCCESS ? event : NULL;
    return code;
}

static void forget(us_uses *uses) {
    replace(&uses->written, NULL);
    for (int r = 0; r < US_READERS; r++)
        replace(&uses->read[r], NULL);
}

us_uses *us_uses_create(us_uses *whole, size_t first, size_t bytes) {
    us_uses *uses = calloc(1, sizeof *uses);
    if (!uses) return NULL;
    uses->first = first;
    uses->bytes = bytes;
    uses->whole = whole ? whole : uses;
    if (whole) {
        uses->next_view = whole->next_view;
        whole->next_view = uses;
    }
    return uses;
}

void us_uses_destroy(us_uses *uses, us_device *device) {
    if (!uses) return;
    if (uses->whole != uses) {
        us_uses *before = uses->whole;
        while (before->next_view != uses)
            before = before->next_view;
        before->next_view = uses->next_view;
        us_command_barrier(device, NULL);
    }
    forget(uses);
    free(uses);
}

static bool overlap(const us_uses *a, const us_uses *b) {
    return a->first < b->first + b->bytes && b->first < a->first + a->bytes;
}

/* What is done now comes after all that was done before. */
static cl_int note_write(us_uses *uses, cl_event event) {
    for (us_uses *view = uses->next_view; uses->whole == uses && view; view = view->next_view)
        forget(view);
    forget(uses);
    return replace(&uses->written, event);
}

static cl_int note_read(us_uses *uses, cl_event event) {
    cl_int code = replace(&uses->read[uses->place], event);
    uses->place = (uses->place + 1) % US_READERS;
    return code;
}

static void lose_order(us_device *device, cl_int code) {
    if (device->order_lost == CL_SUCCESS) device->order_lost = code;
}

/* ---- commands ---- */

void us_command_begin(us_command *command, us_device *device) {
    command->device = device;
    command->touched = 0;
    command->wait_count = 0;
    command->waits_for_all = false;
    command->event = NULL;
    us_launch_begin(device, &command->timer);
}

static void wait_for(us_command *command, cl_event event) {
    if (!event || command->waits_for_all) return;
    for (cl_uint i = 0; i < command->wait_count; i++)
        if (command->waits[i] == event) return;
    if (command->wait_count < US_WAITS) {
        command->waits[command->wait_count++] = event;
        return;
    }
    /* If that fails, us_command_end does. */
    us_command_barrier(command->device, NULL);
    command->wait_count = 0;
    command->waits_for_all = true;
}

/* The same buffer may be touched twice. */
static void remember(us_command *command, us_uses *uses, bool writes) {
    int i = 0;
    while (i < command->touched && command->uses[i] != uses)
        i++;
    if (i == command->touched) {
        command->uses[command->touched++] = uses;
        command->writes[i] = false;
    }
    command->writes[i] |= writes;
}

void us_command_touch(us_command *command, us_uses *uses, bool writes) {
    if (!uses || (!uses->uploaded && !is_tracked(command->device))) return;
    for (us_uses *other = uses->whole; other; other = other->next_view) {
        if (!overlap(other, uses)) continue;
        wait_for(command, other->written);
        for (int r = 0; writes && r < US_READERS; r++)
            wait_for(command, other->read[r]);
    }
    if (!writes) wait_for(command, uses->read[uses->place]);
    remember(command, uses, writes);
}

const cl_event *us_command_waits(const us_command *command) {
    return command->wait_count ? command->waits : NULL;
}

cl_event *us_command_event(us_command *command) {
    if (command->timer.wanted) return command->timer.wanted;
    return command->touched ? &command->event : NULL;
}

unseen_status us_command_end(us_command *command, const char *name, unseen_error *error) {
    us_device *device = command->device;
    cl_event event = command->event ? command->event : command->timer.event;
    for (int i = 0; event && i < command->touched; i++) {
        cl_int code = command->writes[i] ? note_write(command->uses[i], event)
                                         : note_read(command->uses[i], event);
        if (code != CL_SUCCESS) lose_order(device, code);
    }
    if (command->event) clReleaseEvent(command->event);
    command->event = NULL;
    if (device->order_lost != CL_SUCCESS) {
        if (command->timer.event) clReleaseEvent(command->timer.event);
        return us_device_fail(device, error, device->order_lost, "keeping commands in order");
    }
    if (name) return us_launch_end(device, &command->timer, name, error);
    if (command->timer.event) clReleaseEvent(command->timer.event);
    return UNSEEN_OK;
}

unseen_status us_command_barrier(us_device *device, unseen_error *error) {
    if (!is_tracked(device)) return UNSEEN_OK;
    cl_int code = clEnqueueBarrierWithWaitList(device->queue, 0, NULL, NULL);
    if (code == CL_SUCCESS) return UNSEEN_OK;
    lose_order(device, code);
    return us_device_fail(device, error, code, "clEnqueueBarrierWithWaitList");
}
