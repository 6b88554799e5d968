/* SPDX-License-Identifier: MIT */
#include "base/event.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

bool us_event_send(const unseen_events *events, const unseen_event *event) {
    return events && events->function && events->function(event, events->user) != 0;
}

void us_event_message(const unseen_events *events, unseen_event_kind kind, const char *format,
                      ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    unseen_event event = {
        .kind = kind, .text = text, .loss = NAN, .held_out_loss = NAN, .seconds_left = -1};
    us_event_send(events, &event);
}
