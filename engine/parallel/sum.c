/* SPDX-License-Identifier: MIT */
/* Sums over the members of a group. They are added up as a binary tree has it whose leaves are the
 * members: 0 and 1, 2 and 3, then these two, and so on. The order depends on nothing but how many
 * there are, so that a process adds up those of its own that are whole subtrees before it sends
 * them. */
#include <stdlib.h>
#include <string.h>

#include "parallel/group_internal.h"

enum {
    LARGEST = 1 << 30, /* of one call: MPI counts in int */
    DEEPEST = 64,      /* subtrees that do not make up a larger one yet */
};

/* A subtree: of members first .. first + size - 1, of which at least one has images if it is live.
 * What others computed has no say, not even a NaN. */
typedef struct node {
    int first, size;
    bool live;
    float *values; /* NULL: only the tree's shape is wanted */
} node;

typedef struct tree {
    node nodes[DEEPEST];
    int depth;
} tree;

/* The last node goes into the one before it. */
static void merge(tree *t, size_t count) {
    node *left = &t->nodes[t->depth - 2];
    const node *right = left + 1;
    if (!left->live)
        left->values = right->values;
    else if (right->live && left->values)
        for (size_t i = 0; i < count; i++)
            left->values[i] += right->values[i];
    left->live = left->live || right->live;
    left->size += right->size;
    t->depth--;
}

static bool is_pair(const node *left, const node *right) {
    return left->size == right->size && left->first % (2 * left->size) == 0;
}

/* Nodes are put in the order of their members. */
static void put(tree *t, node next, size_t count) {
    t->nodes[t->depth++] = next;
    while (t->depth > 1 && is_pair(&t->nodes[t->depth - 2], &t->nodes[t->depth - 1]))
        merge(t, count);
}

/* All of them: the sum. */
static float *finish(tree *t, size_t count) {
    while (t->depth > 1)
        merge(t, count);
    return t->nodes[0].values;
}

static node leaf(const us_group *group, int member, float *values) {
    return (node){member, 1, group->weights[member] > 0, values};
}

/* The shape of what a process sends. */
static tree sent_by(const us_group *group, int process) {
    tree sent = {.depth = 0};
    for (int m = group->held[process]; m < group->held[process + 1]; m++)
        put(&sent, leaf(group, m, NULL), 0);
    return sent;
}

/* Each process sends as many nodes as the one that sends most, so that all slices are alike. */
static int most_sent(const us_group *group) {
    int most = 1;
    for (int p = 0; p < group->processes; p++) {
        const int depth = sent_by(group, p).depth;
        if (depth > most) most = depth;
    }
    return most;
}

static tree add_own(const us_group *group, const us_brought *brought, int members, size_t count) {
    tree own = {.depth = 0};
    for (int i = 0; i < members; i++) {
        const int member = group->held[group->process] + i;
        const float weight = (float)group->weights[member];
        float *values = brought[i].all;
        for (size_t v = 0; weight > 0 && v < count; v++)
            values[v] *= weight;
        put(&own, leaf(group, member, values), count);
    }
    return own;
}

static unseen_status allocate(const us_group *group, us_group_sum *sum, unseen_error *error) {
    const size_t processes = (size_t)group->processes, nodes = (size_t)most_sent(group);
    if (sum->count > LARGEST / nodes)
        return us_fail(error, UNSEEN_FAILURE, "%zu are too many to add up", sum->count);
    sum->nodes = (int)nodes;
    sum->counts = calloc(2 * processes, sizeof *sum->counts);
    sum->firsts = calloc(2 * processes, sizeof *sum->firsts);
    if (!sum->counts || !sum->firsts) return us_fail_memory(error, "a sum of gradients");
    for (size_t p = 0; p < processes; p++) {
        const int first = (int)(sum->count * p / processes),
                  after = (int)(sum->count * (p + 1) / processes);
        sum->firsts[p] = first;
        sum->counts[p] = after - first;
        /* The same, of all nodes. */
        sum->firsts[processes + p] = first * sum->nodes;
        sum->counts[processes + p] = (after - first) * sum->nodes;
    }
    const size_t own = (size_t)sum->counts[group->process];
    sum->received = malloc(processes * nodes * own * sizeof *sum->received + 1);
    if (nodes > 1) sum->sent = calloc(sum->count * nodes, sizeof *sum->sent);
    return sum->received && (nodes == 1 || sum->sent) ? UNSEEN_OK
                                                      : us_fail_memory(error, "a sum of gradients");
}

