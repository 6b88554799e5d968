/* SPDX-License-Identifier: MIT */
/* Queries of a driver that fail: no answer is no zero, for kernels are shaped by the answers. This
 * program is linked with those calls wrapped. */
#include "test_device.h"

#include <string.h>

#include "device/program_cache.h"
#include "device/selection.h"

static cl_uint failing; /* the query that fails; 0: none */
static cl_int code;     /* by which */
static int queries;     /* that failed */

cl_int __real_clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t size, void *value,
                              size_t *needed);
cl_int __wrap_clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t size, void *value,
                              size_t *needed);
cl_int __real_clGetPlatformInfo(cl_platform_id id, cl_platform_info what, size_t size, void *value,
                                size_t *needed);
cl_int __wrap_clGetPlatformInfo(cl_platform_id id, cl_platform_info what, size_t size, void *value,
                                size_t *needed);

cl_int __wrap_clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t size, void *value,
                              size_t *needed) {
    queries += what == failing;
    return what == failing ? code : __real_clGetDeviceInfo(id, what, size, value, needed);
}

cl_int __wrap_clGetPlatformInfo(cl_platform_id id, cl_platform_info what, size_t size, void *value,
                                size_t *needed) {
    queries += what == failing;
    return what == failing ? code : __real_clGetPlatformInfo(id, what, size, value, needed);
}

static const struct {
    cl_uint what;
    const char *name;
} asked[] = {
#define ROW(what)                                                                                  \
    { what, #what }
    ROW(CL_PLATFORM_NAME),
    ROW(CL_PLATFORM_VERSION),
    ROW(CL_DEVICE_NAME),
    ROW(CL_DEVICE_VENDOR),
    ROW(CL_DRIVER_VERSION),
    ROW(CL_DEVICE_VERSION),
    ROW(CL_DEVICE_TYPE),
    ROW(CL_DEVICE_HOST_UNIFIED_MEMORY),
    ROW(CL_DEVICE_MAX_COMPUTE_UNITS),
    ROW(CL_DEVICE_MAX_WORK_GROUP_SIZE),
    ROW(CL_DEVICE_GLOBAL_MEM_SIZE),
    ROW(CL_DEVICE_MAX_MEM_ALLOC_SIZE),
    ROW(CL_DEVICE_LOCAL_MEM_SIZE),
    ROW(CL_DEVICE_MEM_BASE_ADDR_ALIGN),
    ROW(CL_DEVICE_SINGLE_FP_CONFIG),
    ROW(CL_DEVICE_AVAILABLE),
    ROW(CL_DEVICE_COMPILER_AVAILABLE),
    ROW(CL_DEVICE_ENDIAN_LITTLE),
};

static void device_is_refused_for_every_query_that_fails(void **state) {
    (void)state;
    us_device_close(test_device_open());
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        us_selection selection;
        unseen_error error;
        failing = asked[i].what;
        code = CL_OUT_OF_RESOURCES;
        queries = 0;
        TEST_OK(us_selection_make(NULL, &selection, &error));
        failing = 0;
        assert_true(queries > 0);
        assert_null(selection.picked);
        for (size_t d = 0; d < selection.count; d++) {
            assert_false(selection.candidates[d].usable);
            const char *why = selection.candidates[d].why_not;
            if (!strstr(why, asked[i].name) || !strstr(why, "CL_OUT_OF_RESOURCES"))
                fail_msg("%s fails, and what is said is \"%s\"", asked[i].name, why);
        }
        us_selection_release(&selection);
    }
}

/* It is deprecated, and a driver need not know it. */
static void unknown_query_is_no_failure(void **state) {
    (void)state;
    us_selection selection;
    unseen_error error;
    failing = CL_DEVICE_HOST_UNIFIED_MEMORY;
    code = CL_INVALID_VALUE;
    TEST_OK(us_selection_make(getenv("UNSEEN_DEVICE"), &selection, &error));
    failing = 0;
    assert_non_null(selection.picked);
    us_selection_release(&selection);
}

static void opening_fails_where_queues_are_not_known(void **state) {
    (void)state;
    us_device *device;
    unseen_error error;
    failing = CL_DEVICE_QUEUE_PROPERTIES;
    code = CL_OUT_OF_HOST_MEMORY;
    assert_int_equal(us_device_open(getenv("UNSEEN_DEVICE"), &device, &error), UNSEEN_NO_DEVICE);
    failing = 0;
    assert_non_null(strstr(error.message, "clGetDeviceInfo"));
}

static void nothing_is_kept_under_half_a_key(void **state) {
    (void)state;
    us_device *device = test_device_open();
    failing = CL_PLATFORM_VERSION;
    code = CL_OUT_OF_RESOURCES;
    assert_null(us_program_cache_path(device, "kernel void k() {}", ""));
    failing = 0;
    us_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_is_refused_for_every_query_that_fails),
        cmocka_unit_test(unknown_query_is_no_failure),
        cmocka_unit_test(opening_fails_where_queues_are_not_known),
        cmocka_unit_test(nothing_is_kept_under_half_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
