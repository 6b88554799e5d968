/* SPDX-License-Identifier: MIT */
/* Digests: short fingerprints that tell whether bytes are the same as before. They find damage and
 * mix-ups of any kind; they are not meant to withstand somebody who forges them. XXH3, 128 bits:
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md */
#ifndef US_BASE_DIGEST_H
#define US_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/* 32 lower-case hexadecimal digits, NUL-terminated. */
typedef struct us_digest_text {
    char text[33];
} us_digest_text;

/* The digest of bytes in memory. */
us_digest_text us_digest(const void *bytes, size_t size);

/* The digest of bytes that come in pieces; equal to us_digest of all of them in a row. */
typedef struct us_digest_stream us_digest_stream;
us_digest_stream *us_digest_begin(void); /* NULL: no memory */
void us_digest_add(us_digest_stream *stream, const void *bytes, size_t size);
us_digest_text us_digest_end(us_digest_stream *stream); /* frees the stream */

#endif
