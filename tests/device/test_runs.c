/* SPDX-License-Identifier: MIT */
/* The main job, interrupted at every moment at which the caller is asked. */
#include "run_files.h"

#include <sys/file.h>
#include <unistd.h>

#include <fcntl.h>

/* Two scores, so that their statistics are part of the result, too. */
static const char config_text[] =
    "{\"name\": \"small\", \"input\": {\"channels\": 1, \"height\": 6, \"width\": 6},"
    " \"networks\": {\"encoder\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 5},"
    " {\"layer\": \"relu\"}], \"decoder\": [{\"layer\": \"dense\", \"units\": 36},"
    " {\"layer\": \"reshape\", \"shape\": [1, 6, 6]}, {\"layer\": \"tanh\"}],"
    " \"classifier\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 1}]},"
    " \"detector\": {\"type\": \"boss\"},"
    " \"training\": {\"epochs\": 2, \"batch\": 8, \"held_out\": 0.25, \"flip\": true}}";

/* A judge that does not learn, and differs little enough between images to count as collapsed with
 * the first seed, but not with that of the first restart: by 0.32, 0.28 and 0.22 in the first three
 * steps, and by 0.52, 0.28 and 0.54. The third step is in the second epoch. */
static const char *const restarting[] = {
    "/training/seed=15",
    "/training/optimizers/classifier={\"learning_rate\": 1e-9}",
    "/training/collapse={\"window\": 3, \"smallest_spread\": 0.4, \"restarts\": 2}",
};

enum { RESTARTING = sizeof restarting / sizeof *restarting };

static int setup(void **state) {
    (void)state;
    if (run_files_setup() != 0) return -1;
    write_text("config.json", config_text);
    return 0;
}

/* Counts the events at which a job can be stopped, and asks to stop at number `stop_at`, from 1,
 * and ever after. */
typedef struct watcher {
    int count, stop_at;
} watcher;

static int watch(const unseen_event *event, void *user) {
    watcher *w = user;
    if (event->kind == UNSEEN_EVENT_PROGRESS || event->kind == UNSEEN_EVENT_EPOCH) w->count++;
    return w->stop_at && w->count >= w->stop_at;
}

static unseen_status run_with(const char *const *more, size_t count, const char *out, bool resume,
                              watcher *w) {
    char train[800], test[800];
    snprintf(train, sizeof train, "/data/train=%s", in_root("train.idx"));
    snprintf(test, sizeof test, "/data/test=%s", in_root("test.idx"));
    const char *overrides[2 + RESTARTING] = {train, test};
    for (size_t i = 0; i < count; i++)
        overrides[2 + i] = more[i];
    unseen_config *config;
    TEST_OK(unseen_config_load(in_root("config.json"), overrides, 2 + count, &config, &error));
    unseen_run_options options = {
        .device = getenv("UNSEEN_DEVICE"), .out = in_root(out), .resume = resume};
    unseen_events events = {watch, w};
    char *json;
    error = (unseen_error){0};
    unseen_status status = unseen_run(config, &options, &events, &json, &error);
    assert_int_equal(status == UNSEEN_OK, json != NULL);
    unseen_string_free(json);
    unseen_config_free(config);
    return status;
}

static unseen_status run(const char *out, bool resume, watcher *w) {
    return run_with(NULL, 0, out, resume, w);
}

static void assert_same(const char *folder, const char *file) {
    char whole[400], other[400];
    snprintf(whole, sizeof whole, "whole/%s", file);
    snprintf(other, sizeof other, "%s/%s", folder, file);
    assert_same_file(in_root(whole), in_root(other));
}

/* ---- tests ---- */

static void stopped_at_every_event(void **state) {
    (void)state;
    watcher whole = {0};
    TEST_OK(run("whole", false, &whole));
    /* 2 epochs, each with its beginning, 2 steps, a batch of held-out images and its end; then the
     * beginning and a batch of calibrating, and of scoring normal images and 15 kinds of synthetic
     * anomalies; of scoring the beginning and 3, and of drawing the beginning and 2 */
    assert_int_equal(whole.count, 2 * 5 + 2 + 2 * (1 + 15) + 4 + 3);
    /* Synthetic anomalies are all alike, so that only some of them are stopped at. */
    const int synthetic = 2 * 5 + 2, after = synthetic + 2 * (1 + 15);
    int stopped = 0;
    for (int at = 1; at <= whole.count; at += at > synthetic && at + 9 < after ? 9 : 1) {
        char out[32];
        snprintf(out, sizeof out, "stopped-%d", at);
        watcher w = {.stop_at = at}, calm = {0};
        assert_int_equal(run(out, false, &w), UNSEEN_INTERRUPTED);
        assert_non_null(strstr(error.message, "--resume"));
        stopped++;
        TEST_OK(run(out, true, &calm));
        assert_same(out, "model.safetensors");
        assert_same(out, "prediction.csv");
        assert_same(out, "scores.csv");
        assert_same(out, "pictures.json");
        assert_same(out, "config.json");
    }
    assert_true(stopped > whole.count / 2);
}

