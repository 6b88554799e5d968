/* SPDX-License-Identifier: MIT */
#include "base/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

enum { PLACES = 64 };

/* The handler reads this table while other threads change it: a place is free where its size is 0,
 * and its size is set last. */
static struct {
    atomic_uintptr_t start;
    atomic_size_t size; /* in whole pages */
    atomic_bool damaged;
} places[PLACES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of changes above */
static int guarded;
static uintptr_t page; /* bytes of one */
static struct sigaction previous;

/* Zeros in place of the page that holds an address. False: it is no lost page of a mapping. */
static bool replace_page(uintptr_t address) {
    for (int i = 0; i < PLACES; i++) {
        uintptr_t start = atomic_load(&places[i].start);
        size_t size = atomic_load(&places[i].size);
        if (!size || address < start || address - start >= size) continue;
        void *at = (void *)(address - address % page);
        if (mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
            return false;
        atomic_store(&places[i].damaged, true);
        return true;
    }
    return false;
}

/* A fault outside our mappings goes to the handler that was installed before, and only once where
 * it was installed with SA_RESETHAND: a handler that returns meets the same fault again. */
static void pass_on(int number, siginfo_t *info, void *context) {
    struct sigaction next = previous;
    if (next.sa_flags & SA_RESETHAND) previous = (struct sigaction){.sa_handler = SIG_DFL};
    if (next.sa_flags & SA_SIGINFO) {
        next.sa_sigaction(number, info, context);
    } else if (next.sa_handler != SIG_DFL && next.sa_handler != SIG_IGN) {
        next.sa_handler(number);
    } else {
        signal(number, SIG_DFL); /* the program ends as it would have without this handler */
        raise(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
    int saved = errno;
    /* si_code is positive where the processor raised it, and not another process */
    if (info->si_code <= 0 || !replace_page((uintptr_t)info->si_addr))
        pass_on(number, info, context);
    errno = saved;
}

static bool is_ours(const struct sigaction *action) {
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_bus_error;
}

static bool install(void) {
    struct sigaction action = {.sa_sigaction = on_bus_error,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &previous) == 0;
}

/* Puts the handler back on top. LLVM, within PoCL, installs one of its own when platforms are first
 * listed; it calls ours, but while it does, a second thread's fault would end the program. */
static void keep_installed(void) {
    struct sigaction current;
    if (sigaction(SIGBUS, NULL, &current) != 0 || is_ours(&current)) return;
    pthread_mutex_lock(&lock);
    if (guarded > 0) install();
    pthread_mutex_unlock(&lock);
}

static void guard(us_mapping *mapping) {
    pthread_mutex_lock(&lock);
    int place = 0;
    while (place < PLACES && atomic_load(&places[place].size))
        place++;
    mapping->place = -1;
    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (place < PLACES && (guarded > 0 || install())) {
        guarded++;
        mapping->place = place;
        atomic_store(&places[place].damaged, false);
        atomic_store(&places[place].start, (uintptr_t)mapping->bytes);
        atomic_store(&places[place].size, (mapping->size + page - 1) / page * page);
    }
    pthread_mutex_unlock(&lock);
}

static void unguard(const us_mapping *mapping) {
    if (mapping->place < 0) return;
    pthread_mutex_lock(&lock);
    atomic_store(&places[mapping->place].size, 0);
    struct sigaction current;
    if (--guarded == 0 && sigaction(SIGBUS, NULL, &current) == 0 && is_ours(&current))
        sigaction(SIGBUS, &previous, NULL); /* unless somebody has put another one over it */
    pthread_mutex_unlock(&lock);
}

unseen_status us_file_map(const char *path, us_mapping *mapping, unseen_error *error) {
    *mapping = (us_mapping){.place = -1};
    struct stat about;
    int descriptor;
    US_TRY(us_file_open_regular(path, &descriptor, &about, error));
    size_t size = (size_t)about.st_size;
    void *bytes = MAP_FAILED;
    unseen_status status = UNSEEN_OK;
    if (about.st_size == 0)
        status = us_fail(error, UNSEEN_BAD_INPUT, "%s: the file is empty", path);
    else if ((uintmax_t)about.st_size > SIZE_MAX)
        status = us_fail(error, UNSEEN_BAD_INPUT, "%s: larger than this machine can map", path);
    else if ((bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0)) == MAP_FAILED)
        status = us_fail_errno(error, path, "cannot map");
    if (status != UNSEEN_OK) {
        close(descriptor);
        return status;
    }
    *mapping = (us_mapping){
        .bytes = bytes, .size = size, .descriptor = descriptor, .modified = about.st_mtim};
    guard(mapping);
    return UNSEEN_OK;
}

void us_file_unmap(us_mapping *mapping) {
    if (mapping->bytes) {
        unguard(mapping);
        munmap((void *)mapping->bytes, mapping->size);
        close(mapping->descriptor);
    }
    *mapping = (us_mapping){.place = -1};
}

unseen_status us_mapping_check(const us_mapping *mapping, const char *path, unseen_error *error) {
    struct stat about;
    if (!mapping->bytes) return UNSEEN_OK;
    if (mapping->place >= 0) keep_installed();
    bool damaged = mapping->place >= 0 && atomic_load(&places[mapping->place].damaged);
    /* What is lost of the last page reads as zeros without a signal. */
    bool shorter = fstat(mapping->descriptor, &about) == 0 &&
                   (uintmax_t)about.st_size < (uintmax_t)mapping->size;
    if (shorter)
        return us_fail(error, UNSEEN_FAILURE,
                       "%s: was truncated while it was being read: %zu bytes were there, and %jd "
                       "are left; give it back its content and start again",
                       path, mapping->size, (intmax_t)about.st_size);
    if (damaged)
        return us_fail(error, UNSEEN_FAILURE,
                       "%s: parts of it could not be read: it was truncated for a while, or its "
                       "disk failed; start again once the file is whole",
                       path);
    return UNSEEN_OK;
}

bool us_mapping_changed(const us_mapping *mapping) {
    struct stat about;
    if (!mapping->bytes || fstat(mapping->descriptor, &about) != 0) return false;
    return (uintmax_t)about.st_size != (uintmax_t)mapping->size ||
           about.st_mtim.tv_sec != mapping->modified.tv_sec ||
           about.st_mtim.tv_nsec != mapping->modified.tv_nsec;
}
