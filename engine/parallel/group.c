/* SPDX-License-Identifier: MIT */
#include "parallel/group.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "parallel/group_internal.h"

/* Of one call: MPI counts in int. */
enum { LARGEST = 1 << 30, MESSAGE = sizeof(((unseen_error *)0)->message) };

int us_group_rank(const us_group *group) {
    return group ? group->rank : 0;
}

int us_group_size(const us_group *group) {
    return group ? group->ranks : 1;
}

int us_group_local_rank(const us_group *group) {
    return group ? group->local_rank : 0;
}

const char *us_group_library(const us_group *group) {
    return group->library;
}

bool us_group_broken(const us_group *group) {
    return group && group->broken;
}

const char *us_group_loss(const us_group *group) {
    return group->watch ? us_watch_loss(group->watch) : NULL;
}

/* ---- waiting ---- */

unseen_status us_group_fail(us_group *group, int code, const char *what, unseen_error *error) {
    char text[256];
    group->broken = true;
    group->mpi->describe(code, text, sizeof text);
    return us_fail(error, UNSEEN_FAILURE, "MPI: %s: %s", what, text);
}

/* Other ranks may need the processor that this one waits on. */
static void pause_after(double waited) {
    const long nanoseconds = waited < 1e-3 ? 10000 : waited < 1 ? 100000 : 2000000;
    if (waited < 2e-5)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
}

unseen_status us_group_wait(us_group *group, void **request, const char *what,
                            unseen_error *error) {
    const double since = us_clock();
    for (;;) {
        int done = 0, code = group->mpi->test(request, &done);
        if (code) return us_group_fail(group, code, what, error);
        if (done) return UNSEEN_OK;
        const char *loss = us_watch_loss(group->watch);
        if (loss) {
            group->broken = true;
            return us_fail(error, UNSEEN_FAILURE, "%s", loss);
        }
        pause_after(us_clock() - since);
    }
}

/* ---- calls ---- */

/* Where processes hold several members: each sends as many pieces as the one that holds most. */
static unseen_status gather_pieces(us_group *group, const us_brought *brought, int members,
                                   size_t bytes, unseen_error *error) {
    int most = 1;
    for (int p = 0; p < group->processes; p++)
        if (group->held[p + 1] - group->held[p] > most) most = group->held[p + 1] - group->held[p];
    const size_t piece = (size_t)most * bytes;
    if (piece > (size_t)LARGEST / (size_t)group->processes)
        return us_fail(error, UNSEEN_FAILURE, "%zu bytes are too many to gather", piece);
    char *own = calloc((size_t)group->processes + 1, piece + 1), *all = own + piece;
    if (!own) return us_fail_memory(error, "what ranks tell each other");
    for (int i = 0; i < members; i++)
        memcpy(own + (size_t)i * bytes, brought[i].own, bytes);
    void *request;
    const int code = group->mpi->gather(own, all, (int)piece, &request);
    unseen_status status = code ? us_group_fail(group, code, "gathering", error)
                                : us_group_wait(group, &request, "gathering", error);
    for (int p = 0; p < group->processes && status == UNSEEN_OK; p++)
        memcpy((char *)brought[0].all + (size_t)group->held[p] * bytes, all + (size_t)p * piece,
               (size_t)(group->held[p + 1] - group->held[p]) * bytes);
    /* MPI may still read and write it, where another rank was lost. */
    if (status == UNSEEN_OK) free(own);
    return status;
}

static unseen_status gather(us_group *group, const us_brought *brought, int members,
                            void *arguments, unseen_error *error) {
    const size_t bytes = *(const size_t *)arguments;
    if (group->mpi)
        US_TRY(gather_pieces(group, brought, members, bytes, error));
    else
        for (int i = 0; i < members; i++)
            memcpy((char *)brought[0].all + (size_t)i * bytes, brought[i].own, bytes);
    for (int i = 1; i < members; i++)
        memcpy(brought[i].all, brought[0].all, (size_t)group->ranks * bytes);
    return UNSEEN_OK;
}

unseen_status us_group_gather(us_group *group, const void *own, void *all, size_t bytes,
                              unseen_error *error) {
    return us_group_call(group, (us_brought){own, all}, gather, &bytes, error);
}

static unseen_status broadcast(us_group *group, const us_brought *brought, int members,
                               void *arguments, unseen_error *error) {
    const size_t size = *(const size_t *)arguments;
    char *bytes = brought[0].all;
    for (size_t done = 0; group->mpi && done < size; done += LARGEST) {
        const size_t count = size - done < LARGEST ? size - done : LARGEST;
        void *request;
        int code = group->mpi->broadcast(bytes + done, (int)count, &request);
        if (code) return us_group_fail(group, code, "broadcasting", error);
        US_TRY(us_group_wait(group, &request, "broadcasting", error));
    }
    for (int i = 1; i < members; i++)
        memcpy(brought[i].all, bytes, size);
    return UNSEEN_OK;
}

