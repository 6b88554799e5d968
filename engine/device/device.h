/* SPDX-License-Identifier: MIT */
/* One open OpenCL device: a context, a queue, and the facts that kernels are shaped by.
 *
 * Everything is enqueued on the one queue, but uploads (see upload.h), and has the effect of
 * program order: see command.h. Nothing here waits unless it says so. */
#ifndef US_DEVICE_DEVICE_H
#define US_DEVICE_DEVICE_H

#include <CL/cl.h>

#include "base/error.h"
#include "device/facts.h"

/* What kernels are for. Those of one purpose that wait to be compiled are compiled as one program,
 * which is thus the same whatever else a process does: scoring finds in the driver's cache what
 * training compiled, and new images change the program of US_PURPOSE_IMAGES alone. */
typedef enum us_purpose {
    US_PURPOSE_SCORING, /* and all that training shares with it */
    US_PURPOSE_TRAINING,
    US_PURPOSE_IMAGES,
} us_purpose;

/* What a kernel does, for profiles. */
typedef enum us_pass {
    US_PASS_OTHER,
    US_PASS_IMAGES,
    US_PASS_FORWARD,
    US_PASS_BACKWARD, /* both of the next two, where they are not told apart */
    US_PASS_INPUT_GRADIENT,
    US_PASS_WEIGHT_GRADIENT,
    US_PASS_LOSS,
    US_PASS_UPDATE,
    US_PASS_SCORE,
    US_PASSES,
} us_pass;

typedef struct us_label {
    const char *network; /* NULL: of none */
    int layer;           /* of the network's spec; only of FORWARD and the gradients */
    us_pass pass;
} us_label;

typedef struct us_profile us_profile;

enum { US_SCRATCHES = 3 };

typedef struct us_device {
    us_device_facts facts;
    cl_device_id id;
    cl_platform_id platform;
    cl_context context;
    cl_command_queue queue;
    bool out_of_order; /* the queue is: see command.h */
    bool lost;         /* work may be under way that nothing waits for any more */
    cl_int order_lost; /* not CL_SUCCESS: the driver failed to order commands, so that all fail */
    char notice[1024]; /* what its user should know about drivers and caches, or nothing */
    uint64_t allocated_bytes, peak_bytes; /* of buffers, views and host bytes not counted */
    us_profile *profile;                  /* under way, or NULL: see profile.h */
    struct us_program *programs; /* built so far, or waiting for it, by source and options */
    struct us_buffer *scratch[US_SCRATCHES];
    int next_scratch;
    struct us_uploader *uploader; /* NULL before the first upload */
    struct us_tuning *tuning; /* by which operators choose kernels, or NULL; opaque here. Whoever
                                 opens it closes it: see tuning/tuning.h */
} us_device;

/* Opens the device a selector names (see unseen_devices). Failing to find one is UNSEEN_NO_DEVICE,
 * with what there is and what to install or set. */
unseen_status us_device_open(const char *selector, us_device **device, unseen_error *error);

/* false: waiting for its work failed, so that some may be under way for ever. See us_device_finish.
 * NULL is fine. */
bool us_device_close(us_device *device);

/* Sends the device's notice, if it has one, as a warning. */
void us_device_tell(const us_device *device, const unseen_events *events);

/* Waits until all work is done; the first failure of it is reported here. After a failure the
 * driver may still read and write what it was given, at any later time: host memory of
 * us_buffer_in_place and us_buffer_read_later must then never be freed. To leak it is the only
 * safe thing. */
unseen_status us_device_finish(us_device *device, unseen_error *error);

/* The same for one queue of the device. */
unseen_status us_queue_finish(const us_device *device, cl_command_queue queue, unseen_error *error);

/* Starts the work enqueued so far without waiting. */
unseen_status us_device_flush(us_device *device, unseen_error *error);

/* Sets an error from an OpenCL status: the call, the code's name, the device; memory codes become
 * UNSEEN_OUT_OF_DEVICE_MEMORY. `what` says what was being done ("clEnqueueNDRangeKernel",
 * "building convolution.cl"). */
unseen_status us_device_fail(const us_device *device, unseen_error *error, cl_int code,
                             const char *what);

/* ---- buffers ---- */

typedef struct us_uses us_uses;

typedef struct us_buffer {
    us_device *device;
    cl_mem memory;
    size_t bytes;
    bool owned;    /* counted in the device's allocated_bytes */
    us_uses *uses; /* of the memory: see command.h */
} us_buffer;

