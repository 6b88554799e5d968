/* SPDX-License-Identifier: MIT */
#include "data/gunzip.h"

#include <limits.h>
#include <string.h>

enum { CHUNK = 1 << 30 }; /* zlib counts in 32 bits */

bool us_gunzip_is(const unsigned char *bytes, size_t size) {
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

unseen_status us_gunzip_open(us_gunzip *reader, const unsigned char *bytes, size_t size,
                             const char *path, unseen_error *error) {
    memset(reader, 0, sizeof *reader);
    reader->next = bytes;
    reader->left = size;
    reader->path = path;
    /* 16 asks for a gzip wrapper, and no other */
    if (inflateInit2(&reader->stream, 16 + MAX_WBITS) != Z_OK)
        return us_fail_memory(error, "unpacking gzip");
    reader->open = true;
    return UNSEEN_OK;
}

static unseen_status corrupt(const us_gunzip *reader, const char *why, unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: damaged gzip data (%s); copy or download the file again", reader->path,
                   why);
}

static void refill(us_gunzip *reader) {
    z_stream *stream = &reader->stream;
    if (stream->avail_in > 0 || reader->left == 0) return;
    size_t chunk = reader->left < CHUNK ? reader->left : CHUNK;
    stream->next_in = (Bytef *)(uintptr_t)reader->next; /* zlib's API lacks const; it only reads */
    stream->avail_in = (uInt)chunk;
    reader->next += chunk;
    reader->left -= chunk;
}

/* At the end of a gzip member: the next one begins, or the data ends here. */
static unseen_status next_member(us_gunzip *reader, unseen_error *error) {
    refill(reader);
    if (reader->stream.avail_in == 0) {
        reader->ended = true;
        return UNSEEN_OK;
    }
    if (reader->stream.next_in[0] != 0x1f)
        return corrupt(reader, "other bytes follow the compressed data", error);
    if (inflateReset(&reader->stream) != Z_OK) return corrupt(reader, "zlib's state", error);
    return UNSEEN_OK;
}

unseen_status us_gunzip_read(us_gunzip *reader, void *out, size_t wanted, size_t *got,
                             unseen_error *error) {
    z_stream *stream = &reader->stream;
    *got = 0;
    while (*got < wanted && !reader->ended) {
        refill(reader);
        size_t room = wanted - *got < CHUNK ? wanted - *got : CHUNK;
        stream->next_out = (Bytef *)out + *got;
        stream->avail_out = (uInt)room;
        int result = inflate(stream, Z_NO_FLUSH);
        *got += room - stream->avail_out;
        if (result == Z_STREAM_END) {
            US_TRY(next_member(reader, error));
        } else if (result == Z_MEM_ERROR) {
            return us_fail_memory(error, "unpacking gzip");
        } else if (result == Z_BUF_ERROR) { /* it wants more input than there is */
            reader->ended = reader->truncated = true;
        } else if (result != Z_OK) {
            return corrupt(reader, stream->msg ? stream->msg : "not a deflate stream", error);
        }
    }
    return UNSEEN_OK;
}

void us_gunzip_close(us_gunzip *reader) {
    if (reader->open) inflateEnd(&reader->stream);
    reader->open = false;
}
