/* SPDX-License-Identifier: MIT */
/* A group's inside, for group.c, shards.c and sum.c. */
#ifndef US_PARALLEL_GROUP_INTERNAL_H
#define US_PARALLEL_GROUP_INTERNAL_H

#include "parallel/group.h"
#include "parallel/mpi_calls.h"
#include "parallel/watch.h"

typedef struct us_team us_team;

struct us_group {
    int rank, ranks; /* of the members: processes, or shards */
    int local_rank, local_ranks;
    char library[160];
    const us_mpi_calls *mpi; /* NULL: all members are of this process */
    us_watch *watch;
    int process, processes;
    int *held;       /* [processes + 1] the first member of each process */
    int batch;       /* that is shared */
    int *firsts;     /* [ranks + 1] of the images of a whole one */
    double *weights; /* of the step under way */
    bool broken;     /* a call has failed: no other one can be made */
    us_team *team;   /* the shards of this process; NULL: the process is one member */
    int place;       /* among them: the first makes the calls of MPI */
};

/* What a member brings to a call. */
typedef struct us_brought {
    const void *own;
    void *all;
} us_brought;

/* A call of all members of this process, made for them by the first: brought[i] is of the i-th of
 * `count`. Its failure breaks the group. */
typedef unseen_status us_common_call(us_group *group, const us_brought *brought, int count,
                                     void *arguments, unseen_error *error);
unseen_status us_group_call(us_group *group, us_brought own, us_common_call *call, void *arguments,
                            unseen_error *error);

/* Sets the group's error. */
unseen_status us_group_fail(us_group *group, int code, const char *what, unseen_error *error);

/* Until a request of MPI is done, or another rank is lost. */
unseen_status us_group_wait(us_group *group, void **request, const char *what, unseen_error *error);

#endif
