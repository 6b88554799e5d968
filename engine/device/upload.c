/* SPDX-License-Identifier: MIT */
#include "device/upload.h"

#include <stdlib.h>

#include "base/thread.h"
#include "device/command.h"

/* Pinned memory: of a buffer that is mapped for as long as it lives. */
typedef struct us_slot {
    cl_mem memory;
    unsigned char *bytes;
    cl_event sent; /* NULL: it is free */
} us_slot;

struct us_uploader {
    us_device *device;
    cl_command_queue queue;
    us_slot slots[US_UPLOAD_SLOTS];
    int next;
    us_copier *copier;
};

static unseen_status open_slot(us_uploader *uploader, us_slot *slot, unseen_error *error) {
    cl_int code;
    slot->memory = clCreateBuffer(uploader->device->context, CL_MEM_ALLOC_HOST_PTR, US_UPLOAD_BYTES,
                                  NULL, &code);
    if (!slot->memory)
        return us_device_fail(uploader->device, error, code,
                              "allocating pinned memory (clCreateBuffer)");
    slot->bytes = clEnqueueMapBuffer(uploader->queue, slot->memory, CL_TRUE, CL_MAP_WRITE, 0,
                                     US_UPLOAD_BYTES, 0, NULL, NULL, &code);
    if (slot->bytes) return UNSEEN_OK;
    return us_device_fail(uploader->device, error, code,
                          "mapping pinned memory (clEnqueueMapBuffer)");
}

static unseen_status open_uploader(us_device *device, unseen_error *error) {
    us_uploader *uploader = calloc(1, sizeof *uploader);
    if (!uploader) return us_fail_memory(error, "uploads");
    cl_int code;
    unseen_status status = UNSEEN_OK;
    uploader->device = device;
    uploader->queue = clCreateCommandQueue(device->context, device->id, 0, &code);
    if (!uploader->queue)
        status = us_device_fail(device, error, code, "a queue for uploads (clCreateCommandQueue)");
    for (int s = 0; status == UNSEEN_OK && s < US_UPLOAD_SLOTS; s++)
        status = open_slot(uploader, &uploader->slots[s], error);
    uploader->copier = us_copier_create(us_copier_helpers(us_processor_count()));
    if (status == UNSEEN_OK)
        device->uploader = uploader;
    else
        us_uploader_close(uploader, true);
    return status;
}

unseen_status us_uploader_finish(const us_uploader *uploader, unseen_error *error) {
    if (!uploader) return UNSEEN_OK;
    return us_queue_finish(uploader->device, uploader->queue, error);
}

static bool is_sent(const us_slot *slot) {
    cl_int status;
    if (!slot->sent) return true;
    return clGetEventInfo(slot->sent, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status,
                          NULL) == CL_SUCCESS &&
           status <= CL_COMPLETE;
}

/* The driver may still read a slot that is not known to be sent: its memory is never freed. */
static void close_slot(us_uploader *uploader, us_slot *slot, bool ended) {
    if (slot->memory && (ended || is_sent(slot))) {
        if (slot->bytes)
            clEnqueueUnmapMemObject(uploader->queue, slot->memory, slot->bytes, 0, NULL, NULL);
        clReleaseMemObject(slot->memory);
    }
    if (slot->sent) clReleaseEvent(slot->sent);
}

void us_uploader_close(us_uploader *uploader, bool ended) {
    if (!uploader) return;
    us_copier_destroy(uploader->copier);
    for (int s = 0; s < US_UPLOAD_SLOTS; s++)
        close_slot(uploader, &uploader->slots[s], ended);
    if (uploader->queue) clReleaseCommandQueue(uploader->queue);
    free(uploader);
}

