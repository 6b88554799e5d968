/* SPDX-License-Identifier: MIT */
#include "jobs/speeds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/event.h"
#include "base/private_file.h"
#include "jobs/bench.h"
#include "tuning/tuning.h"

enum { FILE_LIMIT = 1 << 20 };

/* ---- what is remembered: [[flops, images per second], ..] ---- */

/* The speed depends on the device, the driver, and how much of a CPU a process may use. */
static void file_name(const us_device_facts *device, char name[48]) {
    char identity[sizeof device->platform_name + sizeof device->name + sizeof device->driver + 32];
    const int length = snprintf(identity, sizeof identity, "%s\n%s\n%s\n%d", device->platform_name,
                                device->name, device->driver, device->compute_units);
    snprintf(name, 48, "%s.json", us_digest(identity, (size_t)length).text);
}

static bool read_speed(const cJSON *item, us_speed *speed) {
    const cJSON *flops = cJSON_GetArrayItem(item, 0), *rate = cJSON_GetArrayItem(item, 1);
    if (!cJSON_IsNumber(flops) || !cJSON_IsNumber(rate)) return false;
    *speed = (us_speed){flops->valuedouble, rate->valuedouble};
    return isfinite(speed->flops) && isfinite(speed->rate) && speed->flops > 0 && speed->rate > 0;
}

void us_speeds_recall(const us_device_facts *device, us_speeds *speeds) {
    us_private_folder folder = {.descriptor = -1};
    char *text = NULL, name[48];
    size_t size;
    speeds->count = 0;
    file_name(device, name);
    if (us_private_cache("speeds", false, &folder, NULL) == UNSEEN_OK)
        us_private_read(&folder, name, FILE_LIMIT, &text, &size, NULL);
    us_private_close(&folder);
    cJSON *root = text ? cJSON_Parse(text) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, root) {
        if (speeds->count < US_SPEEDS_MOST && read_speed(item, &speeds->speeds[speeds->count]))
            speeds->count++;
    }
    cJSON_Delete(root);
    free(text);
}

void us_speeds_remember(const us_device_facts *device, us_speed speed) {
    us_speeds known;
    us_private_folder folder = {.descriptor = -1};
    char name[48], *text = NULL;
    us_speeds_recall(device, &known);
    cJSON *root = cJSON_CreateArray();
    bool complete =
        cJSON_AddItemToArray(root, cJSON_CreateDoubleArray((double[]){speed.flops, speed.rate}, 2));
    for (int i = 0; i < known.count && i < US_SPEEDS_MOST - 1; i++) {
        const us_speed *old = &known.speeds[i];
        if (old->flops == speed.flops) continue;
        complete =
            complete && cJSON_AddItemToArray(
                            root, cJSON_CreateDoubleArray((double[]){old->flops, old->rate}, 2));
    }
    if (complete) text = cJSON_PrintUnformatted(root);
    file_name(device, name);
    if (text && us_private_cache("speeds", true, &folder, NULL) == UNSEEN_OK)
        us_private_write(&folder, name, &(us_private_part){text, strlen(text)}, 1, NULL);
    us_private_close(&folder);
    free(text);
    cJSON_Delete(root);
}

/* ---- measuring ---- */

static unseen_status time_steps(us_device *device, us_bench_subject *subject, double seconds,
                                us_speed *speed, unseen_error *error) {
    enum { FIRST = 2 /* which compile, and allocate what is left */ };
    int64_t steps = 0;
    for (; steps < FIRST; steps++)
        US_TRY(us_trainer_rehearse(subject->trainer, steps, error));
    US_TRY(us_device_finish(device, error));
    const double started = us_clock();
    do {
        US_TRY(us_trainer_rehearse(subject->trainer, steps++, error));
    } while (us_clock() - started < seconds);
    US_TRY(us_device_finish(device, error));
    speed->flops = us_detector_training_flops(&subject->config->detector);
    speed->rate = (double)((steps - FIRST) * subject->detector->batch) / (us_clock() - started);
    return UNSEEN_OK;
}

unseen_status us_speeds_measure(const unseen_config *config, const char *device, double seconds,
                                const unseen_events *events, us_speed *speed, unseen_error *error) {
    /* Of members, one: speeds are told by FLOPs. */
    us_bench_subject subject = {.config = config->member_count ? config->members[0] : config};
    us_device *open = NULL;
    US_TRY(us_device_open(device, &open, error));
    us_event_message(events, UNSEEN_EVENT_MESSAGE,
                     "measuring how fast %s trains %s, which is then remembered", open->facts.name,
                     config->name);
    unseen_status status = us_tuning_open(&open->facts, &open->tuning, error);
    if (status == UNSEEN_OK) status = us_bench_set_up(&subject, open, error);
    if (status == UNSEEN_OK) status = time_steps(open, &subject, seconds, speed, error);
    if (status == UNSEEN_OK) us_speeds_remember(&open->facts, *speed);
    us_trainer_destroy(subject.trainer);
    us_detector_destroy(subject.detector);
    us_dataset_leave_device(&subject.dataset);
    us_tuning_close(&open->tuning);
    if (us_device_close(open)) us_dataset_unmake(&subject.dataset);
    return status;
}
