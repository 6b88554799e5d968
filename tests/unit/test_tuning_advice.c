/* SPDX-License-Identifier: MIT */
/* When a training says that tuning would pay: once, on a GPU, where nothing was tuned, if it takes
 * a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/tuning_advice.h"

typedef struct heard {
    int messages, others;
    char text[600];
} heard;

static int listen(const unseen_event *event, void *user) {
    heard *h = user;
    if (event->kind == UNSEEN_EVENT_MESSAGE) {
        h->messages++;
        strncpy(h->text, event->text, sizeof h->text - 1);
    } else {
        h->others++;
    }
    return 7;
}

static us_device_facts gpu(void) {
    return (us_device_facts){.name = "A GPU", .execution = US_EXECUTION_LANES};
}

/* What is heard of a training that has so many seconds left after so many, three times. */
static heard train(const us_device_facts *device, const us_tuning *tuning, double after,
                   double left) {
    heard h = {0};
    us_tuning_advice advice;
    const unseen_events events = {listen, &h};
    us_tuning_advice_begin(&advice, device, tuning, "configs/mine.json", &events);
    advice.started -= after;
    const unseen_event progress = {.kind = UNSEEN_EVENT_PROGRESS, .seconds_left = left};
    for (int i = 0; i < 3; i++) /* what the listener says goes back */
        assert_int_not_equal(advice.events.function(&progress, advice.events.user), 0);
    assert_int_equal(h.others, 3);
    return h;
}

static void is_said_once_where_it_pays(void **state) {
    (void)state;
    char path[] = "/nowhere/tuning.json";
    const us_device_facts device = gpu();
    const us_tuning none = {.path = path};
    const heard h = train(&device, &none, 60, 600);
    assert_int_equal(h.messages, 1);
    assert_non_null(strstr(h.text, "A GPU"));
    assert_non_null(strstr(h.text, "`unseen tune configs/mine.json`"));
}

static void is_not_said_elsewhere(void **state) {
    (void)state;
    char path[] = "/nowhere/tuning.json";
    cJSON *winners = cJSON_CreateObject();
    us_device_facts device = gpu();
    const us_tuning none = {.path = path}, tuned = {.path = path, .root = winners};
    const us_tuning recorded = {.root = winners, .recorded = true}, no_folder = {0};
    assert_int_equal(train(&device, &none, 60, 30).messages, 0); /* soon done */
    assert_int_equal(train(&device, &none, 0, 600).messages, 0); /* not known yet */
    assert_int_equal(train(&device, &none, 60, -1).messages, 0);
    assert_int_equal(train(&device, &tuned, 60, 600).messages, 0);
    assert_int_equal(train(&device, &recorded, 60, 600).messages, 0);
    assert_int_equal(train(&device, &no_folder, 60, 600).messages, 0);
    assert_int_equal(train(&device, NULL, 60, 600).messages, 0);
    device.is_cpu = true;
    assert_int_equal(train(&device, &none, 60, 600).messages, 0);
    cJSON_Delete(winners);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_said_once_where_it_pays),
        cmocka_unit_test(is_not_said_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
