/* SPDX-License-Identifier: MIT */
/* Whether the other ranks are still there. MPI does not tell: a call waits for a rank that is gone
 * as it does for a slow one. So each rank has a TCP connection to rank 0 beside MPI, on which both
 * sides give a sign of life twice a second from a thread of its own. A connection that closes says
 * that a process has ended; silence, that its machine or the network is gone. */
#ifndef US_PARALLEL_WATCH_H
#define US_PARALLEL_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { US_WATCH_ADDRESSES = 16, US_WATCH_TEXT = 600 };

/* Where rank 0 is found; sent to the others by MPI. */
typedef struct us_watch_place {
    uint32_t addresses[US_WATCH_ADDRESSES]; /* IPv4, in network order */
    int count;
    uint16_t port;
    uint64_t token; /* who does not know it, is no rank */
} us_watch_place;

typedef struct us_watch us_watch;

/* On rank 0: listens. */
unseen_status us_watch_listen(int ranks, us_watch_place *place, us_watch **watch,
                              unseen_error *error);
/* On the others. */
unseen_status us_watch_connect(int rank, const us_watch_place *place, us_watch **watch,
                               unseen_error *error);
/* Once all are connected: starts watching. */
unseen_status us_watch_start(us_watch *watch, unseen_error *error);

/* NULL, or what has happened to another rank. */
const char *us_watch_loss(const us_watch *watch);

/* message: NULL where all ends well, else the others are told of it. */
void us_watch_close(us_watch *watch, int rank, const char *message);

#endif
