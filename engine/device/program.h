/* Programs: a kernel file made whole, built for a device, and kept until the device is closed. */
#ifndef US_DEVICE_PROGRAM_H
#define US_DEVICE_PROGRAM_H

#include "device/device.h"

/* The whole text of a program: common.cl, then the file, its includes in place. Heap. */
unseen_status us_source_assemble(const char *file, char **text, unseen_error *error);

/* Builds SOURCE.cl with the device's own options and `options`, or finds it among those built. The
 * program stays the device's. */
unseen_status us_program_get(us_device *device, const char *source, const char *options,
                             cl_program *program, unseen_error *error);

void us_programs_release(us_device *device);

#endif
