/* SPDX-License-Identifier: MIT */
/* The processes ("ranks") that train one model together, each on a device of its own, and what they
 * tell each other. Ranks call everything here in the same order.
 *
 * Batches may be cut into shards, whose number does not depend on that of the processes: then the
 * shards are the ranks of a group of their own (us_group_split), of which a process holds several.
 *
 * Sums are the same bits on every rank and at each repetition: they are added up in the order of a
 * binary tree over the ranks (sum.c), whichever process does it. No call waits for ever: a rank that
 * ends, or whose machine falls silent, is noticed (watch.h), and the others' calls return
 * UNSEEN_FAILURE with a message that names it. */
#ifndef US_PARALLEL_GROUP_H
#define US_PARALLEL_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct us_group us_group;

/* Joins the group that an MPI launcher (mpirun, srun) has started this process in. *group is NULL
 * where none has, or it is the only one. UNSEEN_FAILURE where there is a launcher and the program
 * was built without MPI, or it does not start. */
unseen_status us_group_open(us_group **group, unseen_error *error);

/* agreed: all ranks come here, with the same status; otherwise the others learn of `message`, why
 * this one ends. NULL is fine. */
void us_group_close(us_group *group, bool agreed, const char *message);

/* Gives this process, and the threads that it starts from now on, its share of the cores that
 * several ranks of a machine were given in common: as equal as possible, none less than one. To be
 * called before a device is opened. */
unseen_status us_group_divide_cores(us_group *group, unseen_error *error);

/* NULL is a group of one: rank 0 of 1. */
int us_group_rank(const us_group *group);
int us_group_size(const us_group *group);
int us_group_local_rank(const us_group *group);      /* among those of the same machine */
const char *us_group_library(const us_group *group); /* "Open MPI v4.1.4" */

/* ---- shares ---- */

/* Divides batches of `batch` images: counts[r] of a whole one go to rank r. */
unseen_status us_group_share(us_group *group, int batch, const int *counts, unseen_error *error);

/* counts[r] for `batch` images in proportion to `speeds`, at least 1 each where there are as many.
 */
void us_group_proportions(int batch, int ranks, const double *speeds, int *counts);

/* The images of this rank in a step of n: those from *first on. Sets the weights of the step, each
 * rank's share of its images. */
int us_group_take(us_group *group, int n, int64_t *first);

/* Of a rank in a whole batch; of a process, which may hold several ranks. */
int us_group_count(const us_group *group, int rank);
int us_group_processes(const us_group *group);
int us_group_process_count(const us_group *group, int process);

/* Of a rank in the step under way; with a group of one, 1. */
double us_group_weight(const us_group *group, int rank);

/* ---- shards ---- */

/* Cuts batches of `batch` images into shards as equal as possible, of which process p holds held[p]
 * (1 at least): the first ones process 0, and so on. shards: room for those of this process, set to
 * NULL; to be given to us_group_join also if this fails. `processes` (NULL: there is this one alone)
 * outlives them, and is not called while they are in use.
 *
 * Each shard is a rank, on a thread of its own, but only one works at a time: a thread takes its
 * turn, and others take theirs while it waits in a call. The first shard's thread is to be the one
 * that opened `processes`, as MPI demands. */
unseen_status us_group_split(us_group *processes, const int *held, int batch, us_group **shards,
                             unseen_error *error);
void us_group_join(us_group *processes, us_group **shards, int count);

void us_group_begin_turn(us_group *shard); /* waits for it */
void us_group_end_turn(us_group *shard);

/* Once the others of this process have come here, too: called before waiting for the device, so that
 * it has their work to do as well. Without shards nothing happens. */
unseen_status us_group_let_others(us_group *group, unseen_error *error);

/* The shard ends, so that the calls of the others in this process fail with this message. false:
 * something else has ended them before. */
bool us_group_abandon(us_group *shard, const char *message);

/* ---- calls ---- */

/* Each rank's `bytes` bytes, in the order of the ranks: all holds bytes for each. */
unseen_status us_group_gather(us_group *group, const void *own, void *all, size_t bytes,
                              unseen_error *error);

/* From rank 0. */
unseen_status us_group_broadcast(us_group *group, void *bytes, size_t size, unseen_error *error);

/* Whether a call has failed, so that no other one can be made: another rank is gone, as a rule. */
bool us_group_broken(const us_group *group);

/* What has happened to another rank; NULL: nothing that is known. */
const char *us_group_loss(const us_group *group);

/* All ranks go on with the first status, by rank, that is not UNSEEN_OK. Rank 0 gets its message,
 * which names the rank; those of others become empty, so that it is said once. */
unseen_status us_group_agree(us_group *group, unseen_status status, unseen_error *error);

/* A sum of floats over all ranks, each rank's weighted by its share of the step: begun here, and
 * done when us_group_sum_end returns. Values, which are not to be touched meanwhile, become the sum.
 * Several may be under way; they are ended in the order in which they were begun. */
typedef struct us_group_sum {
    float *values;
    size_t count;
    int nodes; /* of the tree, that each process sends */
    float *sent, *received, *total;
    int *counts, *firsts; /* the slices that processes add up, and those of all nodes */
    void *request;
} us_group_sum;
unseen_status us_group_sum_begin(us_group *group, us_group_sum *sum, float *values, size_t count,
                                 unseen_error *error);
unseen_status us_group_sum_end(us_group *group, us_group_sum *sum, unseen_error *error);
void us_group_sum_release(us_group_sum *sum);

#endif