unseen_status us_group_broadcast(us_group *group, void *bytes, size_t size, unseen_error *error) {
    return us_group_call(group, (us_brought){.all = bytes}, broadcast, &size, error);
}

/* How a rank fares. */
typedef struct fate {
    int32_t status;
    char message[MESSAGE];
} fate;

unseen_status us_group_agree(us_group *group, unseen_status status, unseen_error *error) {
    if (!group) return status;
    if (group->broken) return status == UNSEEN_OK ? UNSEEN_FAILURE : status;
    fate own = {.status = (int32_t)status}, *all = calloc((size_t)group->ranks, sizeof *all);
    unseen_error ignored;
    if (!all) return us_fail_memory(error, "messages");
    if (status != UNSEEN_OK) memcpy(own.message, error->message, sizeof own.message);
    unseen_status gathered =
        us_group_gather(group, &own, all, sizeof own, status == UNSEEN_OK ? error : &ignored);
    if (gathered != UNSEEN_OK) {
        free(all);
        return status == UNSEEN_OK ? gathered : status;
    }
    int first = 0;
    while (first < group->ranks && all[first].status == UNSEEN_OK)
        first++;
    if (first < group->ranks) {
        status = (unseen_status)all[first].status;
        all[first].message[MESSAGE - 1] = '\0';
        if (group->rank > 0)
            *error = (unseen_error){.status = status};
        else if (first > 0)
            us_fail(error, status, "rank %d: %.1900s", first, all[first].message);
    }
    free(all);
    return status;
}

/* ---- shares ---- */

unseen_status us_group_share(us_group *group, int batch, const int *counts, unseen_error *error) {
    free(group->firsts);
    group->firsts = calloc((size_t)group->ranks + 1, sizeof *group->firsts);
    if (!group->weights) group->weights = calloc((size_t)group->ranks, sizeof *group->weights);
    if (!group->firsts || !group->weights) return us_fail_memory(error, "shares");
    group->batch = batch;
    for (int r = 0; r < group->ranks; r++)
        group->firsts[r + 1] = group->firsts[r] + counts[r];
    return UNSEEN_OK;
}

void us_group_proportions(int batch, int ranks, const double *speeds, int *counts) {
    double sum = 0, until = 0;
    int given = 0;
    for (int r = 0; r < ranks; r++)
        sum += speeds[r];
    for (int r = 0; r < ranks; r++) {
        until += speeds[r] / sum;
        const int left = batch - given, after = ranks - 1 - r;
        int count = r == ranks - 1 ? left : (int)(until * batch + 0.5) - given;
        if (count > left - after) count = left - after;
        if (count < 1) count = left > 0 ? 1 : 0;
        counts[r] = count;
        given += count;
    }
}

int us_group_take(us_group *group, int n, int64_t *first) {
    int begin = 0, count = 0;
    for (int r = 0; r < group->ranks; r++) {
        const int from = (int)((int64_t)n * group->firsts[r] / group->batch);
        const int to = (int)((int64_t)n * group->firsts[r + 1] / group->batch);
        group->weights[r] = (double)(to - from) / n;
        if (r != group->rank) continue;
        begin = from;
        count = to - from;
    }
    *first = begin;
    return count;
}

int us_group_count(const us_group *group, int rank) {
    return group->firsts[rank + 1] - group->firsts[rank];
}

int us_group_processes(const us_group *group) {
    return group->processes;
}

int us_group_process_count(const us_group *group, int process) {
    return group->firsts[group->held[process + 1]] - group->firsts[group->held[process]];
}

double us_group_weight(const us_group *group, int rank) {
    return group ? group->weights[rank] : 1;
}

/* ---- joining and leaving ---- */

static int number_of(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* How many processes a launcher has started together with this one; 1: none has. */
static int launched(void) {
    int ranks = number_of("OMPI_COMM_WORLD_SIZE"); /* Open MPI's mpirun */
    if (!ranks) ranks = number_of("PMI_SIZE");     /* MPICH's, Intel's, srun */
    if (!ranks && getenv("PMIX_RANK")) ranks = number_of("SLURM_STEP_NUM_TASKS"); /* srun */
    return ranks > 1 ? ranks : 1;
}

static unseen_status load(us_group *group, unseen_error *error) {
#if UNSEEN_MPI
    void *module = dlopen("unseen-mpi.so", RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return us_fail(error, UNSEEN_FAILURE,
                       "this process was started by an MPI launcher, but MPI cannot be loaded: %s",
                       dlerror());
    group->mpi = dlsym(module, US_MPI_SYMBOL);
    if (group->mpi) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE, "unseen-mpi.so is not of this program: %s", dlerror());
#else
    (void)group;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "an MPI launcher has started %d processes, and this program was built without "
                   "MPI: build it with MPI's development files (-Dmpi=enabled) to train one model "
                   "on all of them",
                   launched());
#endif
}

