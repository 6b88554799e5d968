/* SPDX-License-Identifier: MIT */
/* What the module unseen-mpi.so gives: the few calls of MPI that are used, free of the types of any
 * one MPI. The program loads the module only where an MPI launcher has started it, so that no other
 * start pays for MPI's libraries, and so that the library does not depend on them. */
#ifndef US_PARALLEL_MPI_CALLS_H
#define US_PARALLEL_MPI_CALLS_H

#include <stddef.h>

typedef struct us_mpi_calls {
    /* All return 0, or MPI's error code. start: text receives MPI's name and version. */
    int (*start)(int *rank, int *ranks, int *local_rank, int *local_ranks, char *text, size_t room);
    int (*end)(void);
    void (*describe)(int code, char *text, size_t room);
    /* *request is one of the module's own, done when `test` says so, and then gone. Buffers stay
     * in use until then. Ranks begin their calls in the same order. */
    int (*gather)(const void *own, void *all, int bytes, void **request);
    int (*broadcast)(void *bytes, int count, void **request);
    /* Floats: `counts[r]` from `firsts[r]` on go to rank r; what comes from it lies at `own` r of
     * `all`. */
    int (*scatter)(const float *values, const int *counts, const int *firsts, float *all, int own,
                   void **request);
    /* Each rank's `counts[r]` floats at `firsts[r]` of values become the same everywhere. */
    int (*collect)(float *values, const int *counts, const int *firsts, void **request);
    int (*test)(void **request, int *done);
} us_mpi_calls;

/* The module's one symbol: a us_mpi_calls. */
#define US_MPI_SYMBOL "us_mpi_calls_table"

#endif
