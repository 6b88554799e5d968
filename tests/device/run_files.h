/* SPDX-License-Identifier: MIT */
/* Small images and configs in a folder of the test's own, for tests that train. */
#ifndef US_TEST_RUN_FILES_H
#define US_TEST_RUN_FILES_H

#include "test_device.h"

#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { SIDE = 6, IMAGES = 21 };

static char root[256];
static unseen_error error;

static inline const char *in_root(const char *name) {
    static char paths[8][700];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static inline void write_text(const char *name, const char *text) {
    TEST_OK(us_file_write(in_root(name), text, strlen(text), &error));
}

/* Images whose brightness is anyone's guess, as IDX. */
static inline void write_images(const char *name) {
    unsigned char bytes[16 + IMAGES * SIDE * SIDE] = {0, 0, 8, 3,    0, 0, 0, IMAGES,
                                                      0, 0, 0, SIDE, 0, 0, 0, SIDE};
    uint32_t state = 1;
    for (size_t i = 16; i < sizeof bytes; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(state >> 24);
    }
    TEST_OK(us_file_write(in_root(name), bytes, sizeof bytes, &error));
}

static inline void assert_same_file(const char *one, const char *other) {
    char *a, *b;
    size_t a_size, b_size;
    TEST_OK(us_file_read(one, 1 << 20, &a, &a_size, &error));
    TEST_OK(us_file_read(other, 1 << 20, &b, &b_size, &error));
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a, b, a_size);
    free(a);
    free(b);
}

static inline int remove_one(const char *path, const struct stat *about, int kind,
                             struct FTW *where) {
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

/* The folder with train.idx and test.idx; skips the program as test_device_open does. */
static inline int run_files_setup(void) {
    us_device_close(test_device_open());
    const char *folder = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/unseen-test-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(root)) return -1;
    write_images("train.idx");
    write_images("test.idx");
    return 0;
}

static inline int run_files_teardown(void **state) {
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