static int lines(const char *path) {
    char *text;
    size_t size;
    int count = 0;
    TEST_OK(us_file_read(path, 1 << 20, &text, &size, &error));
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    free(text);
    return count;
}

static void restarted_and_stopped_at_every_event(void **state) {
    (void)state;
    watcher whole = {0};
    TEST_OK(run_with(restarting, RESTARTING, "restarted", false, &whole));
    assert_int_equal(lines(in_root("restarted/log.jsonl")), 1 + 1 + 2);
    int stopped = 0;
    for (int at = 1; at <= whole.count; at++) {
        char out[32], folder[64];
        snprintf(out, sizeof out, "restarted-%d", at);
        watcher w = {.stop_at = at}, calm = {0};
        assert_int_equal(run_with(restarting, RESTARTING, out, false, &w), UNSEEN_INTERRUPTED);
        stopped++;
        TEST_OK(run_with(restarting, RESTARTING, out, true, &calm));
        snprintf(folder, sizeof folder, "%s/log.jsonl", out);
        assert_int_equal(lines(in_root(folder)), 1 + 1 + 2);
        static const char *const files[] = {"model.safetensors", "scores.csv"};
        for (int i = 0; i < 2; i++) {
            char mine[64], other[64];
            snprintf(mine, sizeof mine, "%s/%s", out, files[i]);
            snprintf(other, sizeof other, "restarted/%s", files[i]);
            assert_same_file(in_root(other), in_root(mine));
        }
    }
    assert_int_equal(stopped, whole.count);
    /* Another seed gave another model. */
    watcher w = {0};
    const char *const calm[] = {restarting[0], restarting[1]};
    TEST_OK(run_with(calm, 2, "calm", false, &w));
    assert_int_equal(lines(in_root("calm/log.jsonl")), 2);
    assert_true(whole.count > w.count);
}

static void collapsed_without_a_restart(void **state) {
    (void)state;
    watcher w = {0};
    const char *overrides[] = {restarting[0], restarting[1],
                               "/training/collapse={\"window\": 3, \"smallest_spread\": 0.4}"};
    assert_int_equal(run_with(overrides, 3, "collapsed", false, &w), UNSEEN_DIVERGED);
    assert_non_null(strstr(error.message, "classifier's logits"));
    assert_non_null(strstr(error.message, "for 3 steps, from epoch 1, step 1 on"));
    /* The checkpoint of the first epoch knows of the steps before it. */
    assert_int_equal(run_with(overrides, 3, "collapsed", true, &w), UNSEEN_DIVERGED);
    assert_non_null(strstr(error.message, "for 3 steps, from epoch 1, step 1 on"));
    /* Restarts may be allowed later; then the end is that of a run that had them from the start. */
    TEST_OK(run_with(restarting, RESTARTING, "collapsed", true, &w));
    assert_same_file(in_root("restarted/model.safetensors"),
                     in_root("collapsed/model.safetensors"));
}

static void stopped_at_each_event_of_one_run(void **state) {
    (void)state;
    watcher w = {.stop_at = 1};
    int times = 0;
    unseen_status status = run("bit by bit", false, &w);
    for (; status == UNSEEN_INTERRUPTED && times < 100; times++) {
        w = (watcher){.stop_at = 1};
        /* after the training nothing is kept but the checkpoint, so the last part is let be */
        if (strstr(error.message, "after the last epoch")) w.stop_at = 0;
        status = run("bit by bit", true, &w);
    }
    TEST_OK(status);
    assert_true(times > 4);
    assert_same("bit by bit", "model.safetensors");
    assert_same("bit by bit", "prediction.csv");
}

static void one_job_in_a_folder(void **state) {
    (void)state;
    assert_int_equal(mkdir(in_root("held"), 0777), 0);
    int held = open(in_root("held"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(held, LOCK_EX), 0);
    watcher w = {0};
    assert_int_equal(run("held", false, &w), UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "another job is under way"));
    assert_false(us_file_exists(in_root("held/config.json")));
    close(held);
    TEST_OK(run("held", false, &w));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_at_every_event),
        cmocka_unit_test(restarted_and_stopped_at_every_event),
        cmocka_unit_test(collapsed_without_a_restart),
        cmocka_unit_test(stopped_at_each_event_of_one_run),
        cmocka_unit_test(one_job_in_a_folder),
    };
    return cmocka_run_group_tests(tests, setup, run_files_teardown);
}
