/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/command.h"

enum { HUGE_PAGE = 2 << 20 };

/* "3.2 GiB" */
static const char *size_text(uint64_t bytes, char text[32]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    double size = (double)bytes;
    while (size >= 1024 && unit < 6) {
        size /= 1024;
        unit++;
    }
    snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
    return text;
}

static unseen_status check_room(const us_device *device, size_t bytes, const char *what,
                                unseen_error *error) {
    char wanted[32], limit[32], used[32];
    if (bytes == 0)
        return us_fail(error, UNSEEN_FAILURE, "%s: a buffer of 0 bytes was asked for %s",
                       device->facts.name, what);
    if (bytes > device->facts.largest_allocation_bytes)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "%s: %s takes %s, more than the device gives at once (%s): lower "
                       "/training/batch or the sizes of the layers",
                       device->facts.name, what, size_text(bytes, wanted),
                       size_text(device->facts.largest_allocation_bytes, limit));
    /* Asking the driver would not do: CPUs and late allocators promise what they do not have. */
    if (device->allocated_bytes > device->facts.memory_bytes ||
        bytes > device->facts.memory_bytes - device->allocated_bytes)
        return us_fail(error, UNSEEN_OUT_OF_DEVICE_MEMORY,
                       "%s: %s takes %s, which no longer fits beside %s in use of the device's %s: "
                       "lower /training/batch or the sizes of the layers",
                       device->facts.name, what, size_text(bytes, wanted),
                       size_text(device->allocated_bytes, used),
                       size_text(device->facts.memory_bytes, limit));
    return UNSEEN_OK;
}

static unseen_status create(us_device *device, cl_mem_flags flags, const void *host, size_t bytes,
                            bool owned, const char *what, us_buffer **buffer, unseen_error *error) {
    *buffer = NULL;
    us_buffer *made = calloc(1, sizeof *made);
    us_uses *uses = us_uses_create(NULL, 0, bytes);
    if (!made || !uses) {
        free(made);
        us_uses_destroy(uses, device);
        return us_fail_memory(error, what);
    }
    made->uses = uses;
    cl_int code;
    made->memory = clCreateBuffer(device->context, flags, bytes, (void *)(uintptr_t)host, &code);
    if (!made->memory) {
        us_uses_destroy(uses, device);
        free(made);
        char text[256], size[32];
        snprintf(text, sizeof text, "allocating %s for %s (clCreateBuffer)", size_text(bytes, size),
                 what);
        return us_device_fail(device, error, code, text);
    }
    made->device = device;
    made->bytes = bytes;
    made->owned = owned;
    if (owned) {
        device->allocated_bytes += bytes;
        if (device->allocated_bytes > device->peak_bytes)
            device->peak_bytes = device->allocated_bytes;
    }
    *buffer = made;
    return UNSEEN_OK;
}

/* Work enqueued before its release may still use the memory, so OpenCL says when to free it. */
static void CL_CALLBACK free_pages(cl_mem memory, void *pages) {
    (void)memory;
    free(pages);
}

/* On a CPU large buffers lie in huge pages, where the system gives them on request: a kernel walks
 * many planes at once, more than a processor's TLB holds in small pages. */
static unseen_status create_in_huge_pages(us_device *device, size_t bytes, const char *what,
                                          us_buffer **buffer, unseen_error *error) {
    void *pages = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (!pages) return us_fail_memory(error, what);
    madvise(pages, bytes, MADV_HUGEPAGE); /* advice: small pages do as well, only slower */
    unseen_status status = create(device, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, pages, bytes,
                                  true, what, buffer, error);
    if (status != UNSEEN_OK) {
        free(pages);
        return status;
    }
    cl_int code = clSetMemObjectDestructorCallback((*buffer)->memory, free_pages, pages);
    if (code == CL_SUCCESS) return UNSEEN_OK;
    us_buffer_destroy(*buffer);
    free(pages);
    return us_device_fail(device, error, code, "clSetMemObjectDestructorCallback");
}

