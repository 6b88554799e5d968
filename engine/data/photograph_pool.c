/* SPDX-License-Identifier: MIT */
#include "data/photograph_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "data/archive.h"

enum { FAULTS_NAMED = 3, THREADS_MOST = 256 };

static unseen_status read_file(const us_file_set *set, int64_t i, us_photograph_file *file,
                               unseen_error *error) {
    return us_photograph_read(us_file_set_path(set, i), file, error);
}

/* ---- what most are like ---- */

typedef struct votes {
    int count, colour, deep;
} votes;

static void vote(const us_photograph_file *file, votes *v) {
    us_photograph_header header;
    if (us_photograph_look(file, &header, NULL) != UNSEEN_OK) return; /* decoding says so */
    v->count++;
    v->colour += header.colour;
    v->deep += header.deep;
}

static unseen_status look_into_archive(const us_file_set *set, votes *v, unseen_error *error) {
    enum { LOOKED_AT = 64 };
    us_archive *archive;
    us_member member;
    bool found;
    US_TRY(us_archive_open(set->path, &archive, error));
    unseen_status status;
    do {
        US_CHECK(us_archive_next(archive, &member, &found, error));
        if (!found || !us_photograph_is_name(member.name, strlen(member.name))) continue;
        us_photograph_file file = {.path = strdup(member.name)};
        char *bytes = NULL;
        if (us_archive_read(archive, US_PHOTOGRAPH_LARGEST, &bytes, &file.size, NULL) == UNSEEN_OK)
            file.bytes = bytes;
        if (file.bytes && file.path) vote(&file, v);
        us_photograph_release(&file);
    } while (found && v->count < LOOKED_AT);
    status = UNSEEN_OK;
done:
    us_archive_close(archive);
    return status;
}

unseen_status us_photographs_look(const us_file_set *set, us_photograph_majority *majority,
                                  unseen_error *error) {
    enum { LOOKED_AT = 256 };
    votes v = {0};
    const int64_t looks = set->count < LOOKED_AT ? set->count : LOOKED_AT;
    if (set->kind == US_FILE_SET_ARCHIVE) US_TRY(look_into_archive(set, &v, error));
    for (int64_t k = 0; set->kind != US_FILE_SET_ARCHIVE && k < looks; k++) {
        us_photograph_file file;
        if (read_file(set, k * set->count / looks, &file, NULL) == UNSEEN_OK) vote(&file, &v);
        us_photograph_release(&file);
    }
    *majority = (us_photograph_majority){
        .looked_at = v.count, .colour = 2 * v.colour > v.count, .deep = 2 * v.deep > v.count};
    return UNSEEN_OK;
}

/* ---- the threads ---- */

typedef struct photograph_fault {
    int64_t index;
    unseen_error error;
} photograph_fault;

typedef struct pool {
    const us_file_set *set;
    us_photograph_taker take;
    void *user;
    atomic_int_fast64_t next, done;
    atomic_bool stop;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t ended;
    int running;
    us_archive *archive;
    photograph_fault faults[FAULTS_NAMED]; /* of the lowest indices, in their order */
    int64_t fault_count;
    unseen_error failure; /* that ends the whole; status UNSEEN_OK: none */
} pool;

static void add_fault(pool *p, int64_t index, const unseen_error *error) {
    pthread_mutex_lock(&p->lock);
    int at = p->fault_count < FAULTS_NAMED ? (int)p->fault_count : FAULTS_NAMED;
    p->fault_count++;
    while (at > 0 && p->faults[at - 1].index > index) {
        if (at < FAULTS_NAMED) p->faults[at] = p->faults[at - 1];
        at--;
    }
    if (at < FAULTS_NAMED) p->faults[at] = (photograph_fault){index, *error};
    pthread_mutex_unlock(&p->lock);
}

static void fail_all(pool *p, const unseen_error *error) {
    pthread_mutex_lock(&p->lock);
    if (p->failure.status == UNSEEN_OK) p->failure = *error;
    pthread_mutex_unlock(&p->lock);
    p->stop = true;
}

static int compare_name(const void *name, const void *file) {
    return strcmp(name, ((const us_set_file *)file)->name);
}

