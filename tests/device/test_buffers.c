/* SPDX-License-Identifier: MIT */
/* Buffers: round trips, views, zeroing, limits, accounting. */
#include "test_device.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void fill(unsigned char *bytes, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(seed + i * 7 + i / 251);
}

static void new_buffers_are_zero(void **state) {
    static const size_t sizes[] = {1, 3, 4, 15, 16, 20, 1003, 65536, 1000004};
    unseen_error error;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        us_buffer *buffer;
        TEST_OK(us_buffer_create(*state, sizes[i], "test", &buffer, &error));
        assert_int_equal(buffer->bytes, sizes[i]);
        unsigned char *bytes = malloc(sizes[i]);
        memset(bytes, 0xff, sizes[i]);
        TEST_OK(us_buffer_read(buffer, 0, bytes, sizes[i], &error));
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(bytes[j], 0);
        free(bytes);
        us_buffer_destroy(buffer);
    }
}

static void bytes_come_back(void **state) {
    enum { SIZE = 4099 };
    unsigned char out[SIZE], in[SIZE];
    unseen_error error;
    us_buffer *buffer;
    fill(out, SIZE, 1);
    TEST_OK(us_buffer_create(*state, SIZE, "test", &buffer, &error));
    TEST_OK(us_buffer_write(buffer, 0, out, SIZE, &error));
    TEST_OK(us_buffer_read(buffer, 0, in, SIZE, &error));
    assert_memory_equal(in, out, SIZE);
    TEST_OK(us_buffer_write(buffer, 17, out, 5, &error));
    TEST_OK(us_buffer_read(buffer, 15, in, 9, &error));
    assert_int_equal(in[0], out[15]);
    assert_int_equal(in[1], out[16]);
    assert_memory_equal(in + 2, out, 5);
    assert_int_equal(in[7], out[22]);
    TEST_OK(us_buffer_write(buffer, SIZE, out, 0, &error));
    TEST_OK(us_buffer_read(buffer, SIZE, in, 0, &error));
    TEST_OK(us_buffer_zero(buffer, &error));
    TEST_OK(us_buffer_read(buffer, 0, in, SIZE, &error));
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(in[i], 0);
    us_buffer_destroy(buffer);
}

static void copies_keep_the_rest(void **state) {
    enum { SIZE = 1000 };
    unsigned char a[SIZE], b[SIZE], in[SIZE];
    unseen_error error;
    us_buffer *from, *to;
    fill(a, SIZE, 3);
    fill(b, SIZE, 90);
    TEST_OK(us_buffer_create(*state, SIZE, "test", &from, &error));
    TEST_OK(us_buffer_create(*state, SIZE, "test", &to, &error));
    TEST_OK(us_buffer_write(from, 0, a, SIZE, &error));
    TEST_OK(us_buffer_write(to, 0, b, SIZE, &error));
    TEST_OK(us_buffer_copy(to, 100, from, 7, 333, &error));
    TEST_OK(us_buffer_copy(to, 0, from, 0, 0, &error));
    TEST_OK(us_buffer_read(to, 0, in, SIZE, &error));
    assert_memory_equal(in, b, 100);
    assert_memory_equal(in + 100, a + 7, 333);
    assert_memory_equal(in + 433, b + 433, SIZE - 433);
    us_buffer_destroy(from);
    us_buffer_destroy(to);
}

