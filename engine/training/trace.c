/* SPDX-License-Identifier: MIT */
#include "training/trace.h"

#include <stdio.h>
#include <string.h>

#include "base/output.h"

enum { PROCESS = 1, HOST_ROW = 1, DEVICE_ROW = 2 };

static const char title[] = "unseen: a training step";

bool us_trace_recognize(const char *head, const void *unused) {
    (void)unused;
    return *head == '[' && strstr(head, title);
}

static const us_network_spec *find_network(const us_detector_spec *spec, const char *name) {
    for (int i = 0; name && i < spec->network_count; i++)
        if (strcmp(spec->networks[i].name, name) == 0) return &spec->networks[i];
    return NULL;
}

/* "encoder.0 convolution forward", or the pass alone. */
static void label_text(const us_label *label, const us_detector_spec *spec, char *text,
                       size_t room) {
    const us_network_spec *network = find_network(spec, label->network);
    if (!network)
        snprintf(text, room, "%s", us_pass_name(label->pass));
    else if (label->pass == US_PASS_UPDATE)
        snprintf(text, room, "%s %s", network->name, us_pass_name(label->pass));
    else
        snprintf(text, room, "%s.%s %s %s", network->name, network->layers[label->layer].path,
                 network->layers[label->layer].type->name, us_pass_name(label->pass));
}

/* A complete event ("X"): microseconds from the beginning, and how many. */
static bool add_event(cJSON *events, int row, const char *name, const char *detail, double start,
                      double end) {
    cJSON *event = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(event, "name", name) && cJSON_AddStringToObject(event, "ph", "X") &&
        cJSON_AddNumberToObject(event, "pid", PROCESS) &&
        cJSON_AddNumberToObject(event, "tid", row) &&
        cJSON_AddNumberToObject(event, "ts", start * 1e6) &&
        cJSON_AddNumberToObject(event, "dur", (end - start) * 1e6) &&
        cJSON_AddStringToObject(cJSON_AddObjectToObject(event, "args"), "kernel", detail);
    return cJSON_AddItemToArray(events, event) && complete;
}

/* A metadata event ("M") that names a row or the process. */
static bool add_name(cJSON *events, const char *kind, int row, const char *name) {
    cJSON *event = cJSON_CreateObject();
    bool complete = cJSON_AddStringToObject(event, "name", kind) &&
                    cJSON_AddStringToObject(event, "ph", "M") &&
                    cJSON_AddNumberToObject(event, "pid", PROCESS) &&
                    cJSON_AddNumberToObject(event, "tid", row) &&
                    cJSON_AddStringToObject(cJSON_AddObjectToObject(event, "args"), "name", name);
    return cJSON_AddItemToArray(events, event) && complete;
}

unseen_status us_trace_write(const us_profile *profile, const us_detector_spec *spec,
                             const char *device, const char *path, unseen_error *error) {
    cJSON *events = cJSON_CreateArray();
    bool complete = add_name(events, "process_name", HOST_ROW, title) &&
                    add_name(events, "thread_name", HOST_ROW, "host: enqueuing") &&
                    add_name(events, "thread_name", DEVICE_ROW, device);
    for (size_t i = 0; complete && i < profile->count; i++) {
        const us_launch *launch = &profile->launches[i];
        char text[160];
        label_text(&launch->label, spec, text, sizeof text);
        complete =
            add_event(events, HOST_ROW, text, launch->name, launch->enqueued, launch->returned) &&
            add_event(events, DEVICE_ROW, text, launch->name, launch->started, launch->ended);
    }
    char *json = complete ? us_json_print(events) : NULL;
    cJSON_Delete(events);
    if (!json) return us_fail_memory(error, "a trace");
    us_file_writer writer;
    unseen_status status = us_output_begin(path, &writer, error);
    if (status == UNSEEN_OK) fputs(json, writer.stream);
    if (status == UNSEEN_OK) status = us_file_commit(&writer, error);
    unseen_string_free(json);
    return status;
}
