/* SPDX-License-Identifier: MIT */
/* From the host's memory to the device's without waiting: the host copies bytes to pinned memory,
 * with several threads (copier.h), from where a queue of its own sends them, while the device's
 * queue works on.
 *
 *     host bytes --- host ---> slot 0, 1, 2, 0, .. --- uploads' queue ---> buffer
 *
 * Commands that are enqueued later and use the buffer wait for what was sent to it, and what is
 * sent waits for those before it that read the buffer: see command.h. The host waits where a slot
 * is still being sent. Slots and queue are made when they are first needed, and are the device's.
 *
 *     us_upload_begin(&upload, buffer, offset, fresh);
 *     us_upload_add(&upload, bytes, size, error);   (as often as there are pieces)
 *     us_upload_end(&upload, error); */
#ifndef US_DEVICE_UPLOAD_H
#define US_DEVICE_UPLOAD_H

#include "device/copier.h"
#include "device/device.h"

enum {
    US_UPLOAD_SLOTS = 3,
    US_UPLOAD_BYTES = 4 << 20, /* of a slot */
    US_UPLOAD_PIECES = 256     /* that are copied at a time */
};

typedef struct us_upload {
    us_buffer *to;
    size_t offset; /* in `to`, where the slot's first byte goes */
    size_t filled; /* bytes of the slot, those of the pieces as well */
    bool fresh;
    bool has_slot;
    us_copied pieces[US_UPLOAD_PIECES]; /* yet to be copied to the slot */
    int piece_count;
} us_upload;

/* To a buffer of us_buffer_create_for_uploads, from an offset on. fresh: nothing that was enqueued
 * uses those bytes, so that sending them waits for nothing. */
void us_upload_begin(us_upload *upload, us_buffer *to, size_t offset, bool fresh);

/* The next bytes, which are read until us_upload_end. */
unseen_status us_upload_add(us_upload *upload, const void *bytes, size_t size, unseen_error *error);

/* Sends what is left of them. All have been read on return. */
unseen_status us_upload_end(us_upload *upload, unseen_error *error);

/* ---- for device.c ---- */

typedef struct us_uploader us_uploader;

/* Waits until all is sent. NULL is fine. */
unseen_status us_uploader_finish(const us_uploader *uploader, unseen_error *error);

/* ended: all is known to be sent. NULL is fine. */
void us_uploader_close(us_uploader *uploader, bool ended);

#endif