/* The next photograph of the archive, and which of the set it is; *index -1: there is none. */
static unseen_status next_of_archive(pool *p, int64_t *index, us_photograph_file *file,
                                     unseen_error *error) {
    us_member member;
    bool found;
    *index = -1;
    for (;;) {
        US_TRY(us_archive_next(p->archive, &member, &found, error));
        if (!found) return UNSEEN_OK;
        const us_set_file *known =
            bsearch(member.name, p->set->files, (size_t)p->set->count, sizeof *known, compare_name);
        if (!known || known->place != member.place) continue; /* a later file of the same name */
        char *bytes = NULL;
        if (!(file->path = strdup(member.name))) return us_fail_memory(error, "a path");
        US_TRY(us_archive_read(p->archive, US_PHOTOGRAPH_LARGEST, &bytes, &file->size, error));
        file->bytes = bytes;
        *index = known - p->set->files;
        return UNSEEN_OK;
    }
}

/* The next file to decode; false: none is left, or all has to end. Files that cannot be read are
 * faults, with *index set and no bytes. */
static bool next_file(pool *p, int64_t *index, us_photograph_file *file) {
    unseen_error error = {0};
    *file = (us_photograph_file){0};
    if (p->stop) return false;
    if (p->archive) {
        pthread_mutex_lock(&p->lock);
        unseen_status status = next_of_archive(p, index, file, &error);
        pthread_mutex_unlock(&p->lock);
        if (status != UNSEEN_OK) fail_all(p, &error);
        return status == UNSEEN_OK && *index >= 0;
    }
    *index = atomic_fetch_add(&p->next, 1);
    if (*index >= p->set->count) return false;
    if (read_file(p->set, *index, file, &error) != UNSEEN_OK) add_fault(p, *index, &error);
    return true;
}

