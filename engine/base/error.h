/* SPDX-License-Identifier: MIT */
/* Errors are values: a status travels up, and the message gathers context on its way. */
#ifndef US_BASE_ERROR_H
#define US_BASE_ERROR_H

#include "unseen.h"

/* Sets status and message (printf style) and returns the status, so that a failing function ends in
 * `return us_fail(error, ...)`. error may be NULL. */
unseen_status us_fail(unseen_error *error, unseen_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* UNSEEN_FAILURE: memory ran out on the host while allocating `what`. */
unseen_status us_fail_memory(unseen_error *error, const char *what);

/* Puts "context: " before the message. */
void us_error_context(unseen_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* Returns from the calling function when a step fails. */
#define US_TRY(expression)                                                                         \
    do {                                                                                           \
        unseen_status us_try_status = (expression);                                                \
        if (us_try_status != UNSEEN_OK) return us_try_status;                                      \
    } while (0)

/* Jumps to `done` when a step fails; `status` is the function's own variable. */
#define US_CHECK(expression)                                                                       \
    do {                                                                                           \
        status = (expression);                                                                     \
        if (status != UNSEEN_OK) goto done;                                                        \
    } while (0)

#endif
