/* SPDX-License-Identifier: MIT */
#include "parallel/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

enum { TICK_MS = 500, ACCEPT_SECONDS = 60, CONNECT_MS = 3000 };
/* TCP takes up to twice as long as a network was cut to try again: one that is cut for a few
 * seconds is no loss. */
static const double silence = 20;

/* What is sent: signs of life, an end that all agreed on, or a failure and its text, a line. */
static const char alive = '.', bye = 'b', failed = 'x';

typedef struct peer {
    int socket; /* -1: it has ended well, or is not there yet */
    int rank;
    double heard;             /* seconds of the clock */
    char text[US_WATCH_TEXT]; /* of a failure, as far as it has come */
    size_t length;
    bool telling; /* a failure's text is coming */
} peer;

struct us_watch {
    int listener; /* -1: not on rank 0, or no more */
    int count;    /* of peers: rank 0 alone, or all others */
    peer *peers;
    uint64_t token;
    int stop[2]; /* a pipe whose end stops the thread */
    bool running;
    pthread_t thread;
    atomic_bool lost;
    char loss[US_WATCH_TEXT + 100];
};

/* What a rank says first. */
typedef struct greeting {
    uint64_t token;
    int32_t rank;
} greeting;

static unseen_status fail(unseen_error *error, const char *what) {
    return us_fail(error, UNSEEN_FAILURE, "watching over the other ranks: %s: %s", what,
                   strerror(errno));
}

static us_watch *create(int peers) {
    us_watch *watch = calloc(1, sizeof *watch);
    if (!watch) return NULL;
    watch->listener = watch->stop[0] = watch->stop[1] = -1;
    watch->count = peers;
    watch->peers = calloc((size_t)peers, sizeof *watch->peers);
    for (int i = 0; watch->peers && i < peers; i++)
        watch->peers[i].socket = -1;
    if (watch->peers) return watch;
    free(watch);
    return NULL;
}

/* ---- connecting ---- */

static void find_addresses(us_watch_place *place) {
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) all = NULL;
    for (int loopback = 0; loopback < 2; loopback++) /* which are the last to be tried */
        for (struct ifaddrs *one = all; one; one = one->ifa_next) {
            if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET ||
                !(one->ifa_flags & IFF_UP) || ((one->ifa_flags & IFF_LOOPBACK) != 0) != loopback ||
                place->count == US_WATCH_ADDRESSES)
                continue;
            place->addresses[place->count++] =
                ((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr.s_addr;
        }
    freeifaddrs(all);
}