static void ranges_beyond_the_end_are_refused(void **state) {
    unsigned char bytes[64] = {0};
    unseen_error error;
    us_buffer *buffer, *other;
    TEST_OK(us_buffer_create(*state, 64, "test", &buffer, &error));
    TEST_OK(us_buffer_create(*state, 32, "test", &other, &error));
    assert_int_equal(us_buffer_write(buffer, 1, bytes, 64, &error), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "64 bytes at 1"));
    assert_int_equal(us_buffer_read(buffer, 65, bytes, 0, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_read(buffer, SIZE_MAX, bytes, 2, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_read(buffer, 2, bytes, SIZE_MAX, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_copy(buffer, 0, other, 0, 33, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_copy(other, 0, buffer, 0, 33, &error), UNSEEN_FAILURE);
    us_buffer_destroy(buffer);
    us_buffer_destroy(other);
}

static void views_share_the_parents_bytes(void **state) {
    us_device *device = *state;
    size_t step = device->facts.alignment, size = 5 * step + 12;
    unsigned char *out = malloc(size), *in = malloc(size);
    unseen_error error;
    us_buffer *whole, *view, *inner;
    uint64_t before = device->allocated_bytes;
    fill(out, size, 5);
    TEST_OK(us_buffer_create(device, size, "test", &whole, &error));
    TEST_OK(us_buffer_write(whole, 0, out, size, &error));
    TEST_OK(us_buffer_view(whole, 2 * step, 3 * step, &view, &error));
    TEST_OK(us_buffer_view(view, step, step + 3, &inner, &error));
    assert_int_equal(device->allocated_bytes, before + size);

    TEST_OK(us_buffer_read(view, 0, in, 3 * step, &error));
    assert_memory_equal(in, out + 2 * step, 3 * step);
    TEST_OK(us_buffer_read(inner, 1, in, step + 2, &error));
    assert_memory_equal(in, out + 3 * step + 1, step + 2);

    /* What is done to a view is done to its part of the whole, and to nothing else. */
    TEST_OK(us_buffer_zero(inner, &error));
    memset(out + 3 * step, 0, step + 3);
    TEST_OK(us_buffer_copy(view, 5, whole, 0, 9, &error));
    memcpy(out + 2 * step + 5, out, 9);
    TEST_OK(us_buffer_read(whole, 0, in, size, &error));
    assert_memory_equal(in, out, size);

    us_buffer_destroy(inner);
    us_buffer_destroy(view);
    us_buffer_destroy(whole);
    assert_int_equal(device->allocated_bytes, before);
    free(out);
    free(in);
}

static void wrong_views_are_refused(void **state) {
    us_device *device = *state;
    size_t step = device->facts.alignment;
    unseen_error error;
    us_buffer *whole, *view;
    TEST_OK(us_buffer_create(device, 4 * step, "test", &whole, &error));
    assert_int_equal(us_buffer_view(whole, step + 4, step, &view, &error), UNSEEN_FAILURE);
    assert_null(view);
    assert_int_equal(us_buffer_view(whole, step, 0, &view, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_view(whole, step, 3 * step + 1, &view, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_view(whole, 5 * step, step, &view, &error), UNSEEN_FAILURE);
    assert_int_equal(us_buffer_view(whole, 0, SIZE_MAX, &view, &error), UNSEEN_FAILURE);
    us_buffer_destroy(whole);
}

static void too_much_is_out_of_device_memory(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_buffer *buffer = (us_buffer *)&error;
    uint64_t before = device->allocated_bytes;
    assert_int_equal(us_buffer_create(device, (size_t)device->facts.largest_allocation_bytes + 1,
                                      "activations of encoder", &buffer, &error),
                     UNSEEN_OUT_OF_DEVICE_MEMORY);
    assert_null(buffer);
    assert_int_equal(error.status, UNSEEN_OUT_OF_DEVICE_MEMORY);
    assert_non_null(strstr(error.message, "activations of encoder"));
    assert_non_null(strstr(error.message, "/training/batch"));
    assert_non_null(strstr(error.message, device->facts.name));
    assert_int_equal(us_buffer_create(device, SIZE_MAX, "test", &buffer, &error),
                     UNSEEN_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(us_buffer_in_place(device, &error, SIZE_MAX, "test", &buffer, &error),
                     UNSEEN_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(device->allocated_bytes, before);
    assert_int_equal(us_buffer_create(device, 0, "test", &buffer, &error), UNSEEN_FAILURE);
}

static void together_they_must_fit(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_buffer *buffer;
    uint64_t before = device->allocated_bytes;
    device->allocated_bytes = device->facts.memory_bytes - 100; /* as if others had been made */
    assert_int_equal(us_buffer_create(device, 101, "test", &buffer, &error),
                     UNSEEN_OUT_OF_DEVICE_MEMORY);
    assert_non_null(strstr(error.message, "no longer fits"));
    device->allocated_bytes = before;
}

static void allocations_are_counted(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_buffer *a, *b;
    uint64_t before = device->allocated_bytes;
    TEST_OK(us_buffer_create(device, 3000000, "test", &a, &error));
    TEST_OK(us_buffer_create(device, 2000001, "test", &b, &error));
    assert_int_equal(device->allocated_bytes, before + 5000001);
    us_buffer_destroy(a);
    us_buffer_destroy(b);
    us_buffer_destroy(NULL);
    assert_int_equal(device->allocated_bytes, before);
    assert_true(device->peak_bytes >= before + 5000001);
}

static void host_bytes_are_read(void **state) {
    us_device *device = *state;
    unsigned char out[10007], in[10007];
    if (!us_device_shares_memory(&device->facts)) skip();
    unseen_error error;
    us_buffer *buffer, *copy;
    fill(out, sizeof out, 11);
    for (size_t shift = 0; shift < 3; shift++) { /* whatever the address's alignment */
        size_t size = sizeof out - shift;
        TEST_OK(us_buffer_in_place(device, out + shift, size, "images", &buffer, &error));
        TEST_OK(us_buffer_create(device, size, "test", &copy, &error));
        TEST_OK(us_buffer_copy(copy, 0, buffer, 0, size, &error));
        TEST_OK(us_buffer_read(copy, 0, in, size, &error));
        assert_memory_equal(in, out + shift, size);
        us_buffer_destroy(copy);
        us_buffer_destroy(buffer);
    }
    assert_int_equal(device->allocated_bytes, 0);
}

/* Data sets are mapped, not read; nothing may write to them. */
static void read_only_mappings_are_read(void **state) {
    us_device *device = *state;
    enum { SIZE = 3 * 4096 + 11 };
    unsigned char out[SIZE], in[SIZE];
    char path[] = "/tmp/test_buffers_XXXXXX";
    unseen_error error;
    us_buffer *buffer;
    if (!us_device_shares_memory(&device->facts)) skip();
    fill(out, SIZE, 42);
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(write(file, out, SIZE), SIZE);
    unsigned char *mapped = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    assert_true(mapped != MAP_FAILED);
    /* A .npy file's numbers begin after its header. */
    TEST_OK(us_buffer_in_place(device, mapped + 128, SIZE - 128, "images", &buffer, &error));
    TEST_OK(us_buffer_read(buffer, 5, in, SIZE - 133, &error));
    assert_memory_equal(in, out + 133, SIZE - 133);
    us_buffer_destroy(buffer);
    munmap(mapped, SIZE);
}

static void scratch_grows_and_keeps_its_handle(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_buffer *small, *large, *again;
    const uint64_t before = device->allocated_bytes;
    const int turns = device->out_of_order ? US_SCRATCHES : 1;
    TEST_OK(us_device_scratch(device, 100, &small, &error));
    assert_true(small->bytes >= 100);
    /* All have grown, so that nothing is left to be done at a launch. */
    TEST_OK(us_device_scratch(device, 100000, &large, &error));
    assert_true(large->bytes >= 100000 && small->bytes >= 100000);
    assert_int_equal(device->allocated_bytes - before, (uint64_t)turns * large->bytes);
    assert_int_equal(small == large, turns == 1);
    for (int i = 2; i <= turns; i++) {
        TEST_OK(us_device_scratch(device, 10, &again, &error));
        assert_int_equal(small == again, i == turns);
    }
    TEST_OK(us_device_scratch(device, 10, &again, &error));
    assert_ptr_equal(again, large);
    assert_int_equal(device->allocated_bytes - before, (uint64_t)turns * large->bytes);
    assert_int_equal(us_device_scratch(device, SIZE_MAX, &again, &error),
                     UNSEEN_OUT_OF_DEVICE_MEMORY);
    TEST_OK(us_buffer_zero(large, &error)); /* the old one is still there */
    TEST_OK(us_device_finish(device, &error));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_buffers_are_zero),
        cmocka_unit_test(bytes_come_back),
        cmocka_unit_test(copies_keep_the_rest),
        cmocka_unit_test(ranges_beyond_the_end_are_refused),
        cmocka_unit_test(views_share_the_parents_bytes),
        cmocka_unit_test(wrong_views_are_refused),
        cmocka_unit_test(too_much_is_out_of_device_memory),
        cmocka_unit_test(together_they_must_fit),
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(host_bytes_are_read),
        cmocka_unit_test(read_only_mappings_are_read),
        cmocka_unit_test(scratch_grows_and_keeps_its_handle),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
