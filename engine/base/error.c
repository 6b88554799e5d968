/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

unseen_status us_fail(unseen_error *error, unseen_status status, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        error->status = status;
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

unseen_status us_fail_memory(unseen_error *error, const char *what) {
    return us_fail(error, UNSEEN_FAILURE, "out of host memory for %s", what);
}

void us_error_context(unseen_error *error, const char *format, ...) {
    if (!error) return;
    char context[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);

    char message[sizeof error->message];
    memcpy(message, error->message, sizeof message);
    size_t used = (size_t)snprintf(error->message, sizeof error->message, "%s: ", context);
    if (used < sizeof error->message) {
        size_t room = sizeof error->message - used;
        size_t length = strnlen(message, room - 1);
        memcpy(error->message + used, message, length);
        error->message[used + length] = '\0';
    }
}
