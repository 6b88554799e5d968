/* SPDX-License-Identifier: MIT */
/* unseen-mpi.so: see mpi_calls.h. The one file that is compiled against an MPI. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parallel/mpi_calls.h"

/* A call under way, with what MPI reads until it is done. */
typedef struct request {
    MPI_Request handle;
    int counts[]; /* of a scatter: sent, from where, received, to where; each for all ranks */
} request;

static int ranks_started;

static int start(int *rank, int *ranks, int *local_rank, int *local_ranks, char *text,
                 size_t room) {
    int given, length = 0;
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    if (code) return code;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm local;
    code = MPI_Comm_rank(MPI_COMM_WORLD, rank);
    if (!code) code = MPI_Comm_size(MPI_COMM_WORLD, ranks);
    if (!code)
        code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
    if (code) return code;
    MPI_Comm_rank(local, local_rank);
    MPI_Comm_size(local, local_ranks);
    MPI_Comm_free(&local);
    ranks_started = *ranks;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = '\0'; /* the rest says how it was built */
    snprintf(text, room, "%s", version);
    return MPI_SUCCESS;
}

static int end(void) {
    return MPI_Finalize();
}

static void describe(int code, char *text, size_t room) {
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (MPI_Error_string(code, words, &length) != MPI_SUCCESS)
        snprintf(words, sizeof words, "error %d", code);
    snprintf(text, room, "%s", words);
}

static request *create(size_t counts) {
    return calloc(1, sizeof(request) + counts * sizeof(int));
}

/* Hands a request that was begun to the caller. */
static int begun(int code, request *made, void **out) {
    if (code) free(made);
    *out = code ? NULL : made;
    return code;
}

static int gather(const void *own, void *all, int bytes, void **out) {
    request *made = create(0);
    if (!made) return MPI_ERR_NO_MEM;
    int code =
        MPI_Iallgather(own, bytes, MPI_BYTE, all, bytes, MPI_BYTE, MPI_COMM_WORLD, &made->handle);
    return begun(code, made, out);
}

static int broadcast(void *bytes, int count, void **out) {
    request *made = create(0);
    if (!made) return MPI_ERR_NO_MEM;
    int code = MPI_Ibcast(bytes, count, MPI_BYTE, 0, MPI_COMM_WORLD, &made->handle);
    return begun(code, made, out);
}

static int scatter(const float *values, const int *counts, const int *firsts, float *all, int own,
                   void **out) {
    const int ranks = ranks_started;
    request *made = create(4 * (size_t)ranks);
    if (!made) return MPI_ERR_NO_MEM;
    int *sent = made->counts, *from = sent + ranks, *received = from + ranks,
        *to = received + ranks;
    for (int r = 0; r < ranks; r++) {
        sent[r] = counts[r];
        from[r] = firsts[r];
        received[r] = own;
        to[r] = r * own;
    }
    int code = MPI_Ialltoallv(values, sent, from, MPI_FLOAT, all, received, to, MPI_FLOAT,
                              MPI_COMM_WORLD, &made->handle);
    return begun(code, made, out);
}

static int collect(float *values, const int *counts, const int *firsts, void **out) {
    const int ranks = ranks_started;
    request *made = create(2 * (size_t)ranks);
    if (!made) return MPI_ERR_NO_MEM;
    memcpy(made->counts, counts, (size_t)ranks * sizeof(int));
    memcpy(made->counts + ranks, firsts, (size_t)ranks * sizeof(int));
    int code = MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, made->counts,
                               made->counts + ranks, MPI_FLOAT, MPI_COMM_WORLD, &made->handle);
    return begun(code, made, out);
}

static int test(void **under_way, int *done) {
    request *one = *under_way;
    int code = MPI_Test(&one->handle, done, MPI_STATUS_IGNORE);
    if (code || *done) {
        free(one);
        *under_way = NULL;
    }
    return code;
}

extern const us_mpi_calls us_mpi_calls_table;
__attribute__((visibility("default"))) const us_mpi_calls us_mpi_calls_table = {
    start, end, describe, gather, broadcast, scatter, collect, test};
