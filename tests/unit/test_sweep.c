/* SPDX-License-Identifier: MIT */
/* Plans of sweeps, and how runs and folders find each other. No device is used. */
#include "../data_files.h"

#include <ftw.h>
#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "sweep/leaderboard.h"
#include "sweep/sample.h"

static unseen_error error;

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static int teardown(void **state) {
    (void)state;
    return nftw(test_folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- plans ---- */

static unseen_status load(const char *text, us_sweep_plan *plan) {
    error = (unseen_error){0};
    write_file(text, strlen(text));
    return us_sweep_plan_load(test_path, plan, &error);
}

static us_sweep_plan load_good(const char *text) {
    us_sweep_plan plan;
    if (load(text, &plan) != UNSEEN_OK) fail_msg("%s", error.message);
    return plan;
}

static void refused(const char *text, const char *part) {
    us_sweep_plan plan;
    assert_int_equal(load(text, &plan), UNSEEN_BAD_INPUT);
    assert_contains(error.message, test_path);
    assert_contains(error.message, part);
    assert_null(plan.runs);
}

/* expected: overrides joined by spaces */
static void assert_run(const us_sweep_plan *plan, size_t index, const char *expected) {
    char text[1024] = "";
    assert_true(index < plan->run_count);
    const us_overrides *run = &plan->runs[index];
    for (size_t i = 0; i < run->count; i++) {
        if (i) strcat(text, " ");
        strcat(text, run->items[i]);
    }
    assert_string_equal(text, expected);
}

static void grid_order(void **state) {
    (void)state;
    us_sweep_plan plan =
        load_good("{\"base\": \"a.json\", \"grid\": {\"/b\": [2, \"2\"],"
                  " \"/a\": [0.30000000000000004, null, [{\"layer\": \"relu\"}]]}}");
    assert_int_equal(plan.run_count, 6);
    assert_run(&plan, 0, "/b=2 /a=0.30000000000000004");
    assert_run(&plan, 1, "/b=2 /a=null");
    assert_run(&plan, 2, "/b=2 /a=[{\"layer\": \"relu\"}]");
    assert_run(&plan, 3, "/b=\"2\" /a=0.30000000000000004");
    assert_run(&plan, 5, "/b=\"2\" /a=[{\"layer\": \"relu\"}]");
    assert_string_equal(plan.name, "sweep");
    us_sweep_plan_release(&plan);
}

static void grid_runs_and_seeds(void **state) {
    (void)state;
    us_sweep_plan plan =
        load_good("{\"$schema\": \"x\", \"name\": \"n\", \"base\": \"../a.json\","
                  " \"set\": [\"/e=5\", {\"/f\": [1], \"/g\": \"x\"}], \"grid\": {\"/b\": [1, 2]},"
                  " \"runs\": [[\"/c=1\", \"d/e=x=y\"], [], {\"/n\": {\"k\": true}}, [{\"/m\": 1}, "
                  "\"/l=2\"]],"
                  " \"repeat_seeds\": [7, 8]}");
    assert_int_equal(plan.run_count, 12);
    assert_run(&plan, 0, "/b=1 /training/seed=7");
    assert_run(&plan, 1, "/b=1 /training/seed=8");
    assert_run(&plan, 2, "/b=2 /training/seed=7");
    assert_run(&plan, 4, "/c=1 d/e=x=y /training/seed=7");
    assert_run(&plan, 7, "/training/seed=8");
    assert_run(&plan, 8, "/n={\"k\": true} /training/seed=7");
    assert_run(&plan, 11, "/m=1 /l=2 /training/seed=8");
    assert_int_equal(plan.set.count, 3);
    assert_string_equal(plan.set.items[1], "/f=[1]");
    assert_string_equal(plan.set.items[2], "/g=\"x\"");
    char base[400];
    snprintf(base, sizeof base, "%s/../a.json", test_folder);
    assert_string_equal(plan.base, base);
    us_sweep_plan_release(&plan);

    plan = load_good("{\"base\": \"/a.json\", \"repeat_seeds\": [0, 9007199254740991]}");
    assert_int_equal(plan.run_count, 2);
    assert_run(&plan, 1, "/training/seed=9007199254740991");
    assert_string_equal(plan.base, "/a.json");
    us_sweep_plan_release(&plan);
}

static void hostile_plans(void **state) {
    (void)state;
    refused("[]", "an object");
    refused("{\"base\": 3, \"runs\": [[]]}", "/base");
    refused("{\"runs\": [[]]}", "\"base\" is missing");
    refused("{\"base\": \"a\"}", "no runs");
    refused("{\"base\": \"a\", \"grid\": {}, \"runs\": []}", "no runs");
    refused("{\"base\": \"a\", \"gird\": {}}", "did you mean \"grid\"");
    refused("{\"base\": \"a\", \"grid\": []}", "/grid");
    refused("{\"base\": \"a\", \"grid\": {\"/a\": 3}}", "/grid/~1a");
    refused("{\"base\": \"a\", \"grid\": {\"/a\": []}}", "/grid/~1a");
    refused("{\"base\": \"a\", \"grid\": {\"a\": [1]}}", "/grid/a");
    refused("{\"base\": \"a\", \"grid\": {\"/\": [1]}}", "/grid/~1");
    refused("{\"base\": \"a\", \"grid\": {\"/a=b\": [1]}}", "/grid/~1a=b");
    refused("{\"base\": \"a\", \"runs\": [[\"/a=1\"], [\"/a\"]]}", "/runs/1/0");
    refused("{\"base\": \"a\", \"runs\": [[\"=1\"]]}", "/runs/0/0");
    refused("{\"base\": \"a\", \"runs\": [[3]]}", "/runs/0/0");
    refused("{\"base\": \"a\", \"runs\": [\"/a=1\"]}", "/runs/0");
    refused("{\"base\": \"a\", \"runs\": [{\"a\": 1}]}", "/runs/0/a");
    refused("{\"base\": \"a\", \"runs\": [[]], \"set\": [true]}", "/set/0");
    refused("{\"base\": \"a\", \"runs\": [[]], \"set\": {}}", "/set");
    refused("{\"base\": \"a\", \"repeat_seeds\": [1, -1]}", "/repeat_seeds/1");
    refused("{\"base\": \"a\", \"repeat_seeds\": [0.5]}", "/repeat_seeds/0");
    refused("{\"base\": \"a\", \"repeat_seeds\": [1e300]}", "/repeat_seeds/0");
    refused("{\"base\": \"a\", \"repeat_seeds\": [\"1\"]}", "/repeat_seeds/0");
    refused("{\"base\": \"a\", \"runs\": [", "line 1");
}

/* 40 keys of two values would be 2^40 runs. */
static void too_many_runs(void **state) {
    (void)state;
    static char text[200000];
    size_t used = (size_t)sprintf(text, "{\"base\": \"a\", \"grid\": {");
    for (int i = 0; i < 40; i++)
        used += (size_t)sprintf(text + used, "%s\"/a%d\": [1, 2]", i ? ", " : "", i);
    strcpy(text + used, "}}");
    refused(text, "10000");

    used = (size_t)sprintf(text, "{\"base\": \"a\", \"runs\": [[]");
    for (int i = 0; i < US_SWEEP_MAX_RUNS; i++)
        used += (size_t)sprintf(text + used, ", []");
    strcpy(text + used, "]}");
    refused(text, "/runs");

    used = (size_t)sprintf(text, "{\"base\": \"a\", \"repeat_seeds\": [1, 2], \"runs\": [[]");
    for (int i = 1; i < US_SWEEP_MAX_RUNS / 2; i++)
        used += (size_t)sprintf(text + used, ", []");
    strcpy(text + used, "]}");
    us_sweep_plan plan = load_good(text);
    assert_int_equal(plan.run_count, US_SWEEP_MAX_RUNS);
    us_sweep_plan_release(&plan);
    strcpy(text + used, ", []]}");
    refused(text, "10000");
}

/* ---- points of ranges ---- */

/* Points 5, 11 and 42 as scipy.stats.qmc.Sobol (1.16, scramble=False) has them. */
static void sobol_sequence(void **state) {
    (void)state;
    static const struct {
        uint32_t index;
        unsigned char top[US_SOBOL_DIMENSIONS]; /* the highest eight bits; the others are 0 */
    } expected[] = {
        {5, {0xE0, 0xE0, 0x20, 0x60, 0xE0, 0xA0, 0xE0, 0x60, 0x60, 0x20, 0x60,
             0xE0, 0xE0, 0x20, 0xE0, 0x60, 0xE0, 0x60, 0x60, 0xA0, 0xA0}},
        {11, {0x70, 0x90, 0x30, 0xB0, 0xD0, 0x10, 0xB0, 0xB0, 0xB0, 0x10, 0xF0,
              0x50, 0x30, 0x30, 0x90, 0x30, 0x90, 0x10, 0xB0, 0x90, 0xF0}},
        {42, {0xFC, 0x54, 0x04, 0xBC, 0x74, 0x7C, 0xFC, 0x9C, 0xCC, 0x9C, 0x14,
              0x24, 0xC4, 0x4C, 0xEC, 0xAC, 0x3C, 0x9C, 0x5C, 0x94, 0x24}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (int d = 0; d < US_SOBOL_DIMENSIONS; d++)
            assert_int_equal(us_sobol(expected[i].index, d), (uint32_t)expected[i].top[d] << 24);
}

/* The value that a run gives the range's place. */
static double value_of(const us_sweep_plan *plan, size_t run, size_t item) {
    const char *text = plan->runs[run].items[item];
    return strtod(strchr(text, '=') + 1, NULL);
}

/* 32 points are one in each 32nd part of every range, wherever the seed has shifted them. */
static void sampled_runs_are_even(void **state) {
    (void)state;
    for (int seed = 0; seed < 5; seed++) {
        char text[400];
        snprintf(text, sizeof text,
                 "{\"base\": \"a\", \"sample\": {\"count\": 32, \"seed\": %d, \"ranges\": {"
                 "\"/a\": {\"from\": -1, \"to\": 1}, \"/b\": {\"from\": 1, \"to\": 32, "
                 "\"integer\": true}, \"/c\": {\"from\": 1e-4, \"to\": 1e-2, \"scale\": \"log\"},"
                 "\"/d\": {\"choices\": [64, \"x\"]}}}}",
                 seed);
        us_sweep_plan plan = load_good(text);
        unsigned a = 0, b = 0, c = 0, d = 0;
        assert_int_equal(plan.run_count, 32);
        for (size_t i = 0; i < 32; i++) {
            a ^= 1u << (int)((value_of(&plan, i, 0) + 1) * 16);
            b ^= 1u << ((int)value_of(&plan, i, 1) - 1);
            c ^= 1u << (int)(log10(value_of(&plan, i, 2) / 1e-4) * 16);
            d += strcmp(plan.runs[i].items[3], "/d=\"x\"") == 0;
        }
        assert_int_equal(a, UINT32_MAX);
        assert_int_equal(b, UINT32_MAX);
        assert_int_equal(c, UINT32_MAX);
        assert_int_equal(d, 16);
        us_sweep_plan_release(&plan);
    }
}

/* After the grid and before the single runs; random ones differ by seed and within their limits. */
static void sampled_runs_and_others(void **state) {
    (void)state;
    us_sweep_plan plan = load_good(
        "{\"base\": \"a\", \"grid\": {\"/g\": [1, 2]}, \"runs\": [[\"/r=1\"]], \"sample\": {"
        "\"count\": 100, \"method\": \"random\", \"ranges\": {\"/a\": {\"from\": 0.5, \"to\": "
        "0.6}, \"/b\": {\"from\": 1, \"to\": 3, \"integer\": true, \"scale\": \"log\"}}}}");
    assert_int_equal(plan.run_count, 103);
    assert_run(&plan, 1, "/g=2");
    assert_run(&plan, 102, "/r=1");
    int seen[4] = {0};
    for (size_t i = 2; i < 102; i++) {
        assert_true(value_of(&plan, i, 0) >= 0.5 && value_of(&plan, i, 0) <= 0.6);
        assert_true(strlen(plan.runs[i].items[0]) <= strlen("/a=0.5123"));
        seen[(int)value_of(&plan, i, 1)]++;
    }
    assert_true(seen[1] > 20 && seen[2] > 10 && seen[3] > 5); /* about 50, 29 and 21 */
    us_sweep_plan_release(&plan);
}

static void hostile_samples(void **state) {
    (void)state;
#define SAMPLE(content) "{\"base\": \"a\", \"sample\": " content "}"
#define RANGE(content) SAMPLE("{\"count\": 4, \"ranges\": {\"/a\": " content "}}")
    refused(SAMPLE("3"), "/sample");
    refused(SAMPLE("{\"ranges\": {}}"), "\"count\" is missing");
    refused(SAMPLE("{\"count\": 3}"), "\"ranges\" is missing");
    refused(SAMPLE("{\"count\": 0, \"ranges\": {}}"), "/sample/count");
    refused(SAMPLE("{\"count\": 3, \"ranges\": {}}"), "/sample/ranges");
    refused(SAMPLE("{\"count\": 3, \"ranges\": {\"a\": {\"choices\": [1]}}}"), "JSON Pointer");
    refused(RANGE("[1, 2]"), "/sample/ranges/~1a");
    refused(RANGE("{\"from\": 1}"), "\"to\" is missing");
    refused(RANGE("{\"from\": 2, \"to\": 1}"), "must be below");
    refused(RANGE("{\"from\": 0, \"to\": 1, \"scale\": \"log\"}"), "above 0");
    refused(RANGE("{\"from\": 0.5, \"to\": 1, \"integer\": true}"), "must be integers");
    refused(RANGE("{\"choices\": []}"), "/sample/ranges/~1a/choices");
    refused(RANGE("{\"choices\": [1], \"from\": 1}"), "stands alone");
    char text[2000] = "{\"base\": \"a\", \"sample\": {\"count\": 2, \"ranges\": {";
    for (int i = 0; i <= US_SOBOL_DIMENSIONS; i++)
        sprintf(text + strlen(text), "%s\"/a%d\": {\"from\": 0, \"to\": 1}", i ? ", " : "", i);
    strcat(text, "}}}");
    refused(text, "\"random\"");
}

/* ---- words for overrides ---- */

static void assert_slug(const char *expected, size_t count, const char *const *overrides) {
    us_overrides list = {(char **)(uintptr_t)overrides, count};
    char *slug = us_sweep_slug(&list);
    assert_string_equal(slug, expected);
    free(slug);
}
#define ASSERT_SLUG(expected, ...)                                                                 \
    do {                                                                                           \
        const char *const all[] = {__VA_ARGS__};                                                   \
        assert_slug(expected, sizeof all / sizeof *all, all);                                      \
    } while (0)

static void slugs(void **state) {
    (void)state;
    assert_slug("base", 0, NULL);
    ASSERT_SLUG("batch=64_learning_rate=0.001", "/training/batch=64",
                "training/optimizer/learning_rate=0.001");
    ASSERT_SLUG("encoder-0-channels=24", "/networks/encoder/0/channels=24");
    ASSERT_SLUG("betas-0=0.9", "/training/optimizer/betas/0=0.9");
    ASSERT_SLUG("encoder-_flip=true", "/networks/encoder/-={\"layer\": \"relu\"}",
                "/training/flip=true");
    ASSERT_SLUG("encoder_type=sgd", "/networks/encoder=[1, 2]", "/training/optimizer/type=\"sgd\"");
    ASSERT_SLUG("very-wide", "/training/batch=64", "/name=very wide", "/training/epochs=2");
    ASSERT_SLUG("train=-data-..-a-b", "/data/train=/data/../a \n\"b");
    ASSERT_SLUG("=", "=");
    ASSERT_SLUG("a=-", "a=\xC3\xA9\xC3\xA9/");
    char text[400] = "/name=";
    memset(text + 6, 'x', 300);
    char *one = text;
    us_overrides list = {&one, 1};
    char *slug = us_sweep_slug(&list);
    assert_int_equal(strlen(slug), 60);
    free(slug);
}

static void places_and_values(void **state) {
    (void)state;
    assert_true(us_override_same_place("/a/b=1", "a/b=2=3"));
    assert_false(us_override_same_place("/a/b=1", "/a=1"));
    assert_false(us_override_same_place("/a=1", "/ab=1"));
    char *value = us_override_value("/a=\"x, \\\"y\\\"\"");
    assert_string_equal(value, "x, \"y\"");
    free(value);
    value = us_override_value("/a=[1, 2]");
    assert_string_equal(value, "[1, 2]");
    free(value);
    value = us_override_value("/a=b=c");
    assert_string_equal(value, "b=c");
    free(value);
}

/* ---- runs and their folders ---- */

/* A file that is there serves as training images: nothing is read of it here. */
static const char data[] = "/data/train=" CONFIGS "/medium.json";
static const char *const overrides[] = {data};
static char out[300];
static const unseen_sweep_options options = {
    .out = out, .overrides = overrides, .override_count = 1};

static unseen_status open_sweep(const char *text, const unseen_sweep_options *with,
                                us_sweep *sweep) {
    snprintf(out, sizeof out, "%s/out", test_folder);
    error = (unseen_error){0};
    write_file(text, strlen(text));
    return us_sweep_open(test_path, with, NULL, sweep, &error);
}

static us_sweep open_good(const char *text) {
    us_sweep sweep;
    if (open_sweep(text, &options, &sweep) != UNSEEN_OK) fail_msg("%s", error.message);
    if (us_sweep_find_folders(&sweep, &error) != UNSEEN_OK) fail_msg("%s", error.message);
    return sweep;
}

static void sweep_refused(const char *text, const unseen_sweep_options *with,
                          const char *const *parts) {
    us_sweep sweep;
    assert_int_equal(open_sweep(text, with, &sweep), UNSEEN_BAD_INPUT);
    us_sweep_close(&sweep);
    for (; *parts; parts++)
        assert_contains(error.message, *parts);
}
#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define BASE "{\"base\": \"" CONFIGS "/medium.json\", "

static void configs_are_checked(void **state) {
    (void)state;
    sweep_refused(BASE "\"grid\": {\"/training/batch\": [64, 0]}}", &options,
                  PARTS(test_path, "run 2 (/training/batch=0)", "medium.json: /training/batch"));
    sweep_refused(BASE "\"runs\": [[], [\"/training/bacth=3\"]]}", &options,
                  PARTS("run 2", "did you mean \"batch\""));
    sweep_refused(BASE "\"runs\": [[]], \"set\": [\"/training/epochs=x\"]}", &options,
                  PARTS("run 1 (the base config)", "/training/epochs"));
    sweep_refused("{\"base\": \"nowhere.json\", \"runs\": [[]]}", &options, PARTS("nowhere.json"));
    unseen_sweep_options none = {.out = out};
    sweep_refused(BASE "\"runs\": [[]]}", &none, PARTS("/data/train", "--train"));
    sweep_refused(BASE "\"runs\": [[], [\"/data/test=nowhere.npy\"]]}", &options,
                  PARTS("run 2", "/data/test", "nowhere.npy"));
}

static void runs_are_distinct(void **state) {
    (void)state;
    sweep_refused(BASE "\"grid\": {\"/training/batch\": [64, 32]}, \"runs\":"
                       " [[\"/training/flip=false\", \"/training/batch=32\"]]}",
                  &options, PARTS("run 2", "run 3", "same config"));
    /* by names or by values, one data file or two spellings of it */
    sweep_refused(BASE "\"runs\": [[], [\"/description=other\", \"/training/seed=1\"]]}", &options,
                  PARTS("same config"));
    sweep_refused(BASE "\"runs\": [[\"/data/test=" CONFIGS "/boss.json\"], [\"/data/test=" CONFIGS
                       "/./boss.json\"]]}",
                  &options, PARTS("same config"));
    const char *const both[] = {data, "training/batch=8"};
    unseen_sweep_options more = {.out = out, .overrides = both, .override_count = 2};
    sweep_refused(BASE "\"grid\": {\"/training/batch\": [64, 32]}}", &more,
                  PARTS("training/batch=8", "/training/batch=64"));
}

static void precedence(void **state) {
    (void)state;
    const char *const epochs[] = {data, "/training/epochs=3"};
    unseen_sweep_options with = {.out = out, .overrides = epochs, .override_count = 2};
    us_sweep sweep;
    assert_int_equal(open_sweep(BASE "\"set\": [\"/training/epochs=2\", \"/training/batch=9\"],"
                                     " \"runs\": [[\"/training/batch=7\"]]}",
                                &with, &sweep),
                     UNSEEN_OK);
    unseen_config *config;
    assert_int_equal(us_sweep_config(&sweep, &sweep.entries[0], &config, &error), UNSEEN_OK);
    assert_int_equal(config->training.epochs, 3);
    assert_int_equal(config->training.batch, 7);
    unseen_config_free(config);
    us_sweep_close(&sweep);
}

/* A folder as a run leaves it, with that config of the sweep. */
static void make_folder(const char *name, const us_sweep *sweep, size_t index, const char *range,
                        bool done) {
    char folder[400], path[500];
    unseen_config *config;
    char *text;
    snprintf(folder, sizeof folder, "%s/%s", out, name);
    assert_int_equal(us_folder_create(folder, &error), UNSEEN_OK);
    assert_int_equal(us_sweep_config(sweep, &sweep->entries[index], &config, &error), UNSEEN_OK);
    us_json input = us_json_member(&config->root, "input");
    cJSON_ReplaceItemInObject(input.value, "range", cJSON_CreateString(range));
    assert_int_equal(unseen_config_resolved(config, &text, &error), UNSEEN_OK);
    unseen_config_free(config);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(us_file_write(path, text, strlen(text), &error), UNSEEN_OK);
    unseen_string_free(text);
    snprintf(path, sizeof path, "%s/metrics.json", folder);
    const char metrics[] = "{\"loss\": 0.25, \"auc\": 0.5, \"held_out_loss\": null}";
    if (done) assert_int_equal(us_file_write(path, metrics, strlen(metrics), &error), UNSEEN_OK);
}

static void assert_folder(const us_sweep *sweep, size_t index, const char *name) {
    char folder[400];
    snprintf(folder, sizeof folder, "%s/%s", out, name);
    assert_string_equal(sweep->entries[index].folder, folder);
}

static void folders_are_found(void **state) {
    (void)state;
    us_sweep sweep = open_good(BASE "\"grid\": {\"/training/batch\": [16, 32, 64]}}");
    assert_folder(&sweep, 0, "001-batch=16");
    assert_folder(&sweep, 2, "003-batch=64");
    make_folder("001-batch=16", &sweep, 0, "0..255", true);
    make_folder("002-batch=32", &sweep, 1, "auto", false);
    make_folder("another", &sweep, 2, "auto", true); /* is not looked at */
    us_sweep_close(&sweep);

    /* The plan has changed: 16 is gone, 32 is written otherwise, 8 and 128 are new. */
    sweep = open_good(BASE "\"runs\": [[\"/training/batch=8\"], {\"/training/flip\": false,"
                           " \"/training/batch\": 32, \"/description\": \"?\"},"
                           " [\"/training/batch=64\"], [\"/training/batch=128\"]]}");
    assert_folder(&sweep, 0, "005-batch=8");
    assert_folder(&sweep, 1, "002-batch=32");
    assert_folder(&sweep, 2, "003-batch=64");
    assert_folder(&sweep, 3, "004-batch=128");
    assert_false(sweep.entries[0].started);
    assert_true(sweep.entries[1].started);
    assert_int_equal(sweep.entries[1].status, US_ENTRY_WAITING);
    assert_int_equal(sweep.strangers, 1);
    us_sweep_close(&sweep);

    /* The range that the run found out does not make it another run. */
    sweep = open_good(BASE "\"runs\": [[\"/training/batch=16\"]]}");
    assert_folder(&sweep, 0, "001-batch=16");
    assert_int_equal(sweep.entries[0].status, US_ENTRY_DONE);
    assert_int_equal(sweep.strangers, 1);
    us_sweep_close(&sweep);

    /* Any other change does. */
    sweep =
        open_good(BASE "\"set\": [\"/training/epochs=3\"], \"runs\": [[\"/training/batch=16\"]]}");
    assert_folder(&sweep, 0, "003-batch=16");
    assert_int_equal(sweep.strangers, 2);
    us_sweep_close(&sweep);
}

/* ---- the leaderboard ---- */

static void set_metrics(us_sweep *sweep, size_t index, const char *metrics) {
    cJSON_Delete(sweep->entries[index].metrics);
    sweep->entries[index].metrics = cJSON_Parse(metrics);
    assert_non_null(sweep->entries[index].metrics);
    sweep->entries[index].status = US_ENTRY_DONE;
}

/* expected: the last characters of the runs' folders, best first; `by` is what ranked them */
static void assert_ranking(us_sweep *sweep, const char *by, const char *expected) {
    cJSON *json;
    assert_int_equal(us_leaderboard_json(sweep, &json, &error), UNSEEN_OK);
    assert_string_equal(cJSON_GetObjectItem(json, "by")->valuestring, by);
    char order[16] = "";
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItem(json, "runs")) {
        const char *folder = cJSON_GetObjectItem(run, "out")->valuestring;
        strncat(order, folder + strlen(folder) - 1, 1);
    }
    assert_string_equal(order, expected);
    assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(json, "label_informed")),
                     strcmp(by, "auc") == 0);
    cJSON_Delete(json);
}

static void ranking(void **state) {
    (void)state;
    unseen_sweep_options with = options;
    us_sweep sweep;
    assert_int_equal(
        open_sweep(BASE "\"grid\": {\"/training/seed\": [1, 2, 3, 4]}}", &with, &sweep), UNSEEN_OK);
    snprintf(out, sizeof out, "%s/ranking", test_folder);
    assert_int_equal(us_sweep_find_folders(&sweep, &error), UNSEEN_OK);
    assert_ranking(&sweep, "loss", "1234");
    set_metrics(&sweep, 0, "{\"loss\": 0.1, \"held_out_loss\": 0.4, \"auc\": 0.7}");
    set_metrics(&sweep, 2, "{\"loss\": 0.3, \"held_out_loss\": 0.2, \"auc\": 0.6}");
    set_metrics(&sweep, 3, "{\"loss\": 0.2, \"held_out_loss\": 0.3, \"auc\": 0.9}");
    assert_ranking(&sweep, "held_out_loss", "3412");
    with.by = "loss";
    assert_ranking(&sweep, "loss", "1432");
    with.by = "auc";
    assert_ranking(&sweep, "auc", "4132");
    with.by = NULL;
    set_metrics(&sweep, 1, "{\"loss\": 0.1}");
    assert_ranking(&sweep, "loss", "1243");
    set_metrics(&sweep, 1, "{\"loss\": null}"); /* as of a run whose loss is not finite */
    assert_ranking(&sweep, "loss", "1432");
    us_sweep_close(&sweep);
    with.by = "accuracy";
    assert_int_equal(us_leaderboard_check(&with, &error), UNSEEN_BAD_INPUT);
}

static void read_text(const char *name, char *text, size_t size) {
    char path[400], *content;
    size_t length;
    snprintf(path, sizeof path, "%s/%s", out, name);
    assert_int_equal(us_file_read(path, size - 1, &content, &length, &error), UNSEEN_OK);
    memcpy(text, content, length + 1);
    free(content);
}

static void table(void **state) {
    (void)state;
    us_sweep sweep;
    assert_int_equal(open_sweep(BASE "\"runs\": [[\"/name=a, \\\"b\\\"\"], [\"training/seed=2\"],"
                                     " {\"/name\": \"c\", \"/training/seed\": 3}]}",
                                &options, &sweep),
                     UNSEEN_OK);
    snprintf(out, sizeof out, "%s/table", test_folder);
    assert_int_equal(us_folder_create(out, &error), UNSEEN_OK);
    assert_int_equal(us_sweep_find_folders(&sweep, &error), UNSEEN_OK);
    set_metrics(&sweep, 1,
                "{\"loss\": 0.5, \"held_out_loss\": 0.25, \"auc\": 0.75, \"auc_ci95\": [0.5, 1],"
                " \"epochs\": 3, \"train_seconds\": 1.5, \"synthetic_auc\": 0.625}");
    assert_int_equal(us_leaderboard_write(&sweep, &error), UNSEEN_OK);
    char text[4096], expected[4096];
    read_text("leaderboard.csv", text, sizeof text);
    snprintf(expected, sizeof expected,
             "rank,out,status,held_out_loss,loss,auc,auc_low,auc_high,epochs,parameters,"
             "train_seconds,synthetic_auc,/name,training/seed\n"
             "1,%s/002-seed=2,done,0.25,0.5,0.75,0.5,1,3,47355,1.5,0.625,,2\n"
             ",%s/001-a-b-,waiting,,,,,,,47355,,,\"a, \"\"b\"\"\",\n"
             ",%s/003-c,waiting,,,,,,,47355,,,c,3\n",
             out, out, out);
    assert_string_equal(text, expected);
    read_text("sweep.json", text, sizeof text);
    assert_contains(text, "\"best\": ");
    us_sweep_close(&sweep);
}

/* ---- the plans that come with the program ---- */

static void installed_plans(void **state) {
    (void)state;
    static const char *const names[] = {"rates", "search", "widths"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[400];
        us_sweep sweep;
        snprintf(path, sizeof path, "%s/sweeps/%s.json", CONFIGS, names[i]);
        if (us_sweep_open(path, &options, NULL, &sweep, &error) != UNSEEN_OK)
            fail_msg("%s", error.message);
        assert_true(sweep.count >= 4);
        us_sweep_close(&sweep);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_order),
        cmocka_unit_test(grid_runs_and_seeds),
        cmocka_unit_test(hostile_plans),
        cmocka_unit_test(too_many_runs),
        cmocka_unit_test(sobol_sequence),
        cmocka_unit_test(sampled_runs_are_even),
        cmocka_unit_test(sampled_runs_and_others),
        cmocka_unit_test(hostile_samples),
        cmocka_unit_test(slugs),
        cmocka_unit_test(places_and_values),
        cmocka_unit_test(configs_are_checked),
        cmocka_unit_test(runs_are_distinct),
        cmocka_unit_test(precedence),
        cmocka_unit_test(folders_are_found),
        cmocka_unit_test(ranking),
        cmocka_unit_test(table),
        cmocka_unit_test(installed_plans),
    };
    return cmocka_run_group_tests(tests, data_setup, teardown);
}
