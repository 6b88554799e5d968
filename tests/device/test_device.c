/* SPDX-License-Identifier: MIT */
/* Opening, errors, waiting. */
#include "test_device.h"

#include <string.h>

static void open_fills_the_facts(void **state) {
    const us_device *device = *state;
    assert_true(strlen(device->facts.name) > 0);
    assert_true(strlen(device->facts.platform_name) > 0);
    assert_non_null(strchr(device->facts.index, ':'));
    assert_true(device->facts.compute_units > 0);
    assert_true(device->facts.largest_allocation_bytes > 0);
    assert_true(device->facts.memory_bytes >= device->facts.largest_allocation_bytes);
    assert_int_equal(device->facts.alignment & (device->facts.alignment - 1), 0);
    assert_int_equal(device->allocated_bytes, 0);
    if (device->facts.execution == US_EXECUTION_VECTOR) {
        assert_true(device->facts.vector_width == 4 || device->facts.vector_width == 8 ||
                    device->facts.vector_width == 16);
        assert_int_equal(device->facts.group_size, 1);
        assert_true(device->facts.is_cpu);
    } else {
        assert_int_equal(device->facts.vector_width, 1);
        assert_true(device->facts.group_size >= 1 && device->facts.group_size <= 64);
        assert_true((size_t)device->facts.group_size <= device->facts.max_group_size);
    }
}

static void batches_are_padded_to_whole_lanes(void **state) {
    const us_device *device = *state;
    int lanes = us_device_lanes(&device->facts);
    assert_int_equal(us_device_pad(&device->facts, 1), lanes);
    assert_int_equal(us_device_pad(&device->facts, lanes), lanes);
    assert_int_equal(us_device_pad(&device->facts, lanes + 1), 2 * lanes);
}

static void failures_name_call_code_and_device(void **state) {
    us_device *device = *state;
    unseen_error error;
    assert_int_equal(us_device_fail(device, &error, CL_INVALID_KERNEL_ARGS, "clSomething"),
                     UNSEEN_FAILURE);
    assert_int_equal(error.status, UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "clSomething"));
    assert_non_null(strstr(error.message, "CL_INVALID_KERNEL_ARGS (-52)"));
    assert_non_null(strstr(error.message, device->facts.name));
    assert_int_equal(us_device_fail(device, &error, -12345, "clSomething"), UNSEEN_FAILURE);
    assert_non_null(strstr(error.message, "-12345"));
    assert_int_equal(us_device_fail(NULL, &error, -30, "clSomething"), UNSEEN_FAILURE);
    assert_int_equal(us_device_fail(device, NULL, -30, "clSomething"), UNSEEN_FAILURE);
}

static void memory_codes_are_out_of_device_memory(void **state) {
    unseen_error error;
    static const cl_int codes[] = {CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES,
                                   CL_INVALID_BUFFER_SIZE};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_int_equal(us_device_fail(*state, &error, codes[i], "clCreateBuffer"),
                         UNSEEN_OUT_OF_DEVICE_MEMORY);
        assert_non_null(strstr(error.message, "batch"));
    }
}

static void waiting_on_an_idle_queue_is_fine(void **state) {
    unseen_error error;
    TEST_OK(us_device_flush(*state, &error));
    TEST_OK(us_device_finish(*state, &error));
}

static void closing_nothing_is_fine(void **state) {
    (void)state;
    us_device_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_fills_the_facts),
        cmocka_unit_test(batches_are_padded_to_whole_lanes),
        cmocka_unit_test(failures_name_call_code_and_device),
        cmocka_unit_test(memory_codes_are_out_of_device_memory),
        cmocka_unit_test(waiting_on_an_idle_queue_is_fine),
        cmocka_unit_test(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