/* Device memory, zeroed. `what` names it in errors ("activations of encoder"). A size beyond the
 * largest allocation is UNSEEN_OUT_OF_DEVICE_MEMORY and says what to lower; so is
 * one that no longer fits beside the other buffers. bytes >= 1. */
unseen_status us_buffer_create(us_device *device, size_t bytes, const char *what,
                               us_buffer **buffer, unseen_error *error);

/* Part of a buffer as a buffer of its own; offset is a multiple of device->facts.alignment. The
 * parent must outlive it. */
unseen_status us_buffer_view(us_buffer *parent, size_t offset, size_t bytes, us_buffer **view,
                             unseen_error *error);

/* Host bytes that kernels read where they lie, on a device that shares the host's memory. They must
 * outlive the buffer, and us_device_finish. */
unseen_status us_buffer_in_place(us_device *device, const void *bytes, size_t size,
                                 const char *what, us_buffer **buffer, unseen_error *error);

/* Memory that uploads fill and kernels only read; not zeroed. Commands on it are kept in order with
 * uploads: see upload.h. */
unseen_status us_buffer_create_for_uploads(us_device *device, size_t bytes, const char *what,
                                           us_buffer **buffer, unseen_error *error);

void us_buffer_destroy(us_buffer *buffer); /* NULL is fine */

/* Both wait until done (the host bytes are the caller's again on return). */
unseen_status us_buffer_write(us_buffer *buffer, size_t offset, const void *bytes, size_t size,
                              unseen_error *error);
unseen_status us_buffer_read(us_buffer *buffer, size_t offset, void *bytes, size_t size,
                             unseen_error *error);

/* Device to device and fill; do not wait. */
unseen_status us_buffer_copy(us_buffer *to, size_t to_offset, us_buffer *from, size_t from_offset,
                             size_t size, unseen_error *error);
unseen_status us_buffer_zero(us_buffer *buffer, unseen_error *error);

/* A scratch buffer of the device, at least `bytes` large: valid until the next call, so for partial
 * sums between two launches of one operator. Reserve at creation; use at launch. Growing it waits
 * for the queue. A queue that is out of order has a few that take turns, so that operators need not
 * wait for each other. */
unseen_status us_device_scratch(us_device *device, size_t bytes, us_buffer **scratch,
                                unseen_error *error);

/* Releases the scratch buffers, which nothing enqueued or made may use any more. */
void us_device_drop_scratch(us_device *device);

/* ---- kernels ---- */

typedef struct us_kernel us_kernel;

/* What a kernel is created for. */
typedef struct us_build {
    us_device *device;
    us_purpose purpose;
    us_label label; /* of its launches in profiles */
} us_build;

/* The kernel NAME of cl_kernels/SOURCE.cl with options ("-DC=3 -DH=64 ...", appended to the
 * device's own: -DVECTOR_WIDTH=, -DGROUP_SIZE=, -DLANES=0/1 and the language's). common.cl is put
 * before every source; a line `#include "random.cl"` is replaced by that file. UNSEEN_KERNEL_DIR in
 * the environment names a folder whose files stand in for the embedded ones.
 *
 * Nothing is compiled before the first launch: by then all that wait of the same purpose are
 * compiled together, which is much the faster. */
unseen_status us_kernel_create(const us_build *build, const char *source, const char *name,
                               us_kernel **kernel, unseen_error *error, const char *options, ...)
    __attribute__((format(printf, 6, 7)));

/* Compiles it now. A failure reports the compiler's log. */
unseen_status us_kernel_build(us_kernel *kernel, unseen_error *error);
void us_kernel_destroy(us_kernel *kernel); /* NULL is fine */

/* Launches `groups` work-groups of device->facts.group_size x 1 x 1 items (the kernel is declared
 * with GROUP_ATTRIBUTE from common.cl). Arguments by type letter: b us_buffer* (may be NULL), i
 * int32_t, u uint32_t, l int64_t, U uint64_t, f float. */
unseen_status us_kernel_run(us_kernel *kernel, const size_t groups[3], unseen_error *error,
                            const char *types, ...);

/* The same for kernels that declare a work-group size of their own, of group_size x 1 x 1 items: at
 * most device->facts.max_group_size. */
unseen_status us_kernel_run_groups(us_kernel *kernel, const size_t groups[3], size_t group_size,
                                   unseen_error *error, const char *types, ...);

/* Launches `items` work-items in one dimension, one per element, in groups of up to 256; for
 * element-wise kernels without GROUP_ATTRIBUTE, which must ignore ids beyond their count (it is
 * rounded up). */
unseen_status us_kernel_run_elements(us_kernel *kernel, size_t items, unseen_error *error,
                                     const char *types, ...);

#endif
