/* SPDX-License-Identifier: MIT */
/* A thread of its own waits for the signals, which are blocked everywhere else: handlers would not
 * do, as compilers of OpenCL drivers (LLVM) put theirs in their place. */
#include "signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unseen.h"

/* Ctrl-\ (SIGQUIT) is not among them: it ends a program that does not end otherwise. */
static const struct {
    int number;
    bool insists; /* a second one ends the program at once */
    const char *text;
} stops[] = {
    {SIGINT, true, "\nunseen: stopping after this step; once more to stop at once\n"},
    {SIGTERM, true, "\nunseen: stopping after this step; once more to stop at once\n"},
    {SIGHUP, false, "\nunseen: stopping after this step (SIGHUP)\n"},
    {SIGUSR1, false, "\nunseen: stopping after this step (SIGUSR1)\n"},
    {SIGUSR2, false, "\nunseen: stopping after this step (SIGUSR2)\n"},
    {SIGXCPU, false, "\nunseen: stopping after this step (SIGXCPU)\n"},
};
enum { STOPS = sizeof stops / sizeof *stops };

/* One signal may arrive twice: timeout(1) sends it to the program and to its process group. */
static const double moment = 0.25;

/* Longer than a step takes that does not compile anything. */
static const double patience = 1;

static bool watching, silent, on_terminal;
static sigset_t watched, before; /* before: what was blocked */
static pthread_t watcher;
static atomic_bool stop_requested, has_unsaved, ended;

/* Texts begin with the end of the bar's line, which is only there on a terminal. Not through stdio,
 * whose lock another thread may hold. A terminal that is gone is no reason to stop. */
static void say(const char *text) {
    const char *start = on_terminal ? text : text + 1;
    ssize_t written = write(STDERR_FILENO, start, strlen(start));
    (void)written;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Ends the program as the signal would have if it had not been caught. */
static void end_by(int number) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(number);
}

/* The job has not come back since the signal. */
static void give_up(bool *told) {
    if (!has_unsaved) {
        say("\nunseen: interrupted while waiting for a compiler, a driver or a file; nothing is "
            "lost\n");
        _exit(UNSEEN_INTERRUPTED);
    }
    if (!*told && !silent) say("\nunseen: this takes long; what was learned is saved at its end\n");
    *told = true;
}

static int find(int number) {
    for (int i = 0; i < STOPS; i++)
        if (stops[i].number == number) return i;
    return 0; /* no other one is waited for */
}

/* Waits for a signal, or, once the job is to stop, for so long at most. -1: none came. */
static int next_signal(double seconds) {
    if (!stop_requested) return sigwaitinfo(&watched, NULL);
    if (seconds < 0) seconds = 0;
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    return sigtimedwait(&watched, NULL, &time);
}

static void *watch(void *unused) {
    double first[STOPS] = {0}, waited_from = 0;
    bool told = false;
    (void)unused;
    for (;;) {
        int number = next_signal(waited_from + patience - now());
        if (ended) return NULL;
        if (number >= 0) {
            int i = find(number);
            if (first[i] > 0 && stops[i].insists && now() - first[i] >= moment) end_by(number);
            if (first[i] == 0) first[i] = now();
            if (atomic_exchange(&stop_requested, true)) continue;
            if (!silent) say(stops[i].text);
            waited_from = now();
        } else if (stop_requested && now() >= waited_from + patience) {
            give_up(&told);
            waited_from = now();
        }
    }
}

void cli_signals_begin(bool quiet, bool terminal) {
    stop_requested = false;
    has_unsaved = false;
    ended = false;
    silent = quiet;
    on_terminal = terminal;
    sigemptyset(&watched);
    watching = false;
    for (int i = 0; i < STOPS; i++) {
        struct sigaction action;
        sigaction(stops[i].number, NULL, &action);
        if (action.sa_handler != SIG_IGN) sigaddset(&watched, stops[i].number);
    }
    if (sigisemptyset(&watched)) return;
    pthread_sigmask(SIG_BLOCK, &watched, &before);
    watching = pthread_create(&watcher, NULL, watch, NULL) == 0;
    /* Without a thread, signals end the program as they would any other. */
    if (!watching) pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void cli_signals_end(void) {
    if (!watching) return;
    ended = true;
    for (int i = 0; i < STOPS; i++)
        if (sigismember(&watched, stops[i].number)) {
            pthread_kill(watcher, stops[i].number);
            break;
        }
    pthread_join(watcher, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    watching = false;
}

bool cli_signals_stop(void) {
    return stop_requested;
}

void cli_signals_unsaved(bool unsaved) {
    has_unsaved = unsaved;
}
