/* SPDX-License-Identifier: MIT */
/* Training by the members of a group that this process is (ranks.h): the run's own trainer is the
 * first's; each other one, where batches are cut into shards, has a trainer and a thread of its own.
 * All have the same parameters at each step. */
#ifndef US_JOBS_SHARDS_H
#define US_JOBS_SHARDS_H

#include <pthread.h>

#include "jobs/ranks.h"
#include "training/trainer.h"

typedef struct us_shard {
    us_group *group;
    us_detector *detector;
    us_trainer *trainer;
    pthread_t thread;
    bool apart; /* it failed by itself, before anything else did */
    unseen_status status;
    unseen_error error;
} us_shard;

typedef struct us_shards {
    us_shard *others;
    int count, running;
    us_group *first;
} us_shards;

/* A detector and its trainer for a member of the group. options: all but the detector; checkpoint:
 * to go on from, or NULL. The caller destroys both, also if this fails. */
unseen_status us_shards_trainer(us_group *member, us_device *device,
                                const us_trainer_options *options, const char *checkpoint,
                                us_detector **detector, us_trainer **trainer, unseen_error *error);

/* Trainers for all members but the first, which tell nothing and write nothing. */
unseen_status us_shards_create(us_shards *shards, const us_ranks_members *members,
                               us_device *device, const us_trainer_options *options,
                               const char *checkpoint, unseen_error *error);
void us_shards_destroy(us_shards *shards);

/* Trains; what ends without a model is trained again, as often as the config allows. finish (NULL:
 * nothing) follows the training, before all agree on how it ended. *apart: this member has failed
 * by itself. */
unseen_status us_shards_train(us_trainer *trainer, us_group *member,
                              unseen_status (*finish)(void *user, unseen_error *error), void *user,
                              bool *apart, unseen_error *error);

/* The others train from here on; the first is to do so on this thread, and then to end them with
 * its own status. Gives that back, or what another one has failed with by itself (*apart then). */
unseen_status us_shards_begin(us_shards *shards, unseen_error *error);
unseen_status us_shards_end(us_shards *shards, unseen_status status, bool *apart,
                            unseen_error *error);

#endif
