/* SPDX-License-Identifier: MIT */
/* What is recorded while a device is profiled. */
#include "test_device.h"

#include <string.h>

#include "device/profile.h"

/* Times of two clocks that were put on one. */
static const double tolerance = 1e-4;

typedef struct work {
    us_kernel *kernel, *other; /* the same one, with labels of their own */
    us_buffer *out, *copy;
} work;

static void begin_work(us_device *device, work *w) {
    unseen_error error;
    us_build build = {.device = device, .label = {"encoder", 3, US_PASS_FORWARD}};
    TEST_OK(us_kernel_create(&build, "peak", "peak_arithmetic", &w->kernel, &error, "%s", ""));
    build.label.pass = US_PASS_WEIGHT_GRADIENT;
    TEST_OK(us_kernel_create(&build, "peak", "peak_arithmetic", &w->other, &error, "%s", ""));
    TEST_OK(
        us_buffer_create(device, (size_t)device->facts.group_size * 4, "test", &w->out, &error));
    TEST_OK(
        us_buffer_create(device, (size_t)device->facts.group_size * 4, "test", &w->copy, &error));
}

static void end_work(work *w) {
    us_kernel_destroy(w->kernel);
    us_kernel_destroy(w->other);
    us_buffer_destroy(w->out);
    us_buffer_destroy(w->copy);
}

static void launch(work *w, us_kernel *kernel, int rounds) {
    unseen_error error;
    const size_t groups[3] = {1, 1, 1};
    TEST_OK(us_kernel_run(kernel, groups, &error, "iffb", rounds, 0.5, 0.25, w->out));
}

enum { STEPS = 20000000 };

static void check(us_device *device, bool by_host) {
    unseen_error error;
    us_profile *profile;
    work w;
    begin_work(device, &w);
    launch(&w, w.kernel, 1); /* compiles it */
    cl_command_queue plain = device->queue;
    TEST_OK(us_profile_begin(device, &error));
    if (by_host) device->profile->by_host = true;
    launch(&w, w.kernel, 1000);
    launch(&w, w.other, STEPS);
    TEST_OK(us_buffer_copy(w.copy, 0, w.out, 0, w.out->bytes, &error));
    TEST_OK(us_profile_take(device, &profile, &error));
    assert_ptr_equal(device->queue, plain);
    assert_null(device->profile);
    launch(&w, w.kernel, 1); /* not recorded */

    assert_int_equal(profile->count, 3);
    const us_launch *launches = profile->launches;
    assert_string_equal(launches[0].name, "peak_arithmetic");
    assert_string_equal(launches[2].name, "copy");
    assert_string_equal(launches[0].label.network, "encoder");
    assert_int_equal(launches[0].label.layer, 3);
    assert_int_equal(launches[0].label.pass, US_PASS_FORWARD);
    assert_int_equal(launches[1].label.pass, US_PASS_WEIGHT_GRADIENT);
    assert_null(launches[2].label.network);
    double previous = 0;
    for (size_t i = 0; i < profile->count; i++) {
        assert_true(launches[i].returned >= launches[i].enqueued);
        assert_true(launches[i].started >= launches[i].enqueued - tolerance);
        assert_true(launches[i].ended >= launches[i].started);
        assert_true(launches[i].started >= previous - tolerance);
        previous = launches[i].ended;
    }
    /* In seconds: its steps wait for each other, and no processor takes one in 0.1 ns. However busy
     * the machine is, time is only added to that. */
    assert_true(launches[1].ended - launches[1].started > STEPS * 1e-10);
    us_profile_release(profile);
    end_work(&w);
}

static void launches_are_recorded(void **state) {
    check(*state, false);
}

static void the_host_can_time_them(void **state) {
    check(*state, true);
}

static void results_are_the_same(void **state) {
    us_device *device = *state;
    unseen_error error;
    us_profile *profile;
    float plain[64], timed[64];
    work w;
    begin_work(device, &w);
    launch(&w, w.kernel, 100);
    TEST_OK(us_buffer_read(w.out, 0, plain, w.out->bytes, &error));
    TEST_OK(us_buffer_zero(w.out, &error));
    TEST_OK(us_profile_begin(device, &error));
    launch(&w, w.kernel, 100);
    TEST_OK(us_buffer_read(w.out, 0, timed, w.out->bytes, &error));
    TEST_OK(us_profile_take(device, &profile, &error));
    assert_memory_equal(plain, timed, w.out->bytes);
    us_profile_release(profile);
    assert_int_equal(us_profile_take(device, &profile, &error), UNSEEN_FAILURE);
    end_work(&w);
}

static void a_device_closes_in_the_middle(void **state) {
    (void)state;
    unseen_error error;
    us_device *device = test_device_open();
    work w;
    begin_work(device, &w);
    TEST_OK(us_profile_begin(device, &error));
    launch(&w, w.kernel, 10);
    end_work(&w);
    us_device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_are_recorded),
        cmocka_unit_test(the_host_can_time_them),
        cmocka_unit_test(results_are_the_same),
        cmocka_unit_test(a_device_closes_in_the_middle),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
