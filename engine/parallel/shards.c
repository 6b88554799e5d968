/* SPDX-License-Identifier: MIT */
/* Members of a group that share a process, each on a thread of its own. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parallel/group_internal.h"

struct us_team {
    int count;
    pthread_mutex_t turn; /* held by the one that works, and of all below */
    pthread_cond_t arrival, done;
    us_brought *brought; /* to the call under way */
    int arrived;
    uint64_t calls; /* that were made */
    bool lost;
    char reason[sizeof(((unseen_error *)0)->message)];
};

static void lose(us_team *team, const char *reason) {
    if (team->lost) return;
    team->lost = true;
    snprintf(team->reason, sizeof team->reason, "%s", reason);
    pthread_cond_broadcast(&team->arrival);
    pthread_cond_broadcast(&team->done);
}

static unseen_status fail_lost(us_group *group, unseen_error *error) {
    group->broken = true;
    return us_fail(error, UNSEEN_FAILURE, "%s", group->team->reason);
}

static unseen_status lead(us_group *group, us_common_call *call, void *arguments,
                          unseen_error *error) {
    us_team *team = group->team;
    while (team->arrived < team->count && !team->lost)
        pthread_cond_wait(&team->arrival, &team->turn);
    if (team->lost) return fail_lost(group, error);
    const unseen_status status = call(group, team->brought, team->count, arguments, error);
    if (status != UNSEEN_OK) {
        group->broken = true;
        lose(team, error->message);
        return status;
    }
    team->arrived = 0;
    team->calls++;
    pthread_cond_broadcast(&team->done);
    return UNSEEN_OK;
}

static unseen_status follow(us_group *group, unseen_error *error) {
    us_team *team = group->team;
    const uint64_t before = team->calls;
    pthread_cond_signal(&team->arrival);
    while (team->calls == before && !team->lost)
        pthread_cond_wait(&team->done, &team->turn);
    return team->calls > before ? UNSEEN_OK : fail_lost(group, error);
}

unseen_status us_group_call(us_group *group, us_brought own, us_common_call *call, void *arguments,
                            unseen_error *error) {
    us_team *team = group->team;
    if (!team) return call(group, &own, 1, arguments, error);
    if (team->lost) return fail_lost(group, error);
    team->brought[group->place] = own;
    team->arrived++;
    return group->place == 0 ? lead(group, call, arguments, error) : follow(group, error);
}

static unseen_status nothing(us_group *group, const us_brought *brought, int count, void *arguments,
                             unseen_error *error) {
    (void)group;
    (void)brought;
    (void)count;
    (void)arguments;
    (void)error;
    return UNSEEN_OK;
}

unseen_status us_group_let_others(us_group *group, unseen_error *error) {
    return group->team ? us_group_call(group, (us_brought){0}, nothing, NULL, error) : UNSEEN_OK;
}

void us_group_begin_turn(us_group *group) {
    pthread_mutex_lock(&group->team->turn);
}

void us_group_end_turn(us_group *group) {
    pthread_mutex_unlock(&group->team->turn);
}

bool us_group_abandon(us_group *group, const char *message) {
    const bool first = !group->team->lost;
    lose(group->team, message);
    return first;
}

/* ---- making them ---- */

static us_team *create_team(int count) {
    us_team *team = calloc(1, sizeof *team);
    us_brought *brought = calloc((size_t)count, sizeof *brought);
    if (!team || !brought) {
        free(team);
        free(brought);
        return NULL;
    }
    team->count = count;
    team->brought = brought;
    pthread_mutex_init(&team->turn, NULL);
    pthread_cond_init(&team->arrival, NULL);
    pthread_cond_init(&team->done, NULL);
    return team;
}

static void destroy_team(us_team *team) {
    if (!team) return;
    pthread_mutex_destroy(&team->turn);
    pthread_cond_destroy(&team->arrival);
    pthread_cond_destroy(&team->done);
    free(team->brought);
    free(team);
}

/* The shard `place` of this process. */
static us_group *create_shard(const us_group *processes, us_team *team, const int *held,
                              int place) {
    us_group *shard = calloc(1, sizeof *shard);
    if (!shard) return NULL;
    if (processes) *shard = *processes;
    const int count = processes ? processes->processes : 1;
    shard->processes = count;
    shard->team = team;
    shard->place = place;
    shard->firsts = NULL;
    shard->weights = NULL;
    shard->held = calloc((size_t)count + 1, sizeof *shard->held);
    for (int p = 0; shard->held && p < count; p++)
        shard->held[p + 1] = shard->held[p] + held[p];
    if (!shard->held) {
        free(shard);
        return NULL;
    }
    shard->ranks = shard->held[count];
    shard->rank = shard->held[shard->process] + place;
    return shard;
}

static void destroy_shard(us_group *shard) {
    if (!shard) return;
    free(shard->firsts);
    free(shard->weights);
    free(shard->held);
    free(shard);
}

unseen_status us_group_split(us_group *processes, const int *held, int batch, us_group **shards,
                             unseen_error *error) {
    const int own = held[us_group_rank(processes)];
    us_team *team = create_team(own);
    bool complete = team != NULL;
    for (int i = 0; complete && i < own; i++) {
        shards[i] = create_shard(processes, team, held, i);
        complete = shards[i] != NULL;
        if (!complete && i == 0) destroy_team(team);
    }
    if (!complete) return us_fail_memory(error, "shards of a batch");
    const int count = shards[0]->ranks;
    double *equal = calloc((size_t)count, sizeof *equal);
    int *images = calloc((size_t)count, sizeof *images);
    unseen_status status = equal && images ? UNSEEN_OK : us_fail_memory(error, "shards of a batch");
    for (int s = 0; status == UNSEEN_OK && s < count; s++)
        equal[s] = 1;
    if (status == UNSEEN_OK) us_group_proportions(batch, count, equal, images);
    for (int i = 0; status == UNSEEN_OK && i < own; i++)
        status = us_group_share(shards[i], batch, images, error);
    free(equal);
    free(images);
    return status;
}

void us_group_join(us_group *processes, us_group **shards, int count) {
    us_team *team = count && shards[0] ? shards[0]->team : NULL;
    for (int i = 0; i < count && shards[i]; i++) {
        if (processes && shards[i]->broken) processes->broken = true;
        destroy_shard(shards[i]);
    }
    destroy_team(team);
}
