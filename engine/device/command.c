#include "device/command.h"

/* A profile's queue is in order, and everything before it is done. */
static bool is_tracked(const us_device *device) {
    return device->out_of_order && !device->profile;
}

void us_command_begin(us_command *command, us_device *device) {
    command->device = device;
    command->touched = 0;
    command->wait_count = 0;
    command->event = NULL;
    us_launch_begin(device, &command->timer);
}

static void wait_for(us_command *command, cl_event event) {
    if (!event) return;
    for (cl_uint i = 0; i < command->wait_count; i++)
        if (command->waits[i] == event) return;
    command->waits[command->wait_count++] = event;
}

/* The same memory may be touched twice, as two views of it. */
static int find_touched(const us_command *command, const us_uses *uses) {
    int i = 0;
    while (i < command->touched && command->uses[i] != uses)
        i++;
    return i;
}

void us_command_touch(us_command *command, const us_buffer *buffer, bool writes) {
    if (!buffer || !is_tracked(command->device)) return;
    us_uses *uses = buffer->uses;
    int place = find_touched(command, uses);
    if (place == command->touched) {
        command->uses[command->touched] = uses;
        command->writes[command->touched++] = false;
    }
    command->writes[place] |= writes;
    wait_for(command, uses->written);
    if (!writes)
        wait_for(command, uses->read[uses->next]);
    else
        for (int r = 0; r < US_READERS; r++)
            wait_for(command, uses->read[r]);
}

const cl_event *us_command_waits(const us_command *command) {
    return command->wait_count ? command->waits : NULL;
}

cl_event *us_command_event(us_command *command) {
    if (command->timer.wanted) return command->timer.wanted;
    return command->touched ? &command->event : NULL;
}

static void replace(cl_event *old, cl_event event) {
    if (*old) clReleaseEvent(*old);
    *old = event;
    if (event) clRetainEvent(event);
}

void us_uses_forget(us_uses *uses) {
    replace(&uses->written, NULL);
    for (int r = 0; r < US_READERS; r++)
        replace(&uses->read[r], NULL);
}

unseen_status us_command_end(us_command *command, const char *name, unseen_error *error) {
    for (int i = 0; command->event && i < command->touched; i++) {
        us_uses *uses = command->uses[i];
        if (command->writes[i]) {
            us_uses_forget(uses);
            replace(&uses->written, command->event);
        } else {
            replace(&uses->read[uses->next], command->event);
            uses->next = (uses->next + 1) % US_READERS;
        }
    }
    if (command->event) clReleaseEvent(command->event);
    command->event = NULL;
    return name ? us_launch_end(command->device, &command->timer, name, error) : UNSEEN_OK;
}

unseen_status us_command_barrier(us_device *device, unseen_error *error) {
    if (!is_tracked(device)) return UNSEEN_OK;
    cl_int code = clEnqueueBarrierWithWaitList(device->queue, 0, NULL, NULL);
    if (code == CL_SUCCESS) return UNSEEN_OK;
    return us_device_fail(device, error, code, "clEnqueueBarrierWithWaitList");
}
