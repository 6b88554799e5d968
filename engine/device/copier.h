/* SPDX-License-Identifier: MIT */
/* Copies within the host's memory by several threads: one alone is slower than the way to a GPU.
 * The threads wait between copies, until the copier is destroyed. */
#ifndef US_DEVICE_COPIER_H
#define US_DEVICE_COPIER_H

#include <stddef.h>

typedef struct us_copier us_copier;

/* What is copied: pieces from anywhere, to one place after the other. */
typedef struct us_copied {
    const void *from;
    size_t at, size; /* where it goes, after the pieces before it; not 0 */
} us_copied;

/* Threads that help the one that calls, for a host of so many processors: few, as they share its
 * memory, and fewer than these. */
int us_copier_helpers(int processors);

/* Where helpers cannot be started there are fewer. NULL: there is no memory for a copier, and all
 * the functions below do without one. */
us_copier *us_copier_create(int helpers);
void us_copier_destroy(us_copier *copier);

/* Returns when all is copied. By one thread at a time. */
void us_copier_run(us_copier *copier, void *to, const us_copied *pieces, int count);

#endif
