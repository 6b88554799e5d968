/* SPDX-License-Identifier: MIT */
/* What a run began with, and what of it may change. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "training/origin.h"

static char folder[64];

static int enter(void **state) {
    (void)state;
    strcpy(folder, "/tmp/unseen-test-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state) {
    (void)state;
    unlink("images");
    unlink("labels");
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void change(const char *path, off_t at, char byte) {
    int descriptor = open(path, O_WRONLY | O_CREAT, 0666);
    assert_int_equal(pwrite(descriptor, &byte, 1, at), 1);
    close(descriptor);
}

static char *origin(const char *config, bool labelled) {
    cJSON *json = cJSON_Parse(config);
    us_data_settings data = {.train = (char *)"images",
                             .train_labels = labelled ? (char *)"labels" : NULL};
    char *text;
    unseen_error error = {0};
    assert_non_null(json);
    if (us_origin_read(json, &(us_origin_source){.data = &data, .images = data.train}, &text,
                       &error))
        fail_msg("%s", error.message);
    cJSON_Delete(json);
    return text;
}

/* Compares and frees; part NULL: they are alike. */
static void expect(char *before, char *now, const char *part) {
    us_data_settings data = {.train = (char *)"images", .train_labels = (char *)"labels"};
    unseen_error error = {0};
    unseen_status status = us_origin_compare(before, now, &data, "state", &error);
    assert_int_equal(status, part ? UNSEEN_BAD_INPUT : UNSEEN_OK);
    if (part && !strstr(error.message, part)) fail_msg("%s: %s", part, error.message);
    free(before);
    free(now);
}

static void configs(void **state) {
    (void)state;
    static const struct {
        const char *before, *now, *part;
    } cases[] = {
        {"{\"a\": 1, \"b\": [1, {\"c\": 2}]}", "{\"b\": [1, {\"c\": 2}], \"a\": 1.0}", NULL},
        {"{\"a\": 0.1}", "{\"a\": 0.10000000000000002}", "/a was 0.1 when"},
        {"{\"b\": [1, {\"c\": 2}]}", "{\"b\": [1, {\"c\": 3}]}",
         "/b/1/c was 2 when the run began, and is 3"},
        {"{\"b\": [1]}", "{\"b\": [1, 2]}", "/b/1 was not set"},
        {"{\"b\": [1, 2]}", "{\"b\": [1]}", "/b/1 was 2 when the run began, and is not set"},
        {"{\"a\": true}", "{\"a\": \"true\"}", "/a was true"},
        {"{\"name\": \"x\", \"scoring\": {\"pixel\": 1}}", "{\"scoring\": 3}", NULL},
        {"{\"training\": {\"epochs\": 1, \"stopping\": 1, \"seed\": 1}}",
         "{\"training\": {\"epochs\": 2, \"collapse\": 1, \"seed\": 1}}", NULL},
        {"{\"training\": {\"epochs\": 1, \"schedule\": {\"type\": \"cosine\"}}}",
         "{\"training\": {\"epochs\": 2, \"schedule\": {\"type\": \"cosine\"}}}",
         "/training/epochs was 1"},
        /* begun by a version that did not know the key */
        {"{\"training\": {\"seed\": 1}}", "{\"training\": {\"seed\": 1, \"precision\": \"fp32\"}}",
         NULL},
        {"{\"training\": {\"seed\": 1}}", "{\"training\": {\"seed\": 1, \"precision\": \"tf32\"}}",
         "/training/precision was not set when the run began, and is \"tf32\""},
        {"{\"input\": {}}", "{\"input\": {\"overlap\": 0.25}}", NULL},
        {"{\"training\": {\"flip\": true}}",
         "{\"training\": {\"flip\": true, \"augmentation\": {\"flip\": 0, \"blur\": 0}}}", NULL},
        {"{\"training\": {\"flip\": false}}",
         "{\"training\": {\"flip\": false, \"augmentation\": {\"flip\": 0.5}}}",
         "/training/augmentation/flip was 0 when the run began, and is 0.5 now"},
        {"{\"training\": {}}", "{\"training\": {\"augmentation\": {\"zoom\": [0.8, 1]}}}",
         "/training/augmentation/zoom/0 was 1"},
        {"{\"data\": {\"train\": \"a\", \"normal\": \"7\"}}", "{\"data\": {\"normal\": \"8\"}}",
         NULL},
        {"{\"data\": {\"train_labels\": \"a\", \"normal\": \"7\"}}",
         "{\"data\": {\"train_labels\": \"b\", \"normal\": \"8\"}}", "/data/normal was \"7\""},
    };
    change("images", 0, 'x');
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(origin(cases[i].before, false), origin(cases[i].now, false), cases[i].part);
    unseen_error error = {0};
    assert_int_equal(us_origin_compare("{", "{}", &(us_data_settings){0}, "state", &error),
                     UNSEEN_BAD_INPUT);
}

static void small_files_are_read_whole(void **state) {
    (void)state;
    change("images", (1 << 20) - 1, 'x');
    change("labels", 5 << 20, 'x');
    for (off_t at = 0; at < 1 << 20; at += 99991) {
        char *before = origin("{}", true);
        change("images", at, 'y');
        expect(before, origin("{}", true), "the training images have changed: images");
        before = origin("{}", true);
        change("labels", at * 5 + 4097, 'y');
        expect(before, origin("{}", true),
               "the labels of the training images have changed: labels");
    }
    expect(origin("{}", true), origin("{}", true), NULL);
    expect(origin("{}", false), origin("{}", true),
           "the labels of the training images have changed");
    change("images", 1 << 20, 0); /* only longer */
    char *before = origin("{}", false);
    change("images", (1 << 20) + 1, 0);
    expect(before, origin("{}", false), "the training images have changed");
}

/* 1.7 GB, most of them a hole. */
static void large_files_are_sampled(void **state) {
    (void)state;
    const off_t size = 1700000000;
    change("images", size - 1, 'x');
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    char *before = origin("{}", false);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    if (seconds > 1) fail_msg("%g s", seconds);
    change("images", size - 1, 'y');
    expect(before, origin("{}", false), "the training images have changed");
    before = origin("{}", false);
    change("images", 100, 'y');
    expect(before, origin("{}", false), "the training images have changed");
    before = origin("{}", false);
    change("images", size, 'y');
    expect(before, origin("{}", false), "the training images have changed");
    before = origin("{}", false);
    change("images", 5000, 'y'); /* between two blocks: as documented, it is not seen */
    expect(before, origin("{}", false), NULL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(configs),
        IN_FOLDER(small_files_are_read_whole),
        IN_FOLDER(large_files_are_sampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
