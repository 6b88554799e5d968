/* SPDX-License-Identifier: MIT */
#include "base/digest.h"

#include <stdio.h>
#include <xxhash.h>

static us_digest_text text_of(XXH128_hash_t hash) {
    us_digest_text digest;
    snprintf(digest.text, sizeof digest.text, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    return digest;
}

us_digest_text us_digest(const void *bytes, size_t size) {
    return text_of(XXH3_128bits(bytes, size));
}

us_digest_stream *us_digest_begin(void) {
    XXH3_state_t *state = XXH3_createState();
    if (state) XXH3_128bits_reset(state);
    return (us_digest_stream *)state;
}

void us_digest_add(us_digest_stream *stream, const void *bytes, size_t size) {
    if (size) XXH3_128bits_update((XXH3_state_t *)stream, bytes, size);
}

us_digest_text us_digest_end(us_digest_stream *stream) {
    us_digest_text digest = text_of(XXH3_128bits_digest((XXH3_state_t *)stream));
    XXH3_freeState((XXH3_state_t *)stream);
    return digest;
}