static unseen_status begin_watch(us_group *group, unseen_error *error) {
    us_watch_place place = {0};
    unseen_status status = UNSEEN_OK;
    if (group->rank == 0) status = us_watch_listen(group->ranks, &place, &group->watch, error);
    /* The first call of MPI is waited for without a watch. */
    void *request;
    int code = group->mpi->broadcast(&place, (int)sizeof place, &request), done = 0;
    while (!code && !done) {
        code = group->mpi->test(&request, &done);
        if (!done) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    if (code) return us_group_fail(group, code, "broadcasting", error);
    US_TRY(status);
    if (group->rank > 0) US_TRY(us_watch_connect(group->rank, &place, &group->watch, error));
    return us_watch_start(group->watch, error);
}

/* Each process is one. */
static unseen_status list_members(us_group *group, unseen_error *error) {
    group->process = group->rank;
    group->processes = group->ranks;
    group->held = calloc((size_t)group->ranks + 1, sizeof *group->held);
    if (!group->held) return us_fail_memory(error, "a group of ranks");
    for (int r = 0; r < group->ranks; r++)
        group->held[r + 1] = r + 1;
    return UNSEEN_OK;
}

unseen_status us_group_open(us_group **out, unseen_error *error) {
    *out = NULL;
    if (launched() == 1) return UNSEEN_OK;
    us_group *group = calloc(1, sizeof *group);
    if (!group) return us_fail_memory(error, "a group of ranks");
    unseen_status status = load(group, error);
    if (status != UNSEEN_OK) {
        free(group);
        return status;
    }
    group->ranks = 1;
    int code = group->mpi->start(&group->rank, &group->ranks, &group->local_rank,
                                 &group->local_ranks, group->library, sizeof group->library);
    if (code) status = us_group_fail(group, code, "starting", error);
    if (status == UNSEEN_OK) status = list_members(group, error);
    if (status == UNSEEN_OK) status = begin_watch(group, error);
    if (status != UNSEEN_OK) {
        us_group_close(group, false, error->message);
        return status;
    }
    *out = group;
    return UNSEEN_OK;
}

void us_group_close(us_group *group, bool agreed, const char *message) {
    if (!group) return;
    const bool well = agreed && !group->broken;
    us_watch_close(group->watch, group->rank, well ? NULL : message);
    /* Without the others its end would be waited for for ever. */
    if (well) group->mpi->end();
    free(group->held);
    free(group->firsts);
    free(group->weights);
    free(group);
}

/* ---- cores ---- */

typedef struct place {
    char machine[64];
    cpu_set_t cores;
} place;

/* The share number `mine` of `sharing` of a set of cores: those of a run of them. */
static cpu_set_t share_of(const cpu_set_t *cores, int mine, int sharing) {
    cpu_set_t own;
    const int count = CPU_COUNT(cores);
    int from = count * mine / sharing, to = count * (mine + 1) / sharing;
    if (to == from) to = from + 1;
    CPU_ZERO(&own);
    for (int core = 0, number = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, cores)) {
            if (number >= from && number < to) CPU_SET(core, &own);
            number++;
        }
    return own;
}

unseen_status us_group_divide_cores(us_group *group, unseen_error *error) {
    place own = {0}, *all = calloc((size_t)group->ranks, sizeof *all);
    if (!all) return us_fail_memory(error, "the cores of ranks");
    gethostname(own.machine, sizeof own.machine - 1);
    const bool known = sched_getaffinity(0, sizeof own.cores, &own.cores) == 0;
    unseen_status status = us_group_gather(group, &own, all, sizeof own, error);
    int sharing = 0, mine = 0;
    for (int r = 0; status == UNSEEN_OK && r < group->ranks; r++) {
        if (strcmp(all[r].machine, own.machine) != 0 || !CPU_EQUAL(&all[r].cores, &own.cores))
            continue;
        if (r < group->rank) mine++;
        sharing++;
    }
    free(all);
    if (status != UNSEEN_OK || !known || sharing < 2) return status;
    const cpu_set_t share = share_of(&own.cores, mine, sharing);
    sched_setaffinity(0, sizeof share, &share); /* a wish: without it ranks share all of them */
    return UNSEEN_OK;
}
