/* SPDX-License-Identifier: MIT */
/* Sweeps from end to end: small networks on images made here. */
#include "run_files.h"

#include <sys/file.h>
#include <unistd.h>

#include <fcntl.h>

#include "base/json.h"

/* No activation at the end, so that a large rate diverges. */
static const char base[] =
    "{\"name\": \"small\", \"input\": {\"channels\": 1, \"height\": 6, \"width\": 6},"
    " \"networks\": {\"encoder\": [{\"layer\": \"flatten\"}, {\"layer\": \"dense\", \"units\": 5},"
    " {\"layer\": \"relu\"}], \"decoder\": [{\"layer\": \"dense\", \"units\": 36},"
    " {\"layer\": \"reshape\", \"shape\": [1, 6, 6]}]},"
    " \"detector\": {\"type\": \"autoencoder\"},"
    " \"training\": {\"epochs\": 1, \"batch\": 8, \"held_out\": 0.25}}";

static const char grid[] =
    "{\"name\": \"grid\", \"base\": \"base.json\", \"grid\": {\"/training/batch\": [4, 8],"
    " \"/networks/encoder/1/units\": [3, 5]}}";

static const char *const grid_folders[] = {
    "001-batch=4_encoder-1-units=3", "002-batch=4_encoder-1-units=5",
    "003-batch=8_encoder-1-units=3", "004-batch=8_encoder-1-units=5"};

static int setup(void **state) {
    (void)state;
    if (run_files_setup() != 0) return -1;
    write_text("base.json", base);
    write_text("grid.json", grid);
    return 0;
}

/* ---- sweeping ---- */

static unseen_status sweep_on(const char *device, const char *plan, const char *out,
                              const unseen_events *events, cJSON **result) {
    char train[800], test[800];
    snprintf(train, sizeof train, "/data/train=%s", in_root("train.idx"));
    snprintf(test, sizeof test, "/data/test=%s", in_root("test.idx"));
    const char *const overrides[] = {train, test};
    unseen_sweep_options options = {
        .device = device, .out = in_root(out), .overrides = overrides, .override_count = 2};
    char *json;
    error = (unseen_error){0};
    unseen_status status = unseen_sweep(in_root(plan), &options, events, &json, &error);
    *result = json ? cJSON_Parse(json) : NULL;
    if (status == UNSEEN_OK) assert_non_null(*result); /* failures of runs have one, too */
    unseen_string_free(json);
    return status;
}

static unseen_status sweep(const char *plan, const char *out, const unseen_events *events,
                           cJSON **result) {
    return sweep_on(getenv("UNSEEN_DEVICE"), plan, out, events, result);
}

static const cJSON *find_run(const cJSON *result, const char *folder) {
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItem(result, "runs")) {
        const char *out = cJSON_GetObjectItem(run, "out")->valuestring;
        if (strcmp(strrchr(out, '/') + 1, folder) == 0) return run;
    }
    fail_msg("no run %s", folder);
    return NULL;
}

static void assert_status(const cJSON *result, const char *folder, const char *status) {
    const cJSON *run = find_run(result, folder);
    assert_string_equal(cJSON_GetObjectItem(run, "status")->valuestring, status);
}

static void assert_count(const cJSON *result, const char *name, int count) {
    assert_int_equal(cJSON_GetObjectItem(result, name)->valueint, count);
}

static const char *file_of(const char *out, const char *folder, const char *file) {
    char name[400];
    snprintf(name, sizeof name, "%s/%s/%s", out, folder, file);
    return in_root(name);
}

static void assert_same_runs(const char *one, const char *other) {
    for (int i = 0; i < 4; i++) {
        assert_same_file(file_of(one, grid_folders[i], "model.safetensors"),
                         file_of(other, grid_folders[i], "model.safetensors"));
        assert_same_file(file_of(one, grid_folders[i], "prediction.csv"),
                         file_of(other, grid_folders[i], "prediction.csv"));
    }
}

/* Counts epochs, of which a run of the grid has one, and asks to stop in that of run `stop_in`. */
typedef struct watcher {
    int epochs, stop_in;
} watcher;

static int watch(const unseen_event *event, void *user) {
    watcher *w = user;
    if (event->kind == UNSEEN_EVENT_EPOCH) w->epochs++;
    return w->stop_in && event->kind == UNSEEN_EVENT_PROGRESS &&
           strcmp(event->text, "training") == 0 && w->epochs == w->stop_in - 1;
}

/* ---- tests ---- */

static void whole_grid(void **state) {
    (void)state;
    cJSON *result;
    watcher w = {0};
    unseen_events events = {watch, &w};
    TEST_OK(sweep("grid.json", "whole", &events, &result));
    assert_int_equal(w.epochs, 4);
    assert_count(result, "done", 4);
    assert_string_equal(cJSON_GetObjectItem(result, "by")->valuestring, "held_out_loss");
    const cJSON *runs = cJSON_GetObjectItem(result, "runs"), *run, *best = runs->child;
    assert_string_equal(cJSON_GetObjectItem(result, "best")->valuestring,
                        cJSON_GetObjectItem(best, "out")->valuestring);
    double before = -1;
    cJSON_ArrayForEach(run, runs) {
        double loss = cJSON_GetObjectItem(run, "held_out_loss")->valuedouble;
        assert_true(loss > 0 && loss >= before);
        before = loss;
    }
    run = find_run(result, grid_folders[0]);
    assert_int_equal(cJSON_GetObjectItem(run, "parameters")->valueint, 36 * 3 + 3 + 3 * 36 + 36);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(run, "auc")));
    for (int i = 0; i < 4; i++)
        assert_true(us_file_exists(file_of("whole", grid_folders[i], "report.html")));
    cJSON_Delete(result);
}

