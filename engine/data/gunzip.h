/* SPDX-License-Identifier: MIT */
/* Unpacking gzip from memory, only as far as asked. */
#ifndef US_DATA_GUNZIP_H
#define US_DATA_GUNZIP_H

#include <zlib.h>

#include "base/error.h"

typedef struct us_gunzip {
    z_stream stream;
    const unsigned char *next; /* packed bytes that zlib has not been given yet */
    size_t left;
    bool open, ended;
    bool truncated;   /* the packed bytes end in the middle of a member */
    const char *path; /* for messages; borrowed */
} us_gunzip;

bool us_gunzip_is(const unsigned char *bytes, size_t size);

/* bytes and path must outlive the reader. */
unseen_status us_gunzip_open(us_gunzip *reader, const unsigned char *bytes, size_t size,
                             const char *path, unseen_error *error);

/* Unpacks up to `wanted` bytes; fewer only at the end of the data: its checksum has then been
 * verified, or reader->truncated is set. Several gzip members in a row are one stream, as for
 * gzip(1). */
unseen_status us_gunzip_read(us_gunzip *reader, void *out, size_t wanted, size_t *got,
                             unseen_error *error);

void us_gunzip_close(us_gunzip *reader); /* accepts one that failed to open, or is all zeros */

#endif