/* What goes to a process lies together: its slice of each node. */
static const float *arrange(const us_group *group, us_group_sum *sum, const tree *own) {
    if (sum->nodes == 1) return own->nodes[0].values;
    for (int p = 0; p < group->processes; p++)
        for (int n = 0; n < own->depth; n++)
            memcpy(sum->sent + sum->firsts[group->processes + p] + n * sum->counts[p],
                   own->nodes[n].values + sum->firsts[p],
                   (size_t)sum->counts[p] * sizeof *sum->sent);
    return sum->sent;
}

static unseen_status begin(us_group *group, const us_brought *brought, int members, void *arguments,
                           unseen_error *error) {
    us_group_sum *sum = arguments;
    tree own = add_own(group, brought, members, sum->count);
    if (!group->mpi) {
        sum->total = finish(&own, sum->count);
        return UNSEEN_OK;
    }
    US_TRY(allocate(group, sum, error));
    const int *counts = sum->counts + group->processes, *firsts = sum->firsts + group->processes;
    const int code = group->mpi->scatter(arrange(group, sum, &own), counts, firsts, sum->received,
                                         counts[group->process], &sum->request);
    return code ? us_group_fail(group, code, "adding up", error) : UNSEEN_OK;
}

/* The slice of this process, of all. */
static void add_slices(const us_group *group, us_group_sum *sum) {
    const int own = sum->counts[group->process];
    tree all = {.depth = 0};
    for (int p = 0; p < group->processes; p++) {
        const tree sent = sent_by(group, p);
        for (int n = 0; n < sent.depth; n++) {
            node next = sent.nodes[n];
            next.values =
                sum->received + ((size_t)p * (size_t)sum->nodes + (size_t)n) * (size_t)own;
            put(&all, next, (size_t)own);
        }
    }
    memcpy(sum->values + sum->firsts[group->process], finish(&all, (size_t)own),
           (size_t)own * sizeof *sum->values);
}

static unseen_status collect(us_group *group, us_group_sum *sum, unseen_error *error) {
    US_TRY(us_group_wait(group, &sum->request, "adding up", error));
    add_slices(group, sum);
    sum->total = sum->values;
    int code = group->mpi->collect(sum->values, sum->counts, sum->firsts, &sum->request);
    if (code) return us_group_fail(group, code, "adding up", error);
    return us_group_wait(group, &sum->request, "adding up", error);
}

static unseen_status end(us_group *group, const us_brought *brought, int members, void *arguments,
                         unseen_error *error) {
    us_group_sum *sum = arguments;
    if (group->mpi) US_TRY(collect(group, sum, error));
    for (int i = 0; i < members; i++)
        if (brought[i].all != sum->total)
            memcpy(brought[i].all, sum->total, sum->count * sizeof *sum->total);
    return UNSEEN_OK;
}

unseen_status us_group_sum_begin(us_group *group, us_group_sum *sum, float *values, size_t count,
                                 unseen_error *error) {
    *sum = (us_group_sum){.values = values, .count = count};
    return us_group_call(group, (us_brought){.all = values}, begin, sum, error);
}

unseen_status us_group_sum_end(us_group *group, us_group_sum *sum, unseen_error *error) {
    return us_group_call(group, (us_brought){.all = sum->values}, end, sum, error);
}

void us_group_sum_release(us_group_sum *sum) {
    free(sum->sent);
    free(sum->received);
    free(sum->counts);
    free(sum->firsts);
    *sum = (us_group_sum){0};
}