unseen_status us_watch_listen(int ranks, us_watch_place *place, us_watch **out,
                              unseen_error *error) {
    *out = NULL;
    us_watch *watch = create(ranks - 1);
    if (!watch) return us_fail_memory(error, "a watch");
    *out = watch;
    *place = (us_watch_place){0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof address;
    watch->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (watch->listener < 0 || bind(watch->listener, (void *)&address, size) != 0 ||
        listen(watch->listener, ranks) != 0 ||
        getsockname(watch->listener, (void *)&address, &size) != 0)
        return fail(error, "a TCP port");
    if (getrandom(&watch->token, sizeof watch->token, 0) != sizeof watch->token)
        return fail(error, "getrandom");
    place->token = watch->token;
    place->port = address.sin_port;
    find_addresses(place);
    return UNSEEN_OK;
}

static bool wait_for(int socket, short events, int milliseconds) {
    struct pollfd one = {.fd = socket, .events = events};
    return poll(&one, 1, milliseconds) > 0;
}

static bool receive(int socket, void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        if (!wait_for(socket, POLLIN, CONNECT_MS)) return false;
        ssize_t got = recv(socket, (char *)bytes + done, size - done, MSG_DONTWAIT);
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}

/* A connection to who knows the token there; else -1. */
static int connect_to(uint32_t where, const us_watch_place *place, int rank) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = place->port, .sin_addr.s_addr = where};
    const greeting hello = {.token = place->token, .rank = rank};
    uint64_t answer = 0;
    int code = 0;
    socklen_t size = sizeof code;
    int end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (end < 0) return -1;
    if ((connect(end, (void *)&address, sizeof address) == 0 || errno == EINPROGRESS) &&
        wait_for(end, POLLOUT, CONNECT_MS) &&
        getsockopt(end, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code == 0 &&
        send(end, &hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello &&
        receive(end, &answer, sizeof answer) && answer == ~place->token)
        return end;
    close(end);
    return -1;
}

unseen_status us_watch_connect(int rank, const us_watch_place *place, us_watch **out,
                               unseen_error *error) {
    us_watch *watch = *out = create(1);
    if (!watch) return us_fail_memory(error, "a watch");
    for (int i = 0; i < place->count && watch->peers->socket < 0; i++)
        watch->peers->socket = connect_to(place->addresses[i], place, rank);
    if (watch->peers->socket >= 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE,
                   "rank %d cannot reach rank 0 by TCP, port %d, at any of its %d addresses: a "
                   "firewall may be in the way",
                   rank, ntohs(place->port), place->count);
}

/* Takes a connection, if it is a rank's. */
static bool take(us_watch *watch, int socket) {
    greeting hello;
    const uint64_t answer = ~watch->token;
    if (socket < 0) return false;
    if (receive(socket, &hello, sizeof hello) && hello.token == watch->token && hello.rank >= 1 &&
        hello.rank <= watch->count && watch->peers[hello.rank - 1].socket < 0 &&
        send(socket, &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer) {
        watch->peers[hello.rank - 1].socket = socket;
        return true;
    }
    close(socket);
    return false;
}

static unseen_status accept_all(us_watch *watch, unseen_error *error) {
    const double until = us_clock() + ACCEPT_SECONDS;
    for (int missing = watch->count; missing > 0;) {
        if (wait_for(watch->listener, POLLIN, TICK_MS))
            missing -= take(watch, accept4(watch->listener, NULL, NULL, SOCK_CLOEXEC));
        if (us_clock() > until)
            return us_fail(error, UNSEEN_FAILURE,
                           "%d of the other ranks have not connected to rank 0 by TCP", missing);
    }
    close(watch->listener);
    watch->listener = -1;
    return UNSEEN_OK;
}

/* ---- watching ---- */

static void say(const peer *one, const char *bytes, size_t size) {
    /* What does not go out is missed by the other side soon enough. */
    ssize_t sent = send(one->socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
}

/* "xTEXT\n" */
static void say_failure(const peer *one, const char *text) {
    char line[US_WATCH_TEXT + 2];
    int length = snprintf(line, sizeof line, "%c%.*s\n", failed, US_WATCH_TEXT - 100, text);
    say(one, line, (size_t)length);
}

/* Keeps the first loss, and on rank 0 tells the others. */
static void lose(us_watch *watch, const peer *one, const char *text) {
    if (watch->lost) return;
    snprintf(watch->loss, sizeof watch->loss, "%s", text);
    watch->lost = true;
    for (int i = 0; i < watch->count; i++)
        if (&watch->peers[i] != one && watch->peers[i].socket >= 0)
            say_failure(&watch->peers[i], text);
}

static void leave(peer *one) {
    close(one->socket);
    one->socket = -1;
}

static void hear(us_watch *watch, peer *one, const char *bytes, size_t size) {
    one->heard = us_clock();
    for (size_t i = 0; i < size && one->socket >= 0; i++) {
        if (one->telling && bytes[i] == '\n') {
            one->text[one->length] = '\0';
            lose(watch, one, one->text);
            leave(one);
        } else if (one->telling) {
            if (one->length + 1 < sizeof one->text) one->text[one->length++] = bytes[i];
        } else if (bytes[i] == bye) {
            leave(one);
        } else if (bytes[i] == failed) {
            one->telling = true;
        }
    }
}

static void listen_to(us_watch *watch, peer *one) {
    char bytes[256], text[120];
    ssize_t got = recv(one->socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
        hear(watch, one, bytes, (size_t)got);
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    snprintf(text, sizeof text, "rank %d has ended, or was ended", one->rank);
    lose(watch, one, text);
    leave(one);
}

static void miss(us_watch *watch, peer *one) {
    char text[160];
    if (us_clock() - one->heard < silence) return;
    snprintf(text, sizeof text,
             "rank %d has given no sign of life for %.0f seconds: its machine or the network is "
             "down",
             one->rank, silence);
    lose(watch, one, text);
    leave(one);
}

static void *watch_over(void *user) {
    us_watch *watch = user;
    struct pollfd *ends = calloc((size_t)watch->count + 1, sizeof *ends);
    double said = 0;
    if (!ends) return NULL;
    for (;;) {
        ends[watch->count] = (struct pollfd){.fd = watch->stop[0], .events = POLLIN};
        for (int i = 0; i < watch->count; i++) /* poll leaves out negative ones */
            ends[i] = (struct pollfd){.fd = watch->peers[i].socket, .events = POLLIN};
        poll(ends, (nfds_t)watch->count + 1, TICK_MS);
        if (ends[watch->count].revents) break;
        for (int i = 0; i < watch->count; i++) {
            peer *one = &watch->peers[i];
            if (one->socket >= 0 && ends[i].revents) listen_to(watch, one);
            if (one->socket >= 0) miss(watch, one);
        }
        if (us_clock() - said < 0.9e-3 * TICK_MS) continue;
        said = us_clock();
        for (int i = 0; i < watch->count; i++)
            if (watch->peers[i].socket >= 0) say(&watch->peers[i], &alive, 1);
    }
    free(ends);
    return NULL;
}

unseen_status us_watch_start(us_watch *watch, unseen_error *error) {
    const bool first = watch->listener >= 0;
    if (first) US_TRY(accept_all(watch, error));
    if (pipe2(watch->stop, O_CLOEXEC) != 0) return fail(error, "a pipe");
    for (int i = 0; i < watch->count; i++) {
        peer *one = &watch->peers[i];
        one->rank = first ? i + 1 : 0;
        one->heard = us_clock();
        setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    watch->running = us_thread_start(&watch->thread, watch_over, watch);
    if (!watch->running) return fail(error, "a thread");
    return UNSEEN_OK;
}

const char *us_watch_loss(const us_watch *watch) {
    return watch->lost ? watch->loss : NULL;
}

void us_watch_close(us_watch *watch, int rank, const char *message) {
    if (!watch) return;
    char text[US_WATCH_TEXT];
    if (watch->stop[1] >= 0) close(watch->stop[1]);
    if (watch->running) pthread_join(watch->thread, NULL);
    if (message) snprintf(text, sizeof text, "rank %d has failed: %.400s", rank, message);
    for (int i = 0; message && text[i]; i++)
        if (text[i] == '\n') text[i] = ' ';
    for (int i = 0; i < watch->count; i++) {
        peer *one = &watch->peers[i];
        if (one->socket < 0) continue;
        if (message && !watch->lost)
            say_failure(one, text);
        else if (!watch->lost)
            say(one, &bye, 1);
        close(one->socket);
    }
    if (watch->stop[0] >= 0) close(watch->stop[0]);
    if (watch->listener >= 0) close(watch->listener);
    free(watch->peers);
    free(watch);
}
