/* SPDX-License-Identifier: MIT */
/* Threads that the library starts. */
#ifndef US_BASE_THREAD_H
#define US_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Processors that this process may use, at least 1. */
int us_processor_count(void);

/* A thread that runs work(user), to be joined. Signals are for the thread that calls the library,
 * but a fault of memory is for the thread that meets it. */
bool us_thread_start(pthread_t *thread, void *(*work)(void *), void *user);

/* Divides `count` pieces of work among the caller and other threads, one for each processor: each
 * does a run of them, work(user, first, end), of at least `least`. Returns when all is done. */
void us_thread_divide(size_t count, size_t least,
                      void (*work)(void *user, size_t first, size_t end), void *user);

#endif
