/* SPDX-License-Identifier: MIT */
/* How many launches a step of training takes on a GPU, where each costs some microseconds however
 * little it does. It depends on the layers, not on their sizes, which are small here. */
#include "test_device.h"

#include <stdio.h>
#include <string.h>

#include "device/profile.h"
#include "training/dataset.h"
#include "training/trainer.h"

enum { BATCH = 4, MOST_OVERRIDES = 16 };

typedef struct step_case {
    const char *name;
    int launches; /* at most */
    const char *overrides[MOST_OVERRIDES];
} step_case;

#define SMALL "/input/height=16", "/input/width=16", "/training/batch=4"

static const step_case cases[] = {
    {"medium", 20, {SMALL}},
    {"strong", 40, {SMALL}},
    {"boss",
     128,
     {"/input/height=32", "/input/width=32", "/training/batch=4", "/networks/encoder/0/channels=2",
      "/networks/encoder/3/channels=2", "/networks/encoder/6/channels=2",
      "/networks/decoder/0/channels=2", "/networks/decoder/3/channels=2",
      "/networks/classifier/0/channels=2", "/networks/classifier/2/channels=2",
      "/networks/classifier/5/channels=2", "/networks/classifier/8/channels=2",
      "/networks/classifier/11/kernel=2"}},
};

typedef struct subject {
    us_device *device;
    unseen_config *config;
    us_dataset dataset;
    us_detector *detector;
    us_trainer *trainer;
} subject;

static void set_up(subject *s, const step_case *c) {
    unseen_error error;
    char path[600];
    size_t count = 0;
    while (count < MOST_OVERRIDES && c->overrides[count])
        count++;
    snprintf(path, sizeof path, "%s/%s.json", CONFIGS, c->name);
    TEST_OK(unseen_config_load(path, c->overrides, count, &s->config, &error));
    TEST_OK(us_dataset_make_up(s->config, BATCH, &s->dataset, &error));
    TEST_OK(us_detector_create(s->device, &s->config->detector, BATCH, true, &s->detector, &error));
    const us_trainer_options options = {
        .config = s->config, .detector = s->detector, .dataset = &s->dataset};
    TEST_OK(us_trainer_create(&options, &s->trainer, &error));
}

static void tear_down(subject *s) {
    us_trainer_destroy(s->trainer);
    us_detector_destroy(s->detector);
    us_dataset_leave_device(&s->dataset);
    us_dataset_unmake(&s->dataset);
    unseen_config_free(s->config);
}

/* Each kernel in the order of its first launch, with how often it was launched. */
static void print_launches(const us_profile *profile) {
    for (size_t i = 0; i < profile->count; i++) {
        const char *name = profile->launches[i].name;
        int times = 0;
        bool seen = false;
        for (size_t j = 0; j < profile->count; j++) {
            bool same = strcmp(profile->launches[j].name, name) == 0;
            times += same;
            seen = seen || (same && j < i);
        }
        if (!seen) print_message("%4d %s\n", times, name);
    }
}

static void steps_take_few_launches(void **state) {
    unseen_error error;
    subject s = {.device = *state};
    if (s.device->facts.execution != US_EXECUTION_LANES) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        us_profile *profile;
        set_up(&s, &cases[i]);
        TEST_OK(us_trainer_rehearse(s.trainer, 0, &error)); /* which builds kernels */
        TEST_OK(us_profile_begin(s.device, &error));
        TEST_OK(us_trainer_rehearse(s.trainer, 0, &error));
        TEST_OK(us_profile_take(s.device, &profile, &error));
        const int launches = (int)profile->count;
        if (launches > cases[i].launches) {
            print_message("%s: %d launches\n", cases[i].name, launches);
            print_launches(profile);
        }
        us_profile_release(profile);
        tear_down(&s);
        assert_in_range(launches, 1, cases[i].launches);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_take_few_launches)};
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