/* Waits until the slot that is next is free. */
static unseen_status take_slot(us_device *device, unseen_error *error) {
    if (!device->uploader) US_TRY(open_uploader(device, error));
    us_slot *slot = &device->uploader->slots[device->uploader->next];
    if (!slot->sent) return UNSEEN_OK;
    cl_int code = clWaitForEvents(1, &slot->sent);
    clReleaseEvent(slot->sent);
    slot->sent = NULL;
    if (code == CL_SUCCESS) return UNSEEN_OK;
    return us_device_fail(device, error, code, "waiting for an upload (clWaitForEvents)");
}

/* Copies the pieces to the slot. */
static unseen_status fill(us_upload *upload, unseen_error *error) {
    us_device *device = upload->to->device;
    if (!upload->has_slot) US_TRY(take_slot(device, error));
    upload->has_slot = true;
    const us_uploader *uploader = device->uploader;
    us_copier_run(uploader->copier, uploader->slots[uploader->next].bytes, upload->pieces,
                  upload->piece_count);
    upload->piece_count = 0;
    return UNSEEN_OK;
}

static unseen_status send(us_upload *upload, unseen_error *error) {
    us_device *device = upload->to->device;
    US_TRY(fill(upload, error));
    us_uploader *uploader = device->uploader;
    us_slot *slot = &uploader->slots[uploader->next];
    us_command command;
    us_command_begin(&command, device);
    us_command_touch(&command, upload->to->uses, true);
    if (upload->fresh) command.wait_count = 0;
    /* What another queue waits for must have been started. */
    if (command.wait_count) US_TRY(us_device_flush(device, error));
    cl_event *event = us_command_event(&command);
    cl_int code = clEnqueueWriteBuffer(uploader->queue, upload->to->memory, CL_FALSE,
                                       upload->offset, upload->filled, slot->bytes,
                                       command.wait_count, us_command_waits(&command), event);
    if (code != CL_SUCCESS)
        return us_device_fail(device, error, code,
                              "sending to device memory (clEnqueueWriteBuffer)");
    uploader->next = (uploader->next + 1) % US_UPLOAD_SLOTS;
    upload->offset += upload->filled;
    upload->filled = 0;
    upload->has_slot = false;
    cl_int kept = clRetainEvent(*event);
    if (kept == CL_SUCCESS) slot->sent = *event;
    US_TRY(us_command_end(&command, NULL, error));
    code = clFlush(uploader->queue);
    /* Without its event nothing tells when the slot is free again. */
    if (kept != CL_SUCCESS) return us_uploader_finish(uploader, error);
    if (code == CL_SUCCESS) return UNSEEN_OK;
    return us_device_fail(device, error, code, "starting an upload (clFlush)");
}

void us_upload_begin(us_upload *upload, us_buffer *to, size_t offset, bool fresh) {
    *upload = (us_upload){.to = to, .offset = offset, .fresh = fresh};
}

/* Pieces that lie side by side are one. */
static unseen_status add_piece(us_upload *upload, const unsigned char *from, size_t size,
                               unseen_error *error) {
    us_copied *last = upload->piece_count ? &upload->pieces[upload->piece_count - 1] : NULL;
    if (last && (const unsigned char *)last->from + last->size == from) {
        last->size += size;
    } else {
        if (upload->piece_count == US_UPLOAD_PIECES) US_TRY(fill(upload, error));
        upload->pieces[upload->piece_count++] = (us_copied){from, upload->filled, size};
    }
    upload->filled += size;
    return UNSEEN_OK;
}

unseen_status us_upload_add(us_upload *upload, const void *bytes, size_t size,
                            unseen_error *error) {
    const unsigned char *from = bytes;
    while (size) {
        size_t room = US_UPLOAD_BYTES - upload->filled, piece = size < room ? size : room;
        US_TRY(add_piece(upload, from, piece, error));
        from += piece;
        size -= piece;
        if (upload->filled == US_UPLOAD_BYTES) US_TRY(send(upload, error));
    }
    return UNSEEN_OK;
}

unseen_status us_upload_end(us_upload *upload, unseen_error *error) {
    return upload->filled ? send(upload, error) : UNSEEN_OK;
}
