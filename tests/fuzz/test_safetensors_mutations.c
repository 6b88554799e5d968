/* SPDX-License-Identifier: MIT */
/* safetensors files, truncated and mutated: read in full or refused, never out of bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "network/safetensors.h"

static char folder[] = "/tmp/unseen_safetensors_XXXXXX";
static char path[64];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_sample(void) {
    us_safetensors_builder builder;
    unseen_error error;
    float *a = malloc(6 * sizeof *a), *b = malloc(sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    for (int i = 0; i < 6; i++)
        a[i] = (float)i;
    *b = 7;
    assert_int_equal(us_safetensors_begin(&builder, &error), UNSEEN_OK);
    assert_int_equal(us_safetensors_add_metadata(&builder, "key", "value", &error), UNSEEN_OK);
    assert_int_equal(us_safetensors_add(&builder, "a", "F32", 2, (int[]){2, 3}, a, 24, &error),
                     UNSEEN_OK);
    assert_int_equal(us_safetensors_add(&builder, "b", "F32", 1, (int[]){1}, b, 4, &error),
                     UNSEEN_OK);
    assert_int_equal(us_safetensors_write(&builder, path, &error), UNSEEN_OK);
    us_safetensors_end(&builder);
}

static void test_round_trip(void **state) {
    (void)state;
    us_safetensors file;
    unseen_error error;
    write_sample();
    assert_int_equal(us_safetensors_open(path, &file, &error), UNSEEN_OK);
    assert_int_equal(file.count, 2);
    assert_string_equal(us_safetensors_metadata(&file, "key"), "value");
    assert_null(us_safetensors_metadata(&file, "none"));
    assert_null(us_safetensors_find(&file, "c"));
    const us_safetensors_tensor *a = us_safetensors_find(&file, "a");
    assert_non_null(a);
    assert_int_equal(a->rank, 2);
    assert_int_equal(a->dims[1], 3);
    float values[6];
    memcpy(values, a->data, sizeof values);
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == (float)i);
    us_safetensors_close(&file);
}

/* Opens what is given and touches every byte that the reader vouches for. */
static bool try_bytes(const char *bytes, size_t size) {
    us_safetensors file;
    unseen_error error;
    unlink(path);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fwrite(bytes, 1, size, out);
    fclose(out);
    error.message[0] = '\0';
    if (us_safetensors_open(path, &file, &error) != UNSEEN_OK) {
        assert_true(strstr(error.message, path) != NULL);
        return false;
    }
    unsigned sum = 0;
    for (int i = 0; i < file.count; i++)
        for (size_t b = 0; b < file.tensors[i].bytes; b++)
            sum += ((const unsigned char *)file.tensors[i].data)[b];
    us_safetensors_close(&file);
    return sum < UINT32_MAX;
}

static void test_mutations(void **state) {
    (void)state;
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '}', '[', '-', '9'};
    char *bytes;
    size_t size;
    unseen_error error;
    write_sample();
    assert_int_equal(us_file_read(path, 1 << 20, &bytes, &size, &error), UNSEEN_OK);
    for (size_t length = 0; length < size; length++)
        assert_false(try_bytes(bytes, length));
    /* The digest covers every byte: nothing that differs is taken. */
    for (size_t at = 0; at < size; at++)
        for (size_t v = 0; v < sizeof values + 8; v++) {
            char kept = bytes[at];
            bytes[at] = v < 8 ? (char)(kept ^ 1 << v) : (char)values[v - 8];
            assert_int_equal(try_bytes(bytes, size), bytes[at] == kept);
            bytes[at] = kept;
        }
    free(bytes);
}

/* Without its digest, as other programs write files: read in full or refused. */
static void test_mutations_without_a_digest(void **state) {
    (void)state;
    char *bytes, *key, *value;
    size_t size;
    unseen_error error;
    write_sample();
    assert_int_equal(us_file_read(path, 1 << 20, &bytes, &size, &error), UNSEEN_OK);
    key = memmem(bytes, size, "unseen_digest", 13);
    value = memmem(bytes, size, "xxh3-128-of-this-file", 21);
    assert_true(key && value);
    /* Not a digest with another key, or without its word: those are damaged. */
    *key = 'U';
    assert_false(try_bytes(bytes, size));
    *value = 'X';
    assert_true(try_bytes(bytes, size));
    *key = 'u';
    assert_false(try_bytes(bytes, size));
    *key = 'U';
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] = (char)(bytes[at] ^ 1 << bit);
            try_bytes(bytes, size);
            bytes[at] = (char)(bytes[at] ^ 1 << bit);
        }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_mutations),
                                       cmocka_unit_test(test_mutations_without_a_digest)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
