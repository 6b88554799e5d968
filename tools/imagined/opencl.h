/* SPDX-License-Identifier: MIT */
/* OpenCL on a GPU that is not there. A program that is linked with opencl.c makes its OpenCL calls
 * there and opens no driver: the one device is an imagined GPU, memory holds nothing and is read as
 * zeros, programs are not compiled, and commands do nothing but be recorded. */
#ifndef IMAGINED_OPENCL_H
#define IMAGINED_OPENCL_H

#include <CL/cl.h>

#include "gpus.h"

enum { IMAGINED_NAME = 96 /* room for the name of a kernel */ };

typedef enum imagined_kind {
    IMAGINED_KERNEL,
    IMAGINED_FILL,
    IMAGINED_COPY,
    IMAGINED_WRITE, /* from the host, mapped memory included */
    IMAGINED_READ,  /* to the host */
    IMAGINED_CLBLAST,
} imagined_kind;

/* A command that was enqueued. */
typedef struct imagined_command {
    imagined_kind kind;
    size_t bytes; /* of memory that is filled, copied, written or read */
    cl_program program;
    char name[IMAGINED_NAME];   /* of the kernel, in its program */
    size_t items[3], groups[3]; /* of its launch: work-items in all; in a work-group */
} imagined_command;

typedef struct imagined_record {
    imagined_command *commands;
    size_t count;
} imagined_record;

/* The GPU of all calls from here on; one must have been named before the first. */
void imagined_use(const imagined_gpu *gpu);

/* What was enqueued since the last call of this; the caller frees the commands. */
imagined_record imagined_take(void);

/* Records a command of another library. event may be NULL. */
cl_int imagined_add(imagined_command command, cl_event *event);

/* The options that a program was built with. */
const char *imagined_options(cl_program program);

#endif
