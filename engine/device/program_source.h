/* SPDX-License-Identifier: MIT */
/* The text of programs: a kernel file made whole, and several texts made one. */
#ifndef US_DEVICE_PROGRAM_SOURCE_H
#define US_DEVICE_PROGRAM_SOURCE_H

#include "base/error.h"

/* The whole text of a program: common.cl, then the file, its includes in place. Heap. */
unseen_status us_source_assemble(const char *file, char **text, unseen_error *error);

typedef struct us_source_part {
    const char *text, *options;
} us_source_part;

/* Whether options are macros alone, which text can define as well. */
bool us_source_can_merge(const char *options);

/* One text of several that do not know of each other: each is put behind its options, and what part
 * i declares gets the suffix i, kernels included. NULL: no memory. */
char *us_source_merge(const us_source_part *parts, int count);
#define US_SOURCE_SUFFIX "_part%d"

#endif
