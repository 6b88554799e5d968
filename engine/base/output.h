/* SPDX-License-Identifier: MIT */
/* Files that a user names to be written: they replace nothing but what unseen wrote before, never a
 * file that is read, and may be standard output, a pipe or a device. */
#ifndef US_BASE_OUTPUT_H
#define US_BASE_OUTPUT_H

#include "base/file.h"

typedef struct us_output {
    const char *path;   /* NULL: not asked for */
    const char *option; /* that it was named by, for messages */
    /* Whether a file that begins so (text, cut off after 4 KiB) is an earlier output of this kind.
     */
    bool (*recognize)(const char *head, const void *what);
    const void *what; /* for recognize */
} us_output;

/* UNSEEN_BAD_INPUT where it cannot be written, or is a file of a run. Leaves nothing. */
unseen_status us_output_check(const us_output *output, unseen_error *error);

/* UNSEEN_BAD_INPUT where the file is there and is neither empty nor recognized. */
unseen_status us_output_replaces(const us_output *output, unseen_error *error);

/* UNSEEN_BAD_INPUT where it is the same file as `path`, which is `what`, compared by what they are.
 * NULL is fine. */
unseen_status us_output_spares(const us_output *output, const char *what, const char *path,
                               unseen_error *error);

/* As us_file_begin. What is no regular file, or is open as one of the process's own outputs, is
 * written as it stands, after what is there: us_file_commit then closes it. */
unseen_status us_output_begin(const char *path, us_file_writer *writer, unseen_error *error);

#endif
