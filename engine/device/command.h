/* SPDX-License-Identifier: MIT */
/* What stands before and behind every call that enqueues a command: which commands it waits for,
 * and what a profile records of it.
 *
 *     us_command command;
 *     us_command_begin(&command, device);
 *     us_command_touch(&command, buffer->uses, writes);  (for all that it reads or writes)
 *     code = clEnqueue...(device->queue, ..., command.wait_count, us_command_waits(&command),
 *                         us_command_event(&command));
 *     if (code == CL_SUCCESS) return us_command_end(&command, name, error);
 *
 * A device whose queue is out_of_order starts a command as soon as those before it are done that
 * wrote what it touches, or read what it writes. So work that does not need each other's results,
 * as a layer's gradients of its weights and of its input, shares the compute units: none idles
 * while the last work-groups of a kernel run, nor between kernels. On other devices, and while a
 * device is profiled, the queue is in order and commands wait for nothing else, but for the queue
 * of uploads where they use what it writes. */
#ifndef US_DEVICE_COMMAND_H
#define US_DEVICE_COMMAND_H

#include "device/profile.h"

enum {
    US_READERS = 8,  /* of memory, that a writer waits for by name */
    US_TOUCHED = 24, /* by a command, at most */
    US_WAITS = 256,  /* of a command; one that would need more waits for everything */
};

/* What was last done to the memory of a buffer or of a view. A reader that finds no room takes the
 * place of the oldest and waits for it, which then need not be waited for by others. NULL events
 * are none. */
struct us_uses {
    cl_event written, read[US_READERS];
    int place;     /* for the next reader */
    bool uploaded; /* by another queue, so that order is kept by events on every device */
    size_t first, bytes;
    us_uses *whole;     /* of the buffer; itself where this is not a view's */
    us_uses *next_view; /* the buffer's are a list of its views, in any order */
};

typedef struct us_command {
    us_device *device;
    us_launch_timer timer;
    us_uses *uses[US_TOUCHED];
    bool writes[US_TOUCHED];
    int touched;
    cl_event waits[US_WAITS];
    cl_uint wait_count;
    bool waits_for_all;
    cl_event event;
} us_command;

void us_command_begin(us_command *command, us_device *device);

/* Memory that the command reads or writes; NULL is none. */
void us_command_touch(us_command *command, us_uses *uses, bool writes);

/* Arguments of clEnqueue... */
const cl_event *us_command_waits(const us_command *command);
cl_event *us_command_event(us_command *command);

/* After success. name: of the launch in profiles; NULL: it has no place there. */
unseen_status us_command_end(us_command *command, const char *name, unseen_error *error);

/* All that is enqueued later waits for all before, for commands of other libraries. */
unseen_status us_command_barrier(us_device *device, unseen_error *error);

/* Of a new buffer (whole: NULL), or a view of bytes of one, from `first` of the whole on. */
us_uses *us_uses_create(us_uses *whole, size_t first, size_t bytes);

/* After those of all views. What is enqueued later waits for what used a view. */
void us_uses_destroy(us_uses *uses, us_device *device);

#endif
