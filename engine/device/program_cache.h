/* SPDX-License-Identifier: MIT */
/* Compiled programs on disk, for OpenCL implementations that do not keep them well themselves.
 *
 * A file holds the whole key, everything that a compiled program depends on, and is used only where
 * that is the same byte for byte; its name is but a hash. A file that is damaged or not ours
 * alone, or a folder that cannot be read or written, is as good as none: nothing here fails. */
#ifndef US_DEVICE_PROGRAM_CACHE_H
#define US_DEVICE_PROGRAM_CACHE_H

#include "base/digest.h"
#include "device/device.h"

/* Whether the device starts sooner with this cache than without. */
bool us_program_cache_helps(const us_device *device);

/* The program, built, where the cache holds it, and the name of its file; else NULL. */
cl_program us_program_cache_load(const us_device *device, const char *text, const char *options,
                                 us_digest_text *name);

/* Forgets a file that turned out to hold no good binary. */
void us_program_cache_remove(const char *name);

void us_program_cache_store(const us_device *device, const char *text, const char *options,
                            cl_program program);

/* The file of a program's key; NULL: there is no folder for caches. Heap. */
char *us_program_cache_path(const us_device *device, const char *text, const char *options);

#endif
