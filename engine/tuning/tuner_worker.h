/* SPDX-License-Identifier: MIT */
/* The process in which a search does everything that touches OpenCL, so that a compiler or driver
 * that hangs or crashes takes nothing else with it. */
#ifndef US_TUNING_TUNER_WORKER_H
#define US_TUNING_TUNER_WORKER_H

#include <sys/types.h>

#include "tuning/trial.h"

/* What is searched: an operator on a shape. */
typedef struct us_tuner_shape {
    const us_tunable *tunable;
    void *problem; /* heap */
} us_tuner_shape;

/* What a worker gets by being forked. Either collect or shapes are set. */
typedef struct us_worker_job {
    const char *selector; /* of the device */
    /* Creates what the kernels are to be found of. The worker sends the device's facts, then a
     * reply for each kernel and shape, then one without a tunable. */
    unseen_status (*collect)(us_device *device, void *user, unseen_error *error);
    void *user;
    /* The worker says that it is ready, then answers requests. */
    const us_tuner_shape *shapes;
} us_worker_job;

typedef struct us_worker_request {
    int shape;
    bool begin;        /* with the shape, by us_trial_begin; else us_trial_run */
    bool with_default; /* of begin */
    us_choice choice;
    double seconds;
} us_worker_request;

typedef struct us_worker_reply {
    unseen_status status;
    char message[1024];
    us_trial_times times;
    us_device_facts facts;
    const us_tunable *tunable;
    unsigned char problem[US_TUNABLE_PROBLEM];
} us_worker_reply;

typedef struct us_worker {
    pid_t process; /* 0: none */
    int socket;
} us_worker;

typedef enum us_answer {
    US_ANSWER_GOT,
    US_ANSWER_LATE,    /* not within the time */
    US_ANSWER_GONE,    /* the worker has ended */
    US_ANSWER_STOPPED, /* the caller asked to stop */
} us_answer;

unseen_status us_worker_start(const us_worker_job *job, us_worker *worker, unseen_error *error);

bool us_worker_send(const us_worker *worker, const us_worker_request *request);

/* Waits at most `seconds` for the next reply. Asks `stop` ten times a second whether to go on. */
us_answer us_worker_receive(const us_worker *worker, us_worker_reply *reply, double seconds,
                            bool (*stop)(void *user), void *user);

/* Ends it at once, unless it has ended; says how it ended ("signal 11, Segmentation fault"). No
 * worker is fine. */
void us_worker_kill(us_worker *worker, char how[80]);

/* Lets it end by itself. */
void us_worker_dismiss(us_worker *worker);

#endif
