/* SPDX-License-Identifier: MIT */
/* Why there may be no device, or not the one that is wanted, and what to do about it. */
#ifndef US_DEVICE_ADVICE_H
#define US_DEVICE_ADVICE_H

#include "device/drivers.h"

/* What is wrong with the drivers, and which variables and permissions stand in the way, a clause
 * for each. `idle` has the names of platforms without a device. Empty where nothing is found. */
void us_advice(const us_drivers *drivers, const char *idle, char *text, size_t room);

/* Of that, what /dev (or another folder for tests) says: devices that this user may not open. */
void us_advice_nodes(const char *folder, char *text, size_t room);

#endif
