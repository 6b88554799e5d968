/* SPDX-License-Identifier: MIT */
/* The files of cl_kernels/ as they were when the program was built (tools/embed_kernels.c). */
#ifndef US_DEVICE_KERNEL_SOURCES_H
#define US_DEVICE_KERNEL_SOURCES_H

#include <stddef.h>

typedef struct us_kernel_source {
    const char *name; /* "convolution.cl" */
    const char *text; /* NUL-terminated */
    size_t length;
} us_kernel_source;

extern const us_kernel_source us_kernel_sources[]; /* ends with a NULL name */

#endif
