/* SPDX-License-Identifier: MIT */
/* GPUs that are not there: what their drivers would tell of them, as data. */
#ifndef IMAGINED_GPUS_H
#define IMAGINED_GPUS_H

#include "device/facts.h"

typedef struct imagined_gpu {
    const char *key;       /* on command lines: "h100" */
    const char *processor; /* as its compiler calls it: "sm_90", "gfx1100", "dg2" */
    us_device_facts facts; /* as the engine learns them from the driver */

    /* What a compute unit, as the driver counts them, holds at once; 0: not known. */
    int items;  /* work-items */
    int groups; /* work-groups, however small */
    int local_bytes;
} imagined_gpu;

extern const imagined_gpu imagined_gpus[]; /* a NULL key ends */

const imagined_gpu *imagined_gpu_find(const char *key); /* NULL: there is none */

#endif
