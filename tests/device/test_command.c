/* SPDX-License-Identifier: MIT */
/* Which commands wait for which. */
#include "test_device.h"

#include <math.h>

#include "device/command.h"

enum { BYTES = 4096 };

/* A command that is enqueued nowhere: its event is a user's. */
static us_command begin(us_device *device) {
    us_command command;
    us_command_begin(&command, device);
    return command;
}

static cl_event end(us_command *command) {
    unseen_error error;
    cl_int code;
    cl_event event = clCreateUserEvent(command->device->context, &code);
    assert_int_equal(code, CL_SUCCESS);
    if (us_command_event(command)) {
        clRetainEvent(event);
        *us_command_event(command) = event;
    }
    TEST_OK(us_command_end(command, NULL, &error));
    return event;
}

/* One that touches one buffer. */
static cl_event touch(us_device *device, const us_buffer *buffer, bool writes) {
    us_command command = begin(device);
    us_command_touch(&command, buffer->uses, writes);
    return end(&command);
}

/* That one which would touch the buffer waits for `count` events, the ones that follow; on a queue
 * in order, for none. */
static void assert_waits(us_device *device, const us_buffer *buffer, bool writes, int count, ...) {
    us_command command = begin(device);
    us_command_touch(&command, buffer->uses, writes);
    va_list events;
    va_start(events, count);
    assert_int_equal(command.wait_count, device->out_of_order ? count : 0);
    for (int i = 0; i < count && device->out_of_order; i++) {
        cl_event event = va_arg(events, cl_event);
        bool found = false;
        for (cl_uint w = 0; w < command.wait_count; w++)
            found |= command.waits[w] == event;
        assert_true(found);
    }
    va_end(events);
}

/* A user's event that nobody completes would keep what waits for it for ever. */
static void release(int count, ...) {
    va_list events;
    va_start(events, count);
    for (int i = 0; i < count; i++) {
        cl_event event = va_arg(events, cl_event);
        clSetUserEventStatus(event, CL_COMPLETE);
        clReleaseEvent(event);
    }
    va_end(events);
}

/* One that nothing has touched yet: zeroing it is a command. */
static us_buffer *create(us_device *device) {
    unseen_error error;
    us_buffer *buffer;
    TEST_OK(us_buffer_create(device, BYTES, "test", &buffer, &error));
    TEST_OK(us_device_finish(device, &error));
    release(1, touch(device, buffer, true));
    return buffer;
}

static us_buffer *create_view(us_buffer *parent, size_t offset) {
    unseen_error error;
    us_buffer *view;
    TEST_OK(us_buffer_view(parent, offset, BYTES / 2, &view, &error));
    return view;
}

static void readers_wait_for_the_writer_alone(void **state) {
    us_device *device = *state;
    us_buffer *buffer = create(device), *other = create(device);
    cl_event write = touch(device, buffer, true), elsewhere = touch(device, other, true);
    assert_waits(device, buffer, false, 1, write);
    cl_event read = touch(device, buffer, false);
    assert_waits(device, buffer, false, 1, write);
    release(3, write, elsewhere, read);
    us_buffer_destroy(buffer);
    us_buffer_destroy(other);
}

static void a_writer_waits_for_all_before(void **state) {
    us_device *device = *state;
    us_buffer *buffer = create(device);
    cl_event write = touch(device, buffer, true);
    cl_event reads[2] = {touch(device, buffer, false), touch(device, buffer, false)};
    assert_waits(device, buffer, true, 3, write, reads[0], reads[1]);
    cl_event next = touch(device, buffer, true);
    assert_waits(device, buffer, true, 1, next);
    assert_waits(device, buffer, false, 1, next);
    release(4, write, reads[0], reads[1], next);
    us_buffer_destroy(buffer);
}

static void views_wait_for_what_they_overlap(void **state) {
    us_device *device = *state;
    us_buffer *whole = create(device);
    us_buffer *low = create_view(whole, 0), *high = create_view(whole, BYTES / 2);
    us_buffer *again = create_view(high, 0);
    cl_event first = touch(device, whole, true);
    cl_event write = touch(device, low, true), read = touch(device, high, false);
    assert_waits(device, low, false, 2, first, write);
    assert_waits(device, high, false, 1, first);
    assert_waits(device, again, true, 2, first, read);
    assert_waits(device, whole, false, 2, first, write);
    assert_waits(device, whole, true, 3, first, write, read);
    cl_event last = touch(device, whole, true);
    assert_waits(device, low, true, 1, last);
    assert_waits(device, high, false, 1, last);
    release(4, first, write, read, last);
    us_buffer_destroy(again);
    us_buffer_destroy(high);
    us_buffer_destroy(low);
    us_buffer_destroy(whole);
}

/* Then a reader waits for the one whose place it takes, so that none is lost. */
static void readers_beyond_the_room_wait_for_readers(void **state) {
    us_device *device = *state;
    us_buffer *buffer = create(device);
    cl_event write = touch(device, buffer, true), reads[US_READERS];
    for (int r = 0; r < US_READERS; r++)
        reads[r] = touch(device, buffer, false);
    assert_waits(device, buffer, false, 2, write, reads[0]);
    cl_event more = touch(device, buffer, false);
    assert_waits(device, buffer, false, 2, write, reads[1]);
    assert_waits(device, buffer, true, US_READERS + 1, write, reads[1], reads[2], reads[3],
                 reads[4], reads[5], reads[6], reads[7], more);
    for (int r = 0; r < US_READERS; r++)
        release(1, reads[r]);
    release(2, write, more);
    us_buffer_destroy(buffer);
}

