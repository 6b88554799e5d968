/* SPDX-License-Identifier: MIT */
/* Trying drivers in processes of their own. */
#ifndef US_DEVICE_DRIVER_PROBE_H
#define US_DEVICE_DRIVER_PROBE_H

#include "base/private_file.h"
#include "device/drivers.h"

/* Lists the platforms with all drivers; where that fails, with each alone, then with as many
 * together as go well. Sets every driver's library, fault and left_out. `place` is for folders of
 * .icd files; *folder becomes the path of the one to be used (heap), or stays NULL where nothing
 * has to be left out. */
void us_driver_probe(us_drivers *drivers, const us_private_folder *place, char **folder);

/* The folder of copies of the .icd files that are not left out. Heap; NULL: it cannot be made. */
char *us_driver_folder(const us_drivers *drivers, const us_private_folder *place);

#endif
