/* SPDX-License-Identifier: MIT */
/* Sending progress to the caller. */
#ifndef US_BASE_EVENT_H
#define US_BASE_EVENT_H

#include "unseen.h"

/* Sends an event. Returns true when the caller asks to stop. events may be NULL. */
bool us_event_send(const unseen_events *events, const unseen_event *event);

/* Sends a message or a warning, printf style. */
void us_event_message(const unseen_events *events, unseen_event_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
