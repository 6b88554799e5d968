/* SPDX-License-Identifier: MIT */
/* Processes of our own, in which a driver may crash or hang and takes nothing else with it. */
#ifndef US_DEVICE_PROCESS_H
#define US_DEVICE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Forks. The child is silent and deaf to interrupts from a terminal, which are for the parent to
 * handle, and does not outlive it. It ends by _exit. */
pid_t us_process_fork(void);

/* Waits until the process has ended, or for so long: one that a driver holds in the kernel does not
 * even end when killed. */
bool us_process_reap(pid_t process, double seconds, int *state);

/* Ends it at once, unless it has ended; says how it ended by itself ("signal 11, Segmentation
 * fault"). */
void us_process_end(pid_t process, char how[80]);

#endif
