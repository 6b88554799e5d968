/* SPDX-License-Identifier: MIT */
#include "jobs/tuning_advice.h"

#include "base/clock.h"
#include "base/event.h"

static const double steady = 5; /* seconds, after which what is left is known well enough */
static const double long_enough = 180;

static int listen(const unseen_event *event, void *user) {
    us_tuning_advice *advice = user;
    const double elapsed = us_clock() - advice->started;
    if (advice->due && event->kind == UNSEEN_EVENT_PROGRESS && elapsed >= steady) {
        advice->due = false;
        if (event->seconds_left >= long_enough)
            us_event_message(advice->to, UNSEEN_EVENT_MESSAGE,
                             "no kernels are tuned for %s yet: `unseen tune %s`, with this run's "
                             "--batch and --set, takes some minutes and may make later runs faster",
                             advice->device, advice->config);
    }
    return us_event_send(advice->to, event);
}

void us_tuning_advice_begin(us_tuning_advice *advice, const us_device_facts *device,
                            const us_tuning *tuning, const char *config, const unseen_events *to) {
    const bool from_file = tuning && !tuning->recorded && tuning->path;
    *advice = (us_tuning_advice){
        .events = {listen, advice},
        .to = to,
        .device = device->name,
        .config = config,
        .started = us_clock(),
        .due = us_device_is_gpu(device) && from_file && !tuning->root,
    };
}
