/* SPDX-License-Identifier: MIT */
/* Tests of tuning, each in a cache folder of its own. A process that tests the search never opens a
 * device itself, as the search may not be forked from one that did. Include first. */
#ifndef US_TEST_TUNING_H
#define US_TEST_TUNING_H

#include "test_device.h"

#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/unseen-tuner-XXXXXX";
static unseen_error error;

static inline const char *selector(void) {
    const char *named = getenv("UNSEEN_DEVICE");
    return named && *named ? named : NULL;
}

/* Runs a function on an open device in a process of its own and returns what it returns: an exit
 * code, so that a failure is told on standard error. */
static inline int in_child(int (*function)(us_device *device)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        us_device *device;
        unseen_status status = us_device_open(selector(), &device, &error);
        if (status != UNSEEN_OK) {
            fprintf(stderr, "%s\n", error.message);
            _exit(status == UNSEEN_NO_DEVICE ? 77 : 1);
        }
        int code = function(device);
        us_device_close(device);
        _exit(code);
    }
    int state = 0;
    assert_int_equal(waitpid(child, &state, 0), child);
    assert_true(WIFEXITED(state));
    return WEXITSTATUS(state);
}

/* An empty cache folder for each test. */
static inline int setup(void **state) {
    static char cache[300];
    static int next;
    (void)state;
    snprintf(cache, sizeof cache, "%s/%d", folder, next++);
    return setenv("UNSEEN_CACHE_DIR", cache, 1);
}

static inline int nothing(us_device *device) {
    (void)device;
    return 0;
}

/* Around all tests of a program. 77: the device is not there, else not 0: failed. */
static inline int begin_tests(void) {
    if (!mkdtemp(folder)) return 1;
    setenv("UNSEEN_CACHE_DIR", folder, 1);
    if (in_child(nothing) != 77) return 0;
    puts("skipped: the device is not there");
    rmdir(folder);
    return 77;
}

static inline int end_tests(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0;
}

#endif
