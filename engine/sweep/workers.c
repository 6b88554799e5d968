/* SPDX-License-Identifier: MIT */
#include "sweep/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/event.h"
#include "device/process.h"
#include "device/selection.h"
#include "sweep/share.h"

enum { MOST_WORKERS = 256, SELECTOR = 256 };

typedef struct worker {
    char device[SELECTOR]; /* empty: the best one */
    pid_t process;         /* 0: it has ended */
    size_t entry;          /* that it trains; the sweep's count: none */
} worker;

struct us_workers {
    worker workers[MOST_WORKERS];
    int count, jobs;
    int messages[2];  /* a pipe that all write to */
    int stop_pipe[2]; /* a pipe that nobody writes to: its end tells workers to stop */
};

/* What a worker says, in one piece: shorter than PIPE_BUF. */
typedef struct message {
    int worker;
    unseen_event_kind kind;
    size_t entry; /* that it trains; the sweep's count: none */
    char text[1000];
} message;

/* ---- which devices ---- */

static unseen_status add_workers(us_workers *w, const char *device, size_t length,
                                 unseen_error *error) {
    if (length >= SELECTOR)
        return us_fail(error, UNSEEN_BAD_INPUT, "--device: the name of a device is too long");
    for (int job = 0; job < w->jobs; job++) {
        if (w->count == MOST_WORKERS)
            return us_fail(error, UNSEEN_BAD_INPUT, "more than %d processes were asked for",
                           MOST_WORKERS);
        worker *one = &w->workers[w->count++];
        snprintf(one->device, sizeof one->device, "%.*s", (int)length, device);
    }
    return UNSEEN_OK;
}

/* "P:D" of each usable device, a line each. Those that run on other drivers' devices, such as
 * Mesa's CPU beside PoCL's, only where there are no others. */
static void print_devices(int to) {
    us_selection selection;
    if (us_selection_make(NULL, &selection, NULL) != UNSEEN_OK) return;
    for (int layered = 0, found = 0; layered < 2 && !found; layered++)
        for (size_t i = 0; i < selection.count; i++) {
            const us_candidate *candidate = &selection.candidates[i];
            if (!candidate->usable || candidate->layered != layered) continue;
            dprintf(to, "%s\n", candidate->facts.index);
            found++;
        }
    us_selection_release(&selection);
}

