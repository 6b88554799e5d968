/* SPDX-License-Identifier: MIT */
/* What OpenCL devices there are, and which of them a selector means. */
#ifndef US_DEVICE_SELECTION_H
#define US_DEVICE_SELECTION_H

#include <CL/cl.h>

#include "base/error.h"
#include "device/facts.h"

typedef struct us_candidate {
    us_device_facts facts;
    cl_device_id id;
    cl_platform_id platform;
    cl_device_type type;
    char vendor[128];
    bool shared_memory; /* with the host: integrated GPUs, CPUs */
    bool layered;       /* a platform that runs on other vendors' devices (Mesa's, PoCL on GPUs) */
    bool usable;
    char why_not[160]; /* empty where usable */
} us_candidate;

typedef struct us_selection {
    us_candidate *candidates; /* in the order of clinfo -l */
    size_t count;
    unsigned platforms;
    char idle[512];             /* the names of platforms without a device */
    char advice[1200];          /* what may stand in the way where none is picked; or empty */
    const us_candidate *picked; /* NULL: none */
    char why[2000];             /* this one, or why none and what to do */
} us_selection;

/* Enumerates every platform's devices and picks by selector (see unseen_devices). Picking none is
 * no error. Fails only when memory runs out. */
unseen_status us_selection_make(const char *selector, us_selection *selection, unseen_error *error);

/* The second half of that, on candidates at hand: sets picked and why. */
void us_selection_pick(us_selection *selection, const char *selector);

void us_selection_release(us_selection *selection);

/* "GPU", "CPU", "accelerator" */
const char *us_candidate_type(const us_candidate *candidate);

/* The name of an OpenCL status: "CL_OUT_OF_RESOURCES". */
const char *us_cl_error_name(cl_int code);

#endif
