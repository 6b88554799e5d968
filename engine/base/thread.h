/* SPDX-License-Identifier: MIT */
/* Threads that the library starts. */
#ifndef US_BASE_THREAD_H
#define US_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Processors that this process may use, at least 1. */
int us_processor_count(void);

/* A thread that runs work(user), to be joined. Signals are for the thread that calls the library,
 * but a fault of memory is for the thread that meets it. */
bool us_thread_start(pthread_t *thread, void *(*work)(void *), void *user);

#endif