unseen_status us_buffer_create(us_device *device, size_t bytes, const char *what,
                               us_buffer **buffer, unseen_error *error) {
    *buffer = NULL;
    US_TRY(check_room(device, bytes, what, error));
    us_buffer *made;
    if (device->facts.is_cpu && device->facts.execution == US_EXECUTION_VECTOR &&
        bytes >= HUGE_PAGE / 2)
        US_TRY(create_in_huge_pages(device, bytes, what, &made, error));
    else
        US_TRY(create(device, CL_MEM_READ_WRITE, NULL, bytes, true, what, &made, error));
    unseen_status status = us_buffer_zero(made, error);
    if (status != UNSEEN_OK) {
        us_buffer_destroy(made);
        us_error_context(error, "allocating %s", what);
        return status;
    }
    *buffer = made;
    return UNSEEN_OK;
}

/* OpenCL has no parts of parts: a view of a view is one of the whole. */
static cl_int find_whole(cl_mem memory, cl_mem *whole, size_t *offset) {
    cl_mem parent = NULL;
    size_t start = 0;
    cl_int code =
        clGetMemObjectInfo(memory, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL);
    if (code == CL_SUCCESS && parent)
        code = clGetMemObjectInfo(memory, CL_MEM_OFFSET, sizeof start, &start, NULL);
    *whole = parent ? parent : memory;
    *offset = parent ? start : 0;
    return code;
}

unseen_status us_buffer_view(us_buffer *parent, size_t offset, size_t bytes, us_buffer **view,
                             unseen_error *error) {
    *view = NULL;
    us_device *device = parent->device;
    if (bytes == 0 || offset > parent->bytes || bytes > parent->bytes - offset ||
        offset % device->facts.alignment)
        return us_fail(error, UNSEEN_FAILURE,
                       "%s: no view of %zu bytes from %zu (a multiple of %zu is needed) into a "
                       "buffer of %zu bytes",
                       device->facts.name, bytes, offset, device->facts.alignment, parent->bytes);
    us_buffer *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a view of a buffer");
    cl_mem whole;
    size_t start;
    cl_int code = find_whole(parent->memory, &whole, &start);
    if (code == CL_SUCCESS) {
        cl_buffer_region region = {start + offset, bytes};
        made->memory = clCreateSubBuffer(whole, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
        made->uses = us_uses_create(parent->uses->whole, region.origin, bytes);
        if (!made->uses) code = CL_OUT_OF_HOST_MEMORY;
    }
    if (code != CL_SUCCESS) {
        us_uses_destroy(made->uses, device);
        if (made->memory) clReleaseMemObject(made->memory);
        free(made);
        return us_device_fail(device, error, code, "a view of a buffer (clCreateSubBuffer)");
    }
    made->device = device;
    made->bytes = bytes;
    *view = made;
    return UNSEEN_OK;
}

unseen_status us_buffer_in_place(us_device *device, const void *bytes, size_t size,
                                 const char *what, us_buffer **buffer, unseen_error *error) {
    *buffer = NULL;
    if (size == 0 || size > device->facts.largest_allocation_bytes)
        return check_room(device, size, what, error);
    return create(device, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, bytes, size, false, what, buffer,
                  error);
}

unseen_status us_buffer_create_for_uploads(us_device *device, size_t bytes, const char *what,
                                           us_buffer **buffer, unseen_error *error) {
    *buffer = NULL;
    US_TRY(check_room(device, bytes, what, error));
    US_TRY(create(device, CL_MEM_READ_ONLY, NULL, bytes, true, what, buffer, error));
    (*buffer)->uses->uploaded = true;
    return UNSEEN_OK;
}

void us_buffer_destroy(us_buffer *buffer) {
    if (!buffer) return;
    if (buffer->memory) clReleaseMemObject(buffer->memory);
    us_uses_destroy(buffer->uses, buffer->device);
    if (buffer->owned) buffer->device->allocated_bytes -= buffer->bytes;
    free(buffer);
}

/* That a range lies within a buffer. */
static unseen_status check_range(const us_buffer *buffer, size_t offset, size_t size,
                                 const char *what, unseen_error *error) {
    if (offset <= buffer->bytes && size <= buffer->bytes - offset) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE, "%s: %s of %zu bytes at %zu leaves a buffer of %zu bytes",
                   buffer->device->facts.name, what, size, offset, buffer->bytes);
}

unseen_status us_buffer_write(us_buffer *buffer, size_t offset, const void *bytes, size_t size,
                              unseen_error *error) {
    US_TRY(check_range(buffer, offset, size, "a write", error));
    if (size == 0) return UNSEEN_OK;
    us_command command;
    us_command_begin(&command, buffer->device);
    us_command_touch(&command, buffer->uses, true);
    cl_int code = clEnqueueWriteBuffer(buffer->device->queue, buffer->memory, CL_TRUE, offset, size,
                                       bytes, command.wait_count, us_command_waits(&command), NULL);
    if (code != CL_SUCCESS)
        return us_device_fail(buffer->device, error, code,
                              "writing to device memory (clEnqueueWriteBuffer)");
    return us_command_end(&command, NULL, error);
}

