/* SPDX-License-Identifier: MIT */
#include "tuning/tuner_worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/process.h"
#include "device/program.h"
#include "tuning/tuning.h"

/* ---- in the worker ---- */

static void send_reply(int to, const us_worker_reply *reply) {
    ssize_t sent;
    do {
        sent = send(to, reply, sizeof *reply, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof *reply) _exit(0); /* nobody listens any more */
}

static void send_status(int to, unseen_status status, const unseen_error *error) {
    us_worker_reply reply = {.status = status};
    if (status != UNSEEN_OK)
        snprintf(reply.message, sizeof reply.message, "%.1023s", error->message);
    send_reply(to, &reply);
}

static unseen_status collect(const us_worker_job *job, us_device *device, int to,
                             unseen_error *error) {
    US_TRY(us_tuning_open(&device->facts, &device->tuning, error));
    US_TRY(job->collect(device, job->user, error));
    US_TRY(us_device_finish(device, error));
    us_worker_reply reply = {.facts = device->facts};
    send_reply(to, &reply);
    for (const us_tuning_made *made = device->tuning->made; made; made = made->next) {
        reply.tunable = made->tunable;
        memcpy(reply.problem, made->problem, made->tunable->problem_size);
        send_reply(to, &reply);
    }
    reply.tunable = NULL;
    send_reply(to, &reply);
    us_tuning_close(&device->tuning);
    return UNSEEN_OK;
}

/* Programs that are not needed again would only fill the memory. */
static unseen_status begin(const us_worker_job *job, us_device *device, us_trial *trial,
                           const us_worker_request *request, unseen_error *error) {
    const us_tuner_shape *shape = &job->shapes[request->shape];
    us_trial_end(trial);
    us_programs_release(device);
    return us_trial_begin(device, shape->tunable, shape->problem, request->with_default, trial,
                          error);
}

static void answer(const us_worker_job *job, us_device *device, int socket) {
    us_trial trial = {0};
    us_worker_request request;
    for (;;) {
        ssize_t got = recv(socket, &request, sizeof request, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got != (ssize_t)sizeof request) break;
        us_worker_reply reply = {0};
        unseen_error error = {0};
        if (request.begin)
            reply.status = begin(job, device, &trial, &request, &error);
        else
            reply.status =
                us_trial_run(&trial, &request.choice, request.seconds, &reply.times, &error);
        snprintf(reply.message, sizeof reply.message, "%.1023s", error.message);
        send_reply(socket, &reply);
    }
    us_trial_end(&trial);
}

static void work(const us_worker_job *job, int socket) {
    us_device *device;
    unseen_error error = {0};
    unseen_status status = us_device_open(job->selector, &device, &error);
    if (status != UNSEEN_OK) {
        send_status(socket, status, &error);
        return;
    }
    if (job->collect) {
        status = collect(job, device, socket, &error);
        if (status != UNSEEN_OK) send_status(socket, status, &error);
    } else {
        send_status(socket, UNSEEN_OK, NULL);
        answer(job, device, socket);
    }
}

/* ---- in the parent ---- */

unseen_status us_worker_start(const us_worker_job *job, us_worker *worker, unseen_error *error) {
    int sockets[2];
    *worker = (us_worker){0};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
        return us_fail(error, UNSEEN_FAILURE, "cannot talk to a process of its own: %s",
                       strerror(errno));
    pid_t process = us_process_fork();
    if (process == 0) {
        close(sockets[0]);
        work(job, sockets[1]);
        _exit(0); /* without the parent's exit handlers and unwritten output */
    }
    int code = errno;
    close(sockets[1]);
    if (process < 0) {
        close(sockets[0]);
        return us_fail(error, UNSEEN_FAILURE, "cannot start a process: %s", strerror(code));
    }
    *worker = (us_worker){process, sockets[0]};
    return UNSEEN_OK;
}

bool us_worker_send(const us_worker *worker, const us_worker_request *request) {
    return send(worker->socket, request, sizeof *request, MSG_NOSIGNAL) == (ssize_t)sizeof *request;
}

us_answer us_worker_receive(const us_worker *worker, us_worker_reply *reply, double seconds,
                            bool (*stop)(void *user), void *user) {
    double end = us_clock() + seconds;
    for (;;) {
        if (stop(user)) return US_ANSWER_STOPPED;
        double left = end - us_clock();
        struct pollfd wanted = {.fd = worker->socket, .events = POLLIN};
        int ready = poll(&wanted, 1, left > 0.1 ? 100 : left > 0 ? (int)(left * 1e3) + 1 : 0);
        if (ready > 0) {
            ssize_t got = recv(worker->socket, reply, sizeof *reply, 0);
            if (got == (ssize_t)sizeof *reply) return US_ANSWER_GOT;
            if (got >= 0 || errno != EINTR) return US_ANSWER_GONE;
        } else if (ready < 0 && errno != EINTR) {
            return US_ANSWER_GONE; /* it cannot be listened to */
        } else if (left <= 0) {
            return US_ANSWER_LATE;
        }
    }
}

void us_worker_kill(us_worker *worker, char how[80]) {
    snprintf(how, 80, "ended");
    if (!worker->process) return;
    us_process_end(worker->process, how);
    close(worker->socket);
    *worker = (us_worker){0};
}

void us_worker_dismiss(us_worker *worker) {
    int state;
    char how[80];
    if (!worker->process) return;
    shutdown(worker->socket, SHUT_WR);
    if (!us_process_reap(worker->process, 2, &state)) {
        us_worker_kill(worker, how);
        return;
    }
    close(worker->socket);
    *worker = (us_worker){0};
}