static void what_is_also_written_counts_as_written(void **state) {
    us_device *device = *state;
    us_buffer *buffer = create(device);
    us_command command = begin(device);
    us_command_touch(&command, buffer->uses, true);
    us_command_touch(&command, buffer->uses, false);
    cl_event both = end(&command);
    assert_waits(device, buffer, false, 1, both);
    assert_waits(device, buffer, true, 1, both);
    release(1, both);
    us_buffer_destroy(buffer);
}

static void more_waits_than_there_is_room_for_are_a_barrier(void **state) {
    enum { MANY = US_WAITS / (US_READERS + 1) + 2 };
    us_device *device = *state;
    unseen_error error;
    us_buffer *whole, *views[MANY];
    cl_event events[MANY][US_READERS + 1];
    size_t step = device->facts.alignment;
    TEST_OK(us_buffer_create(device, step * MANY, "test", &whole, &error));
    for (int v = 0; v < MANY; v++) {
        TEST_OK(us_buffer_view(whole, (size_t)v * step, step, &views[v], &error));
        for (int e = 0; e <= US_READERS; e++)
            events[v][e] = touch(device, views[v], e == 0);
    }
    us_command command = begin(device);
    us_command_touch(&command, whole->uses, true);
    assert_int_equal(command.waits_for_all, device->out_of_order);
    assert_int_equal(command.wait_count, 0);
    release(1, end(&command));
    assert_int_equal(whole->uses->next_view->written != NULL, false);
    for (int v = 0; v < MANY; v++) {
        for (int e = 0; e <= US_READERS; e++)
            release(1, events[v][e]);
        us_buffer_destroy(views[v]);
    }
    us_buffer_destroy(whole);
    TEST_OK(us_device_finish(device, &error));
}

/* sum_splits.cl adds up what its first argument, const, holds. */
static void kernels_only_read_what_they_declare_const(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_kernel *kernel;
    us_buffer *parts = create(device), *sums = create(device);
    const us_uses *from = parts->uses, *to = sums->uses;
    cl_event before = from->written;
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "sum_splits", "sum_splits", &kernel,
                             &error, "%s", " "));
    TEST_OK(us_kernel_run_elements(kernel, 16, &error, "blillibb", parts, (int64_t)0, 2,
                                   (int64_t)16, (int64_t)0, 0, sums, NULL));
    if (device->out_of_order) {
        assert_ptr_equal(from->written, before);
        assert_non_null(from->read[0]);
        assert_ptr_equal(to->written, from->read[0]);
        assert_null(to->read[0]);
    }
    us_kernel_destroy(kernel);
    us_buffer_destroy(parts);
    us_buffer_destroy(sums);
    TEST_OK(us_device_finish(device, &error));
}

/* A round doubles the first half of a buffer by adding it up with a copy of itself: each command
 * needs the one before, some by what they write and some by what they read. */
static void a_chain_keeps_its_order(void **state) {
    enum { FLOATS = 1 << 16, ROUNDS = 60 };
    us_device *device = *state;
    unseen_error error;
    us_kernel *kernel;
    us_buffer *parts, *low, *high;
    float *values = malloc(2 * FLOATS * sizeof *values);
    assert_non_null(values);
    const size_t half = FLOATS * sizeof(float);
    TEST_OK(us_kernel_create(&(us_build){.device = device}, "sum_splits", "sum_splits", &kernel,
                             &error, "%s", " "));
    TEST_OK(us_buffer_create(device, 2 * half, "test", &parts, &error));
    TEST_OK(us_buffer_view(parts, 0, half, &low, &error));
    TEST_OK(us_buffer_view(parts, half, half, &high, &error));
    for (int i = 0; i < 2 * FLOATS; i++)
        values[i] = (float)(i % FLOATS % 7);
    us_buffer *sums;
    TEST_OK(us_buffer_create(device, half, "test", &sums, &error));
    TEST_OK(us_buffer_write(parts, 0, values, 2 * half, &error));
    for (int round = 0; round < ROUNDS; round++) {
        TEST_OK(us_kernel_run_elements(kernel, FLOATS, &error, "blillibb", parts, (int64_t)0, 2,
                                       (int64_t)FLOATS, (int64_t)0, 0, sums, NULL));
        TEST_OK(us_buffer_copy(low, 0, sums, 0, half, &error));
        TEST_OK(us_buffer_copy(high, 0, low, 0, half, &error));
    }
    TEST_OK(us_buffer_read(high, 0, values, half, &error));
    for (int i = 0; i < FLOATS; i++)
        assert_true(values[i] == ldexpf((float)(i % 7), ROUNDS));
    us_kernel_destroy(kernel);
    us_buffer_destroy(high);
    us_buffer_destroy(low);
    us_buffer_destroy(parts);
    us_buffer_destroy(sums);
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_wait_for_the_writer_alone),
        cmocka_unit_test(a_writer_waits_for_all_before),
        cmocka_unit_test(views_wait_for_what_they_overlap),
        cmocka_unit_test(readers_beyond_the_room_wait_for_readers),
        cmocka_unit_test(what_is_also_written_counts_as_written),
        cmocka_unit_test(more_waits_than_there_is_room_for_are_a_barrier),
        cmocka_unit_test(kernels_only_read_what_they_declare_const),
        cmocka_unit_test(a_chain_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
