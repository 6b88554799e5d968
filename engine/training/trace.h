/* SPDX-License-Identifier: MIT */
/* A profile as a Chrome trace: what the host enqueued, and what the device did. */
#ifndef US_TRAINING_TRACE_H
#define US_TRAINING_TRACE_H

#include "detector/detector.h"
#include "device/profile.h"

/* A JSON array that chrome://tracing and Perfetto open. device: the name of its row. */
unseen_status us_trace_write(const us_profile *profile, const us_detector_spec *spec,
                             const char *device, const char *path, unseen_error *error);

/* Whether a text begins as a trace does: for us_output. */
bool us_trace_recognize(const char *head, const void *unused);

#endif