static void results_are_made_again(void **state) {
    (void)state;
    cJSON *result;
    watcher w = {0};
    unseen_events events = {watch, &w};
    TEST_OK(sweep("grid.json", "again", NULL, &result));
    cJSON_Delete(result);
    assert_int_equal(unlink(file_of("again", grid_folders[1], "metrics.json")), 0);
    assert_int_equal(unlink(file_of("again", grid_folders[1], "prediction.csv")), 0);
    assert_int_equal(unlink(file_of("again", grid_folders[1], "model.safetensors")), 0);
    /* A run of which nothing but the config is there starts anew. */
    char folder[700];
    snprintf(folder, sizeof folder, "%s", file_of("again", grid_folders[2], ""));
    assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    TEST_OK(sweep("grid.json", "again", &events, &result));
    assert_int_equal(w.epochs, 1);
    assert_count(result, "done", 4);
    cJSON_Delete(result);
    assert_same_runs("whole", "again");
    /* and with nothing left to do, nothing is done */
    w = (watcher){0};
    TEST_OK(sweep("grid.json", "again", &events, &result));
    assert_int_equal(w.epochs, 0);
    cJSON_Delete(result);
}

static void interrupted_and_continued(void **state) {
    (void)state;
    cJSON *result;
    for (int stop_in = 1; stop_in <= 3; stop_in += 2) {
        watcher w = {.stop_in = stop_in};
        unseen_events events = {watch, &w};
        assert_int_equal(sweep("grid.json", "broken", &events, &result), UNSEEN_INTERRUPTED);
        us_json written;
        char path[700];
        snprintf(path, sizeof path, "%s", in_root("broken/sweep.json"));
        TEST_OK(us_json_load(path, &written, &error));
        assert_count(written.value, "done", stop_in - 1);
        assert_status(written.value, grid_folders[stop_in - 1], "interrupted");
        assert_status(written.value, grid_folders[3], "waiting");
        cJSON_Delete(written.value);
    }
    TEST_OK(sweep("grid.json", "broken", NULL, &result));
    cJSON_Delete(result);
    assert_same_runs("whole", "broken");
}

static void divergence_is_recorded(void **state) {
    (void)state;
    write_text(
        "diverging.json",
        "{\"base\": \"base.json\", \"runs\": [{\"/name\": \"wild\", \"/training/epochs\": 60,"
        " \"/training/optimizer\": {\"type\": \"sgd\", \"learning_rate\": 1000}},"
        " {\"/name\": \"tame\"}]}");
    cJSON *result;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sweep("diverging.json", "diverging", NULL, &result), UNSEEN_DIVERGED);
        assert_non_null(strstr(error.message, "1 of 2 runs failed"));
        assert_count(result, "done", 1);
        assert_count(result, "failed", 1);
        assert_status(result, "001-wild", "diverged");
        assert_status(result, "002-tame", "done");
        assert_true(cJSON_IsString(cJSON_GetObjectItem(find_run(result, "001-wild"), "message")));
        cJSON_Delete(result);
    }
    write_text(
        "diverging.json",
        "{\"base\": \"base.json\", \"runs\": [{\"/name\": \"wild\", \"/training/epochs\": 60,"
        " \"/training/optimizer\": {\"type\": \"sgd\", \"learning_rate\": 1000}}]}");
    assert_int_equal(sweep("diverging.json", "all", NULL, &result), UNSEEN_DIVERGED);
    assert_non_null(strstr(error.message, "1 of 1 runs failed"));
    assert_count(result, "failed", 1);
    cJSON_Delete(result);
}

static void added_run(void **state) {
    (void)state;
    write_text("added.json", "{\"base\": \"base.json\", \"grid\": {\"/training/batch\": [5, 4, 8],"
                             " \"/networks/encoder/1/units\": [3, 5]}}");
    cJSON *result;
    watcher w = {0};
    unseen_events events = {watch, &w};
    TEST_OK(sweep("added.json", "whole", &events, &result));
    assert_int_equal(w.epochs, 2);
    assert_count(result, "done", 6);
    for (int i = 0; i < 4; i++)
        assert_status(result, grid_folders[i], "done");
    assert_status(result, "007-batch=5_encoder-1-units=3", "done");
    cJSON_Delete(result);
}

static void refusals(void **state) {
    (void)state;
    cJSON *result;
    assert_int_equal(sweep_on("no such device", "grid.json", "none", NULL, &result),
                     UNSEEN_NO_DEVICE);
    assert_false(us_file_exists(file_of("none", grid_folders[0], "config.json")));
    write_text("wrong.json", "{\"base\": \"base.json\", \"grid\": {\"/training/batch\": [4, 0]}}");
    assert_int_equal(sweep("wrong.json", "wrong", NULL, &result), UNSEEN_BAD_INPUT);
    assert_false(us_file_exists(in_root("wrong")));
    int held = open(in_root("whole"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_int_equal(sweep("grid.json", "whole", NULL, &result), UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "another job"));
    close(held);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_grid),
        cmocka_unit_test(results_are_made_again),
        cmocka_unit_test(interrupted_and_continued),
        cmocka_unit_test(divergence_is_recorded),
        cmocka_unit_test(added_run),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, run_files_teardown);
}