unseen_status us_buffer_read(us_buffer *buffer, size_t offset, void *bytes, size_t size,
                             unseen_error *error) {
    US_TRY(check_range(buffer, offset, size, "a read", error));
    if (size == 0) return UNSEEN_OK;
    us_command command;
    us_command_begin(&command, buffer->device);
    us_command_touch(&command, buffer->uses, false);
    cl_int code = clEnqueueReadBuffer(buffer->device->queue, buffer->memory, CL_TRUE, offset, size,
                                      bytes, command.wait_count, us_command_waits(&command), NULL);
    if (code != CL_SUCCESS)
        return us_device_fail(buffer->device, error, code,
                              "reading device memory (clEnqueueReadBuffer)");
    return us_command_end(&command, NULL, error);
}

unseen_status us_buffer_copy(us_buffer *to, size_t to_offset, us_buffer *from, size_t from_offset,
                             size_t size, unseen_error *error) {
    US_TRY(check_range(to, to_offset, size, "a copy to", error));
    US_TRY(check_range(from, from_offset, size, "a copy from", error));
    if (size == 0) return UNSEEN_OK;
    us_command command;
    us_command_begin(&command, to->device);
    us_command_touch(&command, from->uses, false);
    us_command_touch(&command, to->uses, true);
    cl_int code = clEnqueueCopyBuffer(to->device->queue, from->memory, to->memory, from_offset,
                                      to_offset, size, command.wait_count,
                                      us_command_waits(&command), us_command_event(&command));
    if (code != CL_SUCCESS)
        return us_device_fail(to->device, error, code,
                              "copying device memory (clEnqueueCopyBuffer)");
    return us_command_end(&command, "copy", error);
}

unseen_status us_buffer_zero(us_buffer *buffer, unseen_error *error) {
    static const cl_uint4 zero;
    /* The pattern must divide the size; a wide one is much the faster on some. */
    size_t pattern = buffer->bytes % 16 == 0 ? 16 : buffer->bytes % 4 == 0 ? 4 : 1;
    us_command command;
    us_command_begin(&command, buffer->device);
    us_command_touch(&command, buffer->uses, true);
    cl_int code = clEnqueueFillBuffer(buffer->device->queue, buffer->memory, &zero, pattern, 0,
                                      buffer->bytes, command.wait_count, us_command_waits(&command),
                                      us_command_event(&command));
    if (code != CL_SUCCESS)
        return us_device_fail(buffer->device, error, code,
                              "zeroing device memory (clEnqueueFillBuffer)");
    return us_command_end(&command, "zero", error);
}

static unseen_status grow_scratch(us_device *device, us_buffer **scratch, size_t bytes,
                                  unseen_error *error) {
    us_buffer *larger;
    US_TRY(us_buffer_create(device, bytes ? bytes : 1, "intermediate sums", &larger, error));
    if (!*scratch) {
        *scratch = larger;
        return UNSEEN_OK;
    }
    unseen_status status = us_device_finish(device, error);
    if (status == UNSEEN_OK) {
        /* The handle stays the same, for those who keep it. */
        us_buffer old = **scratch;
        **scratch = *larger;
        *larger = old;
    }
    us_buffer_destroy(larger);
    return status;
}

unseen_status us_device_scratch(us_device *device, size_t bytes, us_buffer **scratch,
                                unseen_error *error) {
    const int count = device->out_of_order ? US_SCRATCHES : 1;
    for (int i = 0; i < count; i++) {
        us_buffer **grown = &device->scratch[i];
        if (!*grown || (*grown)->bytes < bytes) US_TRY(grow_scratch(device, grown, bytes, error));
    }
    *scratch = device->scratch[device->next_scratch];
    device->next_scratch = (device->next_scratch + 1) % count;
    return UNSEEN_OK;
}

void us_device_drop_scratch(us_device *device) {
    for (int i = 0; i < US_SCRATCHES; i++) {
        us_buffer_destroy(device->scratch[i]);
        device->scratch[i] = NULL;
    }
}
