/* SPDX-License-Identifier: MIT */
#include "device/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/clock.h"

/* Whatever a crashing driver has to say is not for the user's terminal. Signals that go to the
 * whole process group, from a terminal or a scheduler, are for the parent to handle; but the child
 * does not outlive it. */
static void detach(void) {
    static const int parents[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&ignore.sa_mask);
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        sigaction(parents[i], &ignore, NULL);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
}

pid_t us_process_fork(void) {
    sigset_t all, before;
    /* Signals are blocked until the child ignores them. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t process = fork();
    int code = errno;
    if (process == 0) detach();
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return process;
}

bool us_process_reap(pid_t process, double seconds, int *state) {
    useconds_t wait = 250;
    for (double end = us_clock() + seconds;;) {
        pid_t ended = waitpid(process, state, WNOHANG);
        if (ended == process || (ended < 0 && errno != EINTR)) return ended == process;
        if (us_clock() > end) return false;
        usleep(wait);
        if (wait < 5000) wait *= 2;
    }
}

void us_process_end(pid_t process, char how[80]) {
    int state = 0;
    snprintf(how, 80, "ended");
    /* One that has ended by itself is given the moment until it can be asked why. */
    bool ended = us_process_reap(process, 0.05, &state);
    if (ended && WIFSIGNALED(state))
        snprintf(how, 80, "signal %d, %s", WTERMSIG(state), strsignal(WTERMSIG(state)));
    else if (ended && WIFEXITED(state))
        snprintf(how, 80, "exit code %d", WEXITSTATUS(state));
    if (ended) return;
    kill(process, SIGKILL);
    us_process_reap(process, 5, &state);
}
