/* SPDX-License-Identifier: MIT */
/* A run by several ranks (parallel/group.h): what they agree on before they train. Without a group
 * everything here is as for a single process. */
#ifndef US_JOBS_RANKS_H
#define US_JOBS_RANKS_H

#include "training/dataset.h"

/* Of devices by commas the one that this rank takes, to be freed; NULL: the best one. */
unseen_status us_ranks_device(const us_group *group, const char *devices, char **device,
                              unseen_error *error);

/* The events of a rank: those but the first tell nothing, and ask whether to stop. `quiet` outlives
 * them. */
unseen_events us_ranks_events(const us_group *group, const unseen_events *events);

/* That all ranks have begun with the same config and images, as their origin tells (origin.h). */
unseen_status us_ranks_compare(us_group *group, const unseen_config *config, const char *origin,
                               unseen_error *error);

/* Rank 0's file becomes one of every rank: *path, to be freed, a path that only this process can
 * open; *file is to be closed once it is no more needed. path is NULL on rank 0 where there is no
 * such file, and then on all. */
unseen_status us_ranks_file(us_group *group, char **path, int *file, unseen_error *error);

typedef struct us_ranks_shares {
    const char *given;      /* --shares; or NULL */
    const char *checkpoint; /* that the run goes on from; or NULL */
    const unseen_config *config;
    us_device *device;
    us_dataset *dataset;
    int batch;
    const unseen_events *events;
} us_ranks_shares;

/* Those of the group that trains which this process is: itself; or, where the config cuts batches
 * into shards, the shards that it holds. */
typedef struct us_ranks_members {
    us_group **all; /* all[0] is NULL for a single process without shards */
    int count;
    bool are_shards;
    bool are_shared; /* batches, among several processes: not where there is nothing to train */
} us_ranks_members;

/* Divides batches among the ranks, and tells how. members: zeroed; to be released also if this
 * fails, before the group is closed. */
unseen_status us_ranks_divide(us_group *group, const us_ranks_shares *request,
                              us_ranks_members *members, unseen_error *error);
void us_ranks_release(us_group *group, us_ranks_members *members);

/* Adds what the results tell of the ranks; false: no memory. */
bool us_ranks_describe(const us_group *group, const us_ranks_members *members, cJSON *results);

#endif
