/* SPDX-License-Identifier: MIT */
/* The OpenCL drivers of this machine, as the loader finds them by their .icd files, and what has to
 * be settled before the first call of OpenCL in a process. */
#ifndef US_DEVICE_DRIVERS_H
#define US_DEVICE_DRIVERS_H

#include "base/error.h"

enum { US_MOST_DRIVERS = 32 };

typedef struct us_driver {
    char icd[1024];     /* the path of its .icd file */
    char name[256];     /* the library that the file names */
    char library[1024]; /* where that was found; empty: not known */
    int devices;        /* that it was seen to have, where it was tried alone */
    char fault[320];    /* what is wrong with it; empty: nothing */
    bool left_out;      /* it would take the process with it, so the loader does not see it */
} us_driver;

typedef struct us_drivers {
    us_driver drivers[US_MOST_DRIVERS]; /* by the names of their files */
    int count;
    char folder[1024]; /* where the loader looks: of .icd files, or one such file */
    bool unusable;     /* OpenCL must not be called: the process would not survive it */
} us_drivers;

/* Prepares the process, once; later calls change nothing. A driver that crashes or hangs while
 * platforms are listed is left out: processes of their own list them first. That they did well is
 * remembered for the same drivers, unless `probe` asks for certainty. Where PoCL cannot make its
 * cache, or would share it with other users, a folder of ours is lent to it. For all of this the
 * loader's and PoCL's own variables of the environment are set: OCL_ICD_VENDORS, POCL_CACHE_DIR,
 * and, where this process may use some of the machine's cores alone, how many threads CPU drivers
 * start. */
void us_drivers_prepare(bool probe);

/* As they were found by that; the same for the whole process, since the loader and the drivers are
 * loaded into it once. */
const us_drivers *us_drivers_known(void);

/* What was left out, and why, in a sentence; empty: nothing. */
void us_drivers_left_out(char *text, size_t room);

#endif
