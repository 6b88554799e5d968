/* SPDX-License-Identifier: MIT */
/* Makes small data files for tests. */
#ifndef US_TESTS_DATA_FILES_H
#define US_TESTS_DATA_FILES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
/* cmocka.h needs setjmp.h and the above */
#include <setjmp.h>
#include <cmocka.h>

typedef struct bytes {
    unsigned char at[65536];
    size_t size;
} bytes;

static inline void bytes_add(bytes *b, const void *what, size_t size) {
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, what, size);
    b->size += size;
}

static inline void bytes_fill(bytes *b, int value, size_t size) {
    assert_true(b->size + size <= sizeof b->at);
    memset(b->at + b->size, value, size);
    b->size += size;
}

/* A .npy header of the given version around any dict text, padded as NumPy does. */
static inline void npy_begin(bytes *b, int version, const char *dict) {
    size_t start = version > 1 ? 12 : 10, text = strlen(dict);
    size_t length = (start + text + 1 + 63) / 64 * 64 - start;
    unsigned char head[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0};
    head[8] = (unsigned char)length;
    head[9] = (unsigned char)(length >> 8);
    b->size = 0;
    bytes_add(b, head, start);
    bytes_add(b, dict, text);
    bytes_fill(b, ' ', length - text - 1);
    bytes_add(b, "\n", 1);
}

static inline void npy(bytes *b, const char *type, const char *shape) {
    char dict[256];
    snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type,
             shape);
    npy_begin(b, 1, dict);
}

static inline void idx_begin(bytes *b, int type, int rank, const uint32_t *dims) {
    b->size = 0;
    unsigned char head[4] = {0, 0, (unsigned char)type, (unsigned char)rank};
    bytes_add(b, head, 4);
    for (int i = 0; i < rank; i++) {
        unsigned char dim[4] = {(unsigned char)(dims[i] >> 24), (unsigned char)(dims[i] >> 16),
                                (unsigned char)(dims[i] >> 8), (unsigned char)dims[i]};
        bytes_add(b, dim, 4);
    }
}

/* Packs b as one gzip member. */
static inline void gzip(bytes *b) {
    static bytes packed;
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY),
                     Z_OK);
    stream.next_in = b->at;
    stream.avail_in = (uInt)b->size;
    stream.next_out = packed.at;
    stream.avail_out = sizeof packed.at;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.size = sizeof packed.at - stream.avail_out;
    deflateEnd(&stream);
    *b = packed;
}

/* A folder of this process's own, and one file in it. */
static char test_folder[256], test_path[300];

static inline int data_setup(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(test_folder, sizeof test_folder, "%s/unseen-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(test_folder)) return -1;
    snprintf(test_path, sizeof test_path, "%s/file", test_folder);
    return 0;
}

static inline int data_teardown(void **state) {
    (void)state;
    unlink(test_path);
    return rmdir(test_folder);
}

static inline void write_file(const void *content, size_t size) {
    /* some file systems write at once what replaces a file's content, but not a new file */
    unlink(test_path);
    FILE *stream = fopen(test_path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(content, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

static inline void assert_contains(const char *text, const char *part) {
    if (strstr(text, part)) return;
    print_error("\"%s\"\nlacks\n\"%s\"\n", text, part);
    fail();
}

#endif
