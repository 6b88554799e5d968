/* SPDX-License-Identifier: MIT */
/* The device that tests run on: the one named by UNSEEN_DEVICE, else the best. Include first. */
#ifndef US_TEST_DEVICE_H
#define US_TEST_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/device.h"

/* Fails the test with the message of the error. */
#define TEST_OK(expression)                                                                        \
    do {                                                                                           \
        if ((expression) != UNSEEN_OK) fail_msg("%s", error.message);                              \
    } while (0)

/* Opens it. A device that UNSEEN_DEVICE names and that is not there skips the program (77). */
static inline us_device *test_device_open(void) {
    const char *selector = getenv("UNSEEN_DEVICE");
    us_device *device = NULL;
    unseen_error error;
    unseen_status status = us_device_open(selector, &device, &error);
    if (status == UNSEEN_NO_DEVICE && selector && *selector) {
        printf("skipped: %s\n", error.message);
        exit(77);
    }
    if (status != UNSEEN_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return device;
}

/* For cmocka_run_group_tests: *state is the device. */
static inline int test_device_setup(void **state) {
    *state = test_device_open();
    return 0;
}
static inline int test_device_teardown(void **state) {
    us_device_close(*state);
    return 0;
}

#endif
