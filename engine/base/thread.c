/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>

int us_processor_count(void) {
    cpu_set_t processors;
    if (sched_getaffinity(0, sizeof processors, &processors) != 0) return 1;
    const int count = CPU_COUNT(&processors);
    return count > 1 ? count : 1;
}

bool us_thread_start(pthread_t *thread, void *(*work)(void *), void *user) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = pthread_create(thread, NULL, work, user) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

typedef struct share {
    void (*work)(void *user, size_t first, size_t end);
    void *user;
    size_t first, end;
} share;

static void *do_share(void *pointer) {
    const share *own = pointer;
    own->work(own->user, own->first, own->end);
    return NULL;
}

void us_thread_divide(size_t count, size_t least,
                      void (*work)(void *user, size_t first, size_t end), void *user) {
    enum { MOST = 16 };
    share shares[MOST];
    pthread_t threads[MOST];
    size_t used = (size_t)us_processor_count(), started = 1;
    if (used > MOST) used = MOST;
    if (used > count / least + 1) used = count / least + 1;
    for (size_t i = 0; i < used; i++)
        shares[i] = (share){work, user, count * i / used, count * (i + 1) / used};
    while (started < used && us_thread_start(&threads[started], do_share, &shares[started]))
        started++;
    do_share(&shares[0]);
    for (size_t i = started; i < used; i++)
        do_share(&shares[i]);
    for (size_t i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
}