static void *work(void *user) {
    pool *p = user;
    int64_t index;
    us_photograph_file file;
    while (next_file(p, &index, &file)) {
        unseen_error error = {0};
        const unseen_status status =
            file.bytes ? p->take(p->user, index, &file, &error) : UNSEEN_OK;
        if (status == UNSEEN_BAD_INPUT)
            add_fault(p, index, &error);
        else if (status != UNSEEN_OK)
            fail_all(p, &error);
        us_photograph_release(&file);
        atomic_fetch_add(&p->done, 1);
    }
    us_photograph_release(&file);
    us_photograph_end_thread();
    pthread_mutex_lock(&p->lock);
    p->running--;
    pthread_cond_signal(&p->ended);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int thread_count(const us_file_set *set) {
    int count = us_processor_count();
    if (count > THREADS_MOST) count = THREADS_MOST;
    return count > set->count ? (int)set->count : count;
}

static void tell_progress(pool *p, const unseen_events *events, double started) {
    const int64_t done = p->done, total = p->set->count;
    const double rate = (double)done / (us_clock() - started + 1e-9);
    const unseen_event event = {.kind = UNSEEN_EVENT_PROGRESS,
                                .text = "decoding",
                                .done = done,
                                .total = total,
                                .loss = NAN,
                                .held_out_loss = NAN,
                                .images_per_second = rate,
                                .seconds_left = done ? (double)(total - done) / rate : -1};
    if (us_event_send(events, &event)) p->stop = true;
}

static void start_threads(pool *p, pthread_t *threads, int count) {
    pthread_mutex_lock(&p->lock);
    while (p->running < count && us_thread_start(&threads[p->running], work, p))
        p->running++;
    pthread_mutex_unlock(&p->lock);
}

static void wait_for_threads(pool *p, const unseen_events *events) {
    enum { TENTH = 100000000, SECOND = 1000000000 };
    const double started = us_clock();
    pthread_mutex_lock(&p->lock);
    while (p->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TENTH;
        until.tv_sec += until.tv_nsec / SECOND;
        until.tv_nsec %= SECOND;
        if (pthread_cond_timedwait(&p->ended, &p->lock, &until) != ETIMEDOUT) continue;
        pthread_mutex_unlock(&p->lock);
        tell_progress(p, events, started);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

static unseen_status fail_faults(const pool *p, unseen_error *error) {
    char text[900] = "";
    size_t used = 0;
    const int named = p->fault_count < FAULTS_NAMED ? (int)p->fault_count : FAULTS_NAMED;
    for (int i = 0; i < named && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.260s", i ? "; " : "",
                                 p->faults[i].error.message);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: %lld of %lld photographs cannot be read: %s%s; repair or remove %s",
                   p->set->path, (long long)p->fault_count, (long long)p->set->count, text,
                   p->fault_count > named ? "; ..." : "", p->fault_count > 1 ? "them" : "it");
}

static unseen_status result(const pool *p, int started, unseen_error *error) {
    if (started == 0) return us_fail_memory(error, "threads");
    if (p->failure.status != UNSEEN_OK) {
        if (error) *error = p->failure;
        return p->failure.status;
    }
    if (p->stop) return us_fail(error, UNSEEN_INTERRUPTED, "interrupted while decoding");
    if (p->fault_count) return fail_faults(p, error);
    if (p->done < p->set->count)
        return us_fail(error, UNSEEN_FAILURE, "%s: it changed while it was being read",
                       p->set->path);
    return UNSEEN_OK;
}

unseen_status us_photographs_each(const us_file_set *set, us_photograph_taker take, void *user,
                                  const unseen_events *events, unseen_error *error) {
    pool p = {.set = set,
              .take = take,
              .user = user,
              .lock = PTHREAD_MUTEX_INITIALIZER,
              .ended = PTHREAD_COND_INITIALIZER};
    pthread_t threads[THREADS_MOST];
    if (set->kind == US_FILE_SET_ARCHIVE) US_TRY(us_archive_open(set->path, &p.archive, error));
    start_threads(&p, threads, thread_count(set));
    const int started = p.running;
    wait_for_threads(&p, events);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    us_archive_close(p.archive);
    return result(&p, started, error);
}

/* ---- decoding ---- */

typedef struct decoding {
    const us_photograph_form *form;
    const us_tiling *tiling; /* NULL: photographs are not cut */
    int descriptor;
    int64_t offset;
} decoding;

static unseen_status put(const decoding *d, int64_t place, const char *bytes, size_t size,
                         unseen_error *error) {
    for (size_t done = 0; done < size;) {
        const off_t at = (off_t)(d->offset + place * (int64_t)size + (int64_t)done);
        ssize_t wrote = pwrite(d->descriptor, bytes + done, size - done, at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0)
            return us_fail(error, UNSEEN_FAILURE, "cannot keep the fitted images: %s",
                           strerror(errno));
        done += (size_t)wrote;
    }
    return UNSEEN_OK;
}

static unseen_status decode(void *user, int64_t index, const us_photograph_file *file,
                            unseen_error *error) {
    const decoding *d = user;
    const size_t bytes = us_photograph_bytes(d->form);
    char *pixels = malloc(bytes);
    if (!pixels) return us_fail_memory(error, "a photograph");
    unseen_status status = us_photograph_decode(file, d->form, pixels, error);
    if (status == UNSEEN_OK) status = put(d, index, pixels, bytes, error);
    free(pixels);
    return status;
}

unseen_status us_photographs_decode(const us_file_set *set, const us_photograph_form *form,
                                    int descriptor, int64_t offset, const unseen_events *events,
                                    unseen_error *error) {
    decoding d = {.form = form, .descriptor = descriptor, .offset = offset};
    return us_photographs_each(set, decode, &d, events, error);
}

/* ---- windows ---- */

static unseen_status measure(void *user, int64_t index, const us_photograph_file *file,
                             unseen_error *error) {
    us_tiling *tiling = user;
    us_photograph_header header;
    US_TRY(us_photograph_look(file, &header, error));
    tiling->sizes[index][0] = header.height;
    tiling->sizes[index][1] = header.width;
    return UNSEEN_OK;
}

unseen_status us_photographs_measure(const us_file_set *set, us_tiling *tiling,
                                     const unseen_events *events, unseen_error *error) {
    US_TRY(us_photographs_each(set, measure, tiling, events, error));
    return us_tiling_finish(tiling, set->path, error);
}

static unseen_status cut(void *user, int64_t index, const us_photograph_file *file,
                         unseen_error *error) {
    const decoding *d = user;
    us_photograph_form whole = *d->form;
    whole.height = d->tiling->sizes[index][0];
    whole.width = d->tiling->sizes[index][1];
    const size_t pixel_bytes = (size_t)whole.channels * (size_t)whole.value_bytes;
    const size_t bytes = us_photograph_bytes(d->form);
    char *pixels = malloc(us_photograph_bytes(&whole)), *window = malloc(bytes);
    unseen_status status = pixels && window ? us_photograph_decode(file, &whole, pixels, error)
                                            : us_fail_memory(error, "a photograph");
    for (int64_t k = 0; status == UNSEEN_OK && k < us_tiling_windows(d->tiling, index); k++) {
        us_tiling_cut(d->tiling, index, k, pixels, pixel_bytes, window);
        status = put(d, d->tiling->first[index] + k, window, bytes, error);
    }
    free(pixels);
    free(window);
    return status;
}

unseen_status us_photographs_cut(const us_file_set *set, const us_photograph_form *form,
                                 const us_tiling *tiling, int descriptor, int64_t offset,
                                 const unseen_events *events, unseen_error *error) {
    decoding d = {.form = form, .tiling = tiling, .descriptor = descriptor, .offset = offset};
    return us_photographs_each(set, cut, &d, events, error);
}
