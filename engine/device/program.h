/* SPDX-License-Identifier: MIT */
/* Programs: a kernel file made whole, built for a device, and kept until the device is closed.
 *
 * Programs are built when one of their kernels is needed, and then all that wait of the same
 * purpose as one OpenCL program: compilers spend most of their time on starting. PoCL 3.1 takes
 * 0.16 s for any program, however short, and 0.03 s for one in its cache, one at a time whatever
 * the threads. */
#ifndef US_DEVICE_PROGRAM_H
#define US_DEVICE_PROGRAM_H

#include "base/digest.h"
#include "device/device.h"

/* By its whole text, so that a file changed under UNSEEN_KERNEL_DIR is another program. */
typedef struct us_program {
    struct us_program *next;
    char source[64]; /* "convolution" */
    char *text, *options;
    us_purpose purpose;
    bool alone; /* not to be built with others */
    int users;
    cl_program program;    /* NULL: not built yet */
    us_digest_text cached; /* the file of our cache that it comes from; empty: from none */
    char suffix[16];       /* of its kernels' names there */
    us_uses *runs; /* Its kernels run one after another. PoCL 3.1 counts who uses a kernel's code
                      for a size of its grid, and takes runs with other sizes for each other. */
} us_program;

/* Finds SOURCE.cl with `options` among the device's programs, whatever their purpose, or adds it
 * there, not built yet. Each finding is a use, which us_program_leave ends. */
unseen_status us_program_find(us_device *device, us_purpose purpose, const char *source,
                              const char *options, us_program **program, unseen_error *error);
void us_program_leave(us_device *device, us_program *program); /* NULL is fine */

/* Builds it with the device's own options and its own, unless it is built. */
unseen_status us_program_build(us_device *device, us_program *program, unseen_error *error);

/* Builds all that is not built. What fails does so again when it is needed. */
void us_programs_build(us_device *device);

/* Builds it from its source where it came from our cache, and deletes the binary there; false where
 * it did not. For a binary that was taken for a good one, and lacks a kernel. */
bool us_program_distrust(us_device *device, us_program *program);

void us_programs_release(us_device *device);

#endif
