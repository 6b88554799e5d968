/* SPDX-License-Identifier: MIT */
/* Shards of a batch that share a process: what they tell each other, and how they end. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "base/thread.h"
#include "parallel/group.h"

enum { MOST = 9, COUNT = 37, BATCH = 18 };

/* What a thread does as a shard, and what came of it. */
typedef struct job {
    us_group *group;
    int images; /* of the step */
    float values[2][COUNT];
    int gathered[MOST], told, own;
    bool fails, was_first;
    unseen_status status;
    unseen_error error;
} job;

static float value_of(int sum, int shard, int i) {
    uint32_t words[4];
    us_random_words(7, US_STREAM_TEST, (uint32_t)sum, (uint64_t)(shard * COUNT + i), words);
    return (float)words[0] / 4e9f - 0.5f;
}

static unseen_status talk(job *j) {
    const int rank = us_group_rank(j->group);
    us_group_sum sums[2];
    int64_t first;
    j->own = us_group_take(j->group, j->images, &first);
    j->told = rank == 0 ? 4711 : 0;
    US_TRY(us_group_gather(j->group, &rank, j->gathered, sizeof rank, &j->error));
    US_TRY(us_group_broadcast(j->group, &j->told, sizeof j->told, &j->error));
    US_TRY(us_group_let_others(j->group, &j->error));
    /* What a shard without images has does not count. */
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < COUNT; i++)
            j->values[s][i] = j->own ? value_of(s, rank, i) : NAN;
    for (int s = 0; s < 2; s++)
        US_TRY(us_group_sum_begin(j->group, &sums[s], j->values[s], COUNT, &j->error));
    for (int s = 0; s < 2; s++) {
        US_TRY(us_group_sum_end(j->group, &sums[s], &j->error));
        us_group_sum_release(&sums[s]);
    }
    return us_group_agree(j->group, UNSEEN_OK, &j->error);
}

static void *run(void *user) {
    job *j = user;
    us_group_begin_turn(j->group);
    if (j->fails)
        j->was_first = us_group_abandon(j->group, "the shard's device is on fire");
    else
        j->status = talk(j);
    us_group_end_turn(j->group);
    return NULL;
}

/* All shards at work, the first on this thread. */
static void run_all(job *jobs, int count) {
    pthread_t threads[MOST];
    for (int i = 1; i < count; i++)
        assert_true(us_thread_start(&threads[i], run, &jobs[i]));
    run(&jobs[0]);
    for (int i = 1; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void split(us_group **shards, job *jobs, int count, int images) {
    unseen_error error;
    memset(jobs, 0, MOST * sizeof *jobs);
    memset(shards, 0, MOST * sizeof(us_group *));
    assert_int_equal(us_group_split(NULL, &count, BATCH, shards, &error), UNSEEN_OK);
    for (int i = 0; i < count; i++) {
        jobs[i].group = shards[i];
        jobs[i].images = images;
        assert_int_equal(us_group_rank(shards[i]), i);
        assert_int_equal(us_group_size(shards[i]), count);
    }
}

/* The sum over the leaves first .. first + size - 1 of a binary tree, `size` a power of two. */
static bool add_up(const job *jobs, int count, int sum, int i, int first, int size, float *result) {
    float left, right;
    if (first >= count) return false;
    if (size == 1) {
        *result = (float)((double)jobs[first].own / jobs[0].images) * value_of(sum, first, i);
        return jobs[first].own > 0;
    }
    const bool has_left = add_up(jobs, count, sum, i, first, size / 2, &left),
               has_right = add_up(jobs, count, sum, i, first + size / 2, size / 2, &right);
    *result = has_left && has_right ? left + right : has_left ? left : right;
    return has_left || has_right;
}

static void calls(void **state) {
    (void)state;
    static const int steps[] = {BATCH, 11, 4, 1};
    us_group *shards[MOST];
    job *jobs = calloc(MOST, sizeof *jobs);
    for (int count = 2; count <= MOST; count++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            split(shards, jobs, count, steps[k]);
            run_all(jobs, count);
            int images = 0;
            for (int r = 0; r < count; r++) {
                images += jobs[r].own;
                assert_int_equal(jobs[r].status, UNSEEN_OK);
                assert_int_equal(jobs[r].told, 4711);
                for (int other = 0; other < count; other++)
                    assert_int_equal(jobs[r].gathered[other], other);
                for (int s = 0; s < 2; s++)
                    for (int i = 0; i < COUNT; i++) {
                        float expected;
                        assert_true(add_up(jobs, count, s, i, 0, 16, &expected));
                        assert_memory_equal(&jobs[r].values[s][i], &expected, sizeof expected);
                    }
            }
            assert_int_equal(images, steps[k]);
            us_group_join(NULL, shards, count);
        }
    free(jobs);
}

/* Whichever shard fails, the others' calls end with its message. */
static void one_fails(void **state) {
    (void)state;
    us_group *shards[MOST];
    job *jobs = calloc(MOST, sizeof *jobs);
    for (int victim = 0; victim < 4; victim++) {
        split(shards, jobs, 4, BATCH);
        jobs[victim].fails = true;
        run_all(jobs, 4);
        assert_true(jobs[victim].was_first);
        for (int r = 0; r < 4; r++) {
            if (r == victim) continue;
            assert_int_equal(jobs[r].status, UNSEEN_FAILURE);
            assert_non_null(strstr(jobs[r].error.message, "on fire"));
            assert_true(us_group_broken(shards[r]));
            assert_false(us_group_abandon(shards[r], "too late"));
        }
        us_group_join(NULL, shards, 4);
    }
    free(jobs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls),
        cmocka_unit_test(one_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
