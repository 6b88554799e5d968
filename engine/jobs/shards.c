/* SPDX-License-Identifier: MIT */
#include "jobs/shards.h"

#include <stdlib.h>

#include "base/thread.h"

unseen_status us_shards_trainer(us_group *member, us_device *device,
                                const us_trainer_options *options, const char *checkpoint,
                                us_detector **detector, us_trainer **trainer, unseen_error *error) {
    us_trainer_options own = *options;
    const bool trained = options->config->detector.type->train != NULL;
    const int images =
        member && trained ? us_group_count(member, us_group_rank(member)) : options->batch;
    US_TRY(us_detector_create(device, &options->config->detector, images, true, member, detector,
                              error));
    own.detector = *detector;
    US_TRY(us_trainer_create(&own, trainer, error));
    return checkpoint ? us_trainer_load(*trainer, checkpoint, error) : UNSEEN_OK;
}

unseen_status us_shards_create(us_shards *shards, const us_ranks_members *members,
                               us_device *device, const us_trainer_options *options,
                               const char *checkpoint, unseen_error *error) {
    us_trainer_options silent = *options;
    silent.folder = silent.trace = NULL;
    silent.events = NULL;
    shards->first = members->all[0];
    shards->others = calloc((size_t)members->count, sizeof *shards->others);
    if (!shards->others) return us_fail_memory(error, "shards of a batch");
    for (int i = 1; i < members->count; i++) {
        us_shard *shard = &shards->others[shards->count++];
        shard->group = members->all[i];
        US_TRY(us_shards_trainer(shard->group, device, &silent, checkpoint, &shard->detector,
                                 &shard->trainer, error));
    }
    return UNSEEN_OK;
}

void us_shards_destroy(us_shards *shards) {
    for (int i = 0; i < shards->count; i++) {
        us_trainer_destroy(shards->others[i].trainer);
        us_detector_destroy(shards->others[i].detector);
    }
    free(shards->others);
    *shards = (us_shards){0};
}

/* Whether all ranks end training by this together: losses, and whether to stop, are known to all.
 */
static bool is_common(unseen_status status) {
    return status == UNSEEN_OK || status == UNSEEN_DIVERGED || status == UNSEEN_INTERRUPTED;
}

unseen_status us_shards_train(us_trainer *trainer, us_group *member,
                              unseen_status (*finish)(void *user, unseen_error *error), void *user,
                              bool *apart, unseen_error *error) {
    for (;;) {
        unseen_status status = us_trainer_run(trainer, error);
        *apart = !is_common(status);
        if (us_group_broken(member)) return status;
        if (status == UNSEEN_OK) {
            if (finish) status = finish(user, error);
            status = us_group_agree(member, status, error);
        }
        if (status != UNSEEN_DIVERGED) return status;
        US_TRY(us_trainer_restart(trainer, error));
    }
}

static void *run_shard(void *pointer) {
    us_shard *shard = pointer;
    bool apart;
    us_group_begin_turn(shard->group);
    shard->status =
        us_shards_train(shard->trainer, shard->group, NULL, NULL, &apart, &shard->error);
    if (apart) shard->apart = us_group_abandon(shard->group, shard->error.message);
    us_group_end_turn(shard->group);
    return NULL;
}

unseen_status us_shards_begin(us_shards *shards, unseen_error *error) {
    if (shards->count == 0) return UNSEEN_OK;
    us_group_begin_turn(shards->first);
    for (int i = 0; i < shards->count; i++, shards->running++) {
        us_shard *shard = &shards->others[i];
        if (!us_thread_start(&shard->thread, run_shard, shard))
            return us_fail(error, UNSEEN_FAILURE, "no thread can be started for a shard");
    }
    return UNSEEN_OK;
}

unseen_status us_shards_end(us_shards *shards, unseen_status status, bool *apart,
                            unseen_error *error) {
    if (shards->count == 0) return status;
    if (status != UNSEEN_OK) us_group_abandon(shards->first, error->message);
    us_group_end_turn(shards->first);
    for (int i = 0; i < shards->running; i++) {
        us_shard *shard = &shards->others[i];
        pthread_join(shard->thread, NULL);
        if (!shard->apart) continue;
        *apart = true;
        *error = shard->error;
        status = shard->status;
    }
    return status;
}