/* Asked in a process of its own, as one that has used OpenCL must not fork. */
static unseen_status add_all_devices(us_workers *w, unseen_error *error) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return us_fail(error, UNSEEN_FAILURE, "a pipe: %s", strerror(errno));
    pid_t process = us_process_fork();
    if (process == 0) {
        print_devices(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    char line[SELECTOR];
    unseen_status status = process < 0 ? us_fail(error, UNSEEN_FAILURE,
                                                 "a process to list devices: %s", strerror(errno))
                                       : UNSEEN_OK;
    FILE *lines = fdopen(ends[0], "r");
    while (status == UNSEEN_OK && lines && fgets(line, sizeof line, lines))
        status = add_workers(w, line, strcspn(line, "\n"), error);
    if (lines)
        fclose(lines);
    else
        close(ends[0]);
    if (process > 0) waitpid(process, NULL, 0);
    if (status == UNSEEN_OK && w->count == 0)
        status = us_fail(error, UNSEEN_NO_DEVICE,
                         "--device all: there is no usable device; `unseen devices` says why");
    return status;
}

/* "all", or selectors by commas. */
static unseen_status add_devices(us_workers *w, const char *devices, unseen_error *error) {
    if (devices && strcmp(devices, "all") == 0) return add_all_devices(w, error);
    for (const char *at = devices ? devices : "";;) {
        size_t length = strcspn(at, ",");
        US_TRY(add_workers(w, at, length, error));
        if (!at[length]) return UNSEEN_OK;
        at += length + 1;
    }
}

unseen_status us_workers_open(const us_sweep *sweep, us_workers **workers, unseen_error *error) {
    *workers = NULL;
    us_workers *w = calloc(1, sizeof *w);
    if (!w) return us_fail_memory(error, "workers");
    *w = (us_workers){.jobs = sweep->options->jobs > 0 ? sweep->options->jobs : 1,
                      .messages = {-1, -1},
                      .stop_pipe = {-1, -1}};
    const char *device = sweep->options->device;
    unseen_status status = add_devices(w, device, error);
    /* Which device "all" is, other processes know alone. */
    if (status == UNSEEN_OK && (w->count > 1 || (device && strcmp(device, "all") == 0))) {
        *workers = w;
        return UNSEEN_OK;
    }
    free(w);
    return status;
}

/* ---- in a worker ---- */

typedef struct child {
    us_workers *workers;
    us_sweep *sweep;
    int number;
} child;

static void send_message(const child *c, const unseen_event *event) {
    message text = {.worker = c->number, .kind = event->kind};
    text.entry =
        c->sweep->current ? (size_t)(c->sweep->current - c->sweep->entries) : c->sweep->count;
    snprintf(text.text, sizeof text.text, "%s", event->text ? event->text : "");
    ssize_t written = write(c->workers->messages[1], &text, sizeof text);
    (void)written; /* a parent that is gone ends this process */
}

/* Passes messages on; whether to stop. */
static int on_event(const unseen_event *event, void *user) {
    const child *c = user;
    struct pollfd stop_pipe = {.fd = c->workers->stop_pipe[0], .events = POLLIN};
    if (event->kind == UNSEEN_EVENT_MESSAGE || event->kind == UNSEEN_EVENT_WARNING)
        send_message(c, event);
    return poll(&stop_pipe, 1, 0) > 0;
}

/* A CPU that several processes share is divided among them. */
static void share_processor(int processes) {
    long units = sysconf(_SC_NPROCESSORS_ONLN) / processes;
    char text[24];
    snprintf(text, sizeof text, "%ld", units < 1 ? 1 : units);
    setenv("POCL_MAX_PTHREAD_COUNT", text, 0);
    setenv("LP_NUM_THREADS", text, 0);
}

static _Noreturn void serve(us_workers *w, us_sweep *sweep, int number,
                            unseen_status (*work)(us_sweep *sweep, unseen_error *error)) {
    child c = {.workers = w, .sweep = sweep, .number = number};
    unseen_sweep_options options = *sweep->options;
    const char *device = w->workers[number].device;
    close(w->stop_pipe[1]);
    if (w->jobs > 1) share_processor(w->jobs);
    sweep->runs_are_silent = true;
    options.device = *device ? device : NULL;
    const unseen_events events = {on_event, &c};
    sweep->options = &options;
    sweep->events = &events;
    unseen_error error = {0};
    unseen_status status = work(sweep, &error);
    if (status == UNSEEN_NO_DEVICE || status == UNSEEN_FAILURE) {
        sweep->current = NULL;
        us_event_message(&events, UNSEEN_EVENT_WARNING, "%s: %s", *device ? device : "a worker",
                         error.message);
    }
    _exit(status);
}

/* ---- in the parent ---- */

static unseen_status start(us_workers *w, us_sweep *sweep, int number,
                           unseen_status (*work)(us_sweep *sweep, unseen_error *error),
                           unseen_error *error) {
    worker *one = &w->workers[number];
    one->entry = sweep->count;
    one->process = us_process_fork();
    if (one->process == 0) serve(w, sweep, number, work);
    if (one->process > 0) return UNSEEN_OK;
    one->process = 0;
    return us_fail(error, UNSEEN_FAILURE, "a process for a device: %s", strerror(errno));
}

static unseen_status open_pipes(us_workers *w, unseen_error *error) {
    if (pipe2(w->messages, O_CLOEXEC) == 0 && pipe2(w->stop_pipe, O_CLOEXEC) == 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE, "a pipe for messages: %s", strerror(errno));
}

static void close_end(int *descriptor) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
}

/* Whether there was a message within a tenth of a second. */
static bool pass_message(us_workers *w, const us_sweep *sweep) {
    struct pollfd messages = {.fd = w->messages[0], .events = POLLIN};
    message next;
    if (poll(&messages, 1, 100) <= 0 ||
        read(w->messages[0], &next, sizeof next) != (ssize_t)sizeof next)
        return false;
    w->workers[next.worker].entry = next.entry;
    next.text[sizeof next.text - 1] = '\0';
    us_event_message(sweep->events, next.kind, "%s", next.text);
    return true;
}

