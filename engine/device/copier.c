/* SPDX-License-Identifier: MIT */
#include "device/copier.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

/* Of bytes: what is handed out at a time, and what waking the others is worth. */
enum { SHARE = 128 << 10, SMALL = 2 * SHARE };
enum { MOST_HELPERS = 3 };

/* The caller fills in the task and wakes the helpers, who take shares of it as the caller does
 * itself. One who wakes late finds it taken away and sleeps on: none is waited for that did not
 * begin. */
struct us_copier {
    pthread_t helpers[MOST_HELPERS];
    int helper_count;

    unsigned char *to;
    const us_copied *pieces;
    int piece_count;
    atomic_size_t next; /* byte of all pieces that is handed out next */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wanted, ended;
    int working;   /* helpers at the task */
    unsigned task; /* its number; a helper does each once */
    bool open;     /* it may be begun */
    bool quit;
};

int us_copier_helpers(int processors) {
    const int helpers = processors - 2; /* beside the caller, which leaves one processor */
    return helpers < 0 ? 0 : helpers < MOST_HELPERS ? helpers : MOST_HELPERS;
}

static size_t count_bytes(const us_copied *pieces, int count) {
    return count ? pieces[count - 1].at + pieces[count - 1].size - pieces[0].at : 0;
}

/* The piece that byte `at` is of. */
static int find_piece(const us_copier *copier, size_t at) {
    int low = 0, high = copier->piece_count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (copier->pieces[middle].at <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Bytes `at` to `end`. */
static void copy_range(const us_copier *copier, size_t at, size_t end) {
    for (int p = find_piece(copier, at); at < end; p++) {
        const us_copied *piece = &copier->pieces[p];
        const size_t skipped = at - piece->at, left = piece->size - skipped;
        const size_t size = left < end - at ? left : end - at;
        memcpy(copier->to + at, (const unsigned char *)piece->from + skipped, size);
        at += size;
    }
}

static void copy_shares(us_copier *copier) {
    const size_t first = copier->pieces[0].at;
    const size_t end = first + count_bytes(copier->pieces, copier->piece_count);
    for (;;) {
        const size_t at = first + atomic_fetch_add(&copier->next, SHARE);
        if (at >= end) return;
        copy_range(copier, at, end - at < SHARE ? end : at + SHARE);
    }
}

static void *help(void *user) {
    us_copier *copier = user;
    unsigned done = 0;
    pthread_mutex_lock(&copier->lock);
    for (;;) {
        while (!copier->quit && (!copier->open || copier->task == done))
            pthread_cond_wait(&copier->wanted, &copier->lock);
        if (copier->quit) break;
        done = copier->task;
        copier->working++;
        pthread_mutex_unlock(&copier->lock);
        copy_shares(copier);
        pthread_mutex_lock(&copier->lock);
        if (--copier->working == 0) pthread_cond_signal(&copier->ended);
    }
    pthread_mutex_unlock(&copier->lock);
    return NULL;
}

us_copier *us_copier_create(int helpers) {
    us_copier *copier = calloc(1, sizeof *copier);
    if (!copier) return NULL;
    pthread_mutex_init(&copier->lock, NULL);
    pthread_cond_init(&copier->wanted, NULL);
    pthread_cond_init(&copier->ended, NULL);
    if (helpers > MOST_HELPERS) helpers = MOST_HELPERS;
    while (copier->helper_count < helpers &&
           us_thread_start(&copier->helpers[copier->helper_count], help, copier))
        copier->helper_count++;
    return copier;
}

void us_copier_destroy(us_copier *copier) {
    if (!copier) return;
    pthread_mutex_lock(&copier->lock);
    copier->quit = true;
    pthread_cond_broadcast(&copier->wanted);
    pthread_mutex_unlock(&copier->lock);
    for (int h = 0; h < copier->helper_count; h++)
        pthread_join(copier->helpers[h], NULL);
    pthread_cond_destroy(&copier->wanted);
    pthread_cond_destroy(&copier->ended);
    pthread_mutex_destroy(&copier->lock);
    free(copier);
}

void us_copier_run(us_copier *copier, void *to, const us_copied *pieces, int count) {
    if (!copier || copier->helper_count == 0 || count_bytes(pieces, count) <= SMALL) {
        for (int p = 0; p < count; p++)
            memcpy((unsigned char *)to + pieces[p].at, pieces[p].from, pieces[p].size);
        return;
    }
    pthread_mutex_lock(&copier->lock);
    copier->to = to;
    copier->pieces = pieces;
    copier->piece_count = count;
    atomic_store(&copier->next, 0);
    copier->task++;
    copier->open = true;
    pthread_cond_broadcast(&copier->wanted);
    pthread_mutex_unlock(&copier->lock);
    copy_shares(copier);
    pthread_mutex_lock(&copier->lock);
    copier->open = false;
    while (copier->working > 0)
        pthread_cond_wait(&copier->ended, &copier->lock);
    pthread_mutex_unlock(&copier->lock);
}