/* Where the caller asks for it, tells the workers to stop. */
static void listen_to_caller(us_workers *w, us_sweep *sweep) {
    int64_t over = 0;
    for (size_t i = 0; i < sweep->count; i++)
        over += sweep->entries[i].status == US_ENTRY_DONE;
    const unseen_event event = {.kind = UNSEEN_EVENT_PROGRESS,
                                .text = "sweep",
                                .done = over,
                                .total = (int64_t)sweep->count,
                                .loss = NAN,
                                .held_out_loss = NAN,
                                .seconds_left = -1};
    if (us_event_send(sweep->events, &event)) sweep->stop = true;
    if (sweep->stop) close_end(&w->stop_pipe[1]);
}

/* The run of a worker that crashed would crash the next one, too. */
static unseen_status fail_run(us_sweep *sweep, const worker *one, int state, unseen_error *error) {
    if (one->entry >= sweep->count) return UNSEEN_OK;
    us_entry *entry = &sweep->entries[one->entry];
    free(entry->message);
    entry->status = US_ENTRY_FAILED;
    entry->failure = UNSEEN_FAILURE;
    if (asprintf(&entry->message, "its process ended by signal %d, %s", WTERMSIG(state),
                 strsignal(WTERMSIG(state))) < 0) {
        entry->message = NULL;
        return us_fail_memory(error, "a message");
    }
    us_event_message(sweep->events, UNSEEN_EVENT_WARNING, "%s: %s", entry->folder, entry->message);
    return us_sweep_keep_failure(entry, error);
}

/* Notices who has ended. *code: of one that ended for want of a device or by another failure of its
 * own. */
static unseen_status reap(us_workers *w, us_sweep *sweep, int *left, int *code,
                          unseen_status (*work)(us_sweep *sweep, unseen_error *error),
                          unseen_error *error) {
    *left = 0;
    for (int i = 0; i < w->count; i++) {
        worker *one = &w->workers[i];
        int state;
        if (!one->process) continue;
        if (waitpid(one->process, &state, WNOHANG) != one->process) {
            ++*left;
            continue;
        }
        one->process = 0;
        if (WIFEXITED(state)) *code = WEXITSTATUS(state) ? WEXITSTATUS(state) : *code;
        if (!WIFSIGNALED(state)) continue;
        US_TRY(fail_run(sweep, one, state, error));
        if (sweep->stop) continue;
        US_TRY(start(w, sweep, i, work, error));
        ++*left;
    }
    return UNSEEN_OK;
}

unseen_status us_workers_run(us_workers *w, us_sweep *sweep,
                             unseen_status (*work)(us_sweep *sweep, unseen_error *error),
                             unseen_error *error) {
    int left = w->count, code = UNSEEN_OK;
    US_TRY(open_pipes(w, error));
    for (int i = 0; i < w->count; i++)
        US_TRY(start(w, sweep, i, work, error));
    while (left > 0) {
        if (pass_message(w, sweep)) continue;
        listen_to_caller(w, sweep);
        US_TRY(reap(w, sweep, &left, &code, work, error));
    }
    US_TRY(us_share_publish(sweep, error));
    for (size_t i = 0; i < sweep->count && !sweep->stop; i++)
        if (sweep->entries[i].status == US_ENTRY_WAITING)
            return us_fail(error, code ? (unseen_status)code : UNSEEN_FAILURE,
                           "the processes for the devices ended before all runs were done");
    return UNSEEN_OK;
}

void us_workers_close(us_workers *w) {
    if (!w) return;
    for (int i = 0; i < w->count; i++) {
        char how[80];
        if (w->workers[i].process) us_process_end(w->workers[i].process, how);
    }
    for (int i = 0; i < 2; i++) {
        close_end(&w->messages[i]);
        close_end(&w->stop_pipe[i]);
    }
    free(w);
}
