/* SPDX-License-Identifier: MIT */
/* Reports: what is on the page, what never is, and folders that are not as they should be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "evaluation/metrics.h"
#include "evaluation/report.h"

static char folder[] = "/tmp/unseen-report-XXXXXX";
static char run_a[64], run_b[64], page_path[64];
static const char *const names[] = {"config.json", "log.jsonl",      "metrics.json",  "scores.csv",
                                    "report.html", "prediction.csv", "pictures.json", NULL};

static int set_up(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return 1;
    snprintf(run_a, sizeof run_a, "%s/a", folder);
    snprintf(run_b, sizeof run_b, "%s/b", folder);
    snprintf(page_path, sizeof page_path, "%s/compare.html", folder);
    return mkdir(run_a, 0700) || mkdir(run_b, 0700);
}

static void empty(const char *run) {
    for (int i = 0; names[i]; i++) {
        char *path = us_path_join(run, names[i]);
        unlink(path);
        free(path);
    }
}

static int start_empty(void **unused) {
    (void)unused;
    empty(run_a);
    empty(run_b);
    unlink(page_path);
    return 0;
}

static int tear_down(void **unused) {
    start_empty(unused);
    return rmdir(run_a) || rmdir(run_b) || rmdir(folder);
}

static void put(const char *run, const char *name, const char *text) {
    unseen_error error = {0};
    char *path = us_path_join(run, name);
    if (us_file_write(path, text, strlen(text), &error)) fail_msg("%s", error.message);
    free(path);
}

static char *get(const char *path) {
    char *bytes;
    size_t size;
    unseen_error error = {0};
    if (us_file_read(path, 1 << 24, &bytes, &size, &error)) fail_msg("%s", error.message);
    return bytes;
}

static char *report(const char *run) {
    unseen_error error = {0};
    if (us_report_run(run, &error)) fail_msg("%s", error.message);
    char *path = us_path_join(run, "report.html"), *page = get(path);
    free(path);
    return page;
}

static void assert_has(const char *page, const char *words) {
    if (!strstr(page, words)) fail_msg("the page has no: %s", words);
}

static void assert_lacks(const char *page, const char *words) {
    if (strstr(page, words)) fail_msg("the page has: %s", words);
}

static int occurrences(const char *page, const char *words) {
    int count = 0;
    for (const char *at = page; (at = strstr(at, words)); at += strlen(words))
        count++;
    return count;
}

/* Every element that is opened is closed, in order; and nothing can run or load. */
static void assert_well_formed(const char *page) {
    static const char *const empty_ones[] = {"meta", "br", "img", "path", "circle", "!DOCTYPE"};
    char open[64][16];
    int depth = 0;
    for (const char *at = page; (at = strchr(at, '<')); at++) {
        bool closing = at[1] == '/';
        char name[16];
        size_t length = strcspn(at + 1 + closing, " >/\n");
        assert_true(length > 0 && length < sizeof name);
        memcpy(name, at + 1 + closing, length);
        name[length] = '\0';
        bool is_empty = false;
        for (size_t i = 0; i < sizeof empty_ones / sizeof *empty_ones; i++)
            is_empty = is_empty || !strcmp(name, empty_ones[i]);
        if (is_empty) continue;
        if (closing) {
            if (!depth || strcmp(open[--depth], name)) fail_msg("</%s> is out of place", name);
        } else {
            assert_true(depth < 64);
            strcpy(open[depth++], name);
        }
    }
    assert_int_equal(depth, 0);
    assert_lacks(page, "<script");
    assert_lacks(page, "http:");
    assert_lacks(page, "https:");
    assert_lacks(page, "url(");
    assert_int_equal(occurrences(page, "src="), occurrences(page, " src=\"data:image/png;base64,"));
    assert_lacks(page, "href=");
    assert_lacks(page, "@import");
    assert_lacks(page, ">nan");
    assert_lacks(page, "\"nan");
    assert_lacks(page, "inf\"");
}

static void put_scores(const char *run, bool labelled, bool constant) {
    static const char *const columns[] = {"score", "classifier <i>"};
    us_scores scores;
    unsigned char anomalous[300];
    assert_int_equal(us_scores_create(300, 2, columns, &scores, NULL), UNSEEN_OK);
    for (int i = 0; i < 300; i++) {
        anomalous[i] = i % 3 == 0;
        scores.values[0][i] = constant ? 1 : 5 + sin(i * 1.3) + anomalous[i];
        scores.values[1][i] = i == 7 ? 1e6 : cos(i * 0.7) - 0.5 * anomalous[i];
    }
    char *path = us_path_join(run, "scores.csv");
    assert_int_equal(us_scores_write_all(&scores, labelled ? anomalous : NULL, path, NULL),
                     UNSEEN_OK);
    free(path);
    us_scores_destroy(&scores);
}

static const char metrics[] =
    "{\"name\": \"faces <b>&\\\"x\\\"</b>\", \"train_seconds\": 50000, \"epochs\": 3, \"loss\": "
    "0.0125, \"device\": \"Some GPU <1>\", \"out\": \"runs/a\", \"parameters\": 3176419, "
    "\"threshold\": 6.25, \"false_positive_rate\": 0.05, \"calibrated_on\": \"held-out slice\"}";
static const char config[] = "{\"name\": \"faces\", \"description\": \"A </pre><script>alert(1)"
                             "</script> test\", \"detector\": {\"type\": \"autoencoder\"}}";
static const char log_lines[] =
    "{\"epoch\":1,\"loss\":1.5,\"held_out_loss\":1.6,\"learning_rate\":0.001,"
    "\"images_per_second\":1000,\"seconds\":1}\n"
    "{\"epoch\":2,\"loss\":0.7,\"held_out_loss\":null,\"images_per_second\":1000}\n"
    "{\"epoch\":3,\"loss\":99,\"held_out_loss\":0.4}\n"
    "{\"epoch\":3,\"loss\":0.0125,\"held_out_loss\":0.015,\"images_per_second\":1234}\n"
    "{\"epoch\":4,\"lo";

static void test_whole_run(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", metrics);
    put(run_a, "config.json", config);
    put(run_a, "log.jsonl", log_lines);
    put_scores(run_a, true, false);
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "<h1>faces &lt;b&gt;&amp;&quot;x&quot;&lt;/b&gt;</h1>");
    assert_has(page, "A &lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; test");
    assert_has(page, "Some GPU &lt;1&gt;");
    assert_has(page, "classifier &lt;i&gt;");
    assert_has(page, "prefers-color-scheme:dark");
    assert_has(page, "3,176,419");
    assert_has(page, "13 h 53 min");
    assert_has(page, "1,234 images/s");
    assert_has(page, "<strong>6.25</strong>");
    assert_has(page, "At most 5.0% of normal images reach it, judged by: held-out slice.");
    assert_has(page, "ROC: anomalous images found");
    assert_has(page, "normal (200)");
    assert_has(page, "anomalous (100)");
    assert_has(page, "Loss by epoch");
    assert_has(page, "epoch 3: 0.0125</title>");
    assert_lacks(page, "epoch 3: 99");
    assert_has(page, "held out, epoch 3: 0.015");
    assert_int_equal(occurrences(page, "<figure>"), 4);
    assert_int_equal(occurrences(page, "role=\"img\"><title>"), 4);
    /* The second score finds normal images: its own row has the numbers, the first the warnings. */
    assert_lacks(page, "class=\"warning\"");

    us_scores scores;
    char *path = us_path_join(run_a, "scores.csv"), text[64];
    assert_int_equal(us_scores_read(path, NULL, &scores, NULL), UNSEEN_OK);
    us_metrics m;
    assert_int_equal(us_metrics_compute(scores.values[0], scores.anomalous, 300, &m, NULL),
                     UNSEEN_OK);
    snprintf(text, sizeof text, "<dt>AUC</dt><dd>%.4f</dd>", m.auc);
    assert_has(page, text);
    snprintf(text, sizeof text, "%.4f to %.4f", m.auc_ci95[0], m.auc_ci95[1]);
    assert_has(page, text);
    us_scores_destroy(&scores);
    free(path);

    char *again = report(run_a);
    assert_string_equal(page, again); /* the same folder gives the same bytes */
    free(page);
    free(again);
}

static void test_runs_own_metrics_and_warnings(void **unused) {
    (void)unused;
    put(run_a, "metrics.json",
        "{\"auc\": 0.25, \"auc_ci95\": [0.2, \"x\"], \"n\": 10, \"positives\": 5, \"tpr_at_fpr\": "
        "[], \"columns\": {\"only\": {\"auc\": 0.25}, \"other\": 3}, \"warnings\": [\"upside "
        "<down>\", 7], \"threshold\": null, \"epochs\": \"many\", \"device\": 5}");
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "<h1>a</h1>");
    assert_has(page, "<strong>Warning:</strong> upside &lt;down&gt;");
    assert_has(page, "95% interval 0.2000 to unknown");
    assert_has(page, "<th scope=\"row\">only</th><td>0.2500</td>");
    assert_lacks(page, "<figure>");
    assert_lacks(page, "Threshold</h2>");
    free(page);
}

static void test_parts_of_the_loss(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", "{}");
    put(run_a, "log.jsonl",
        "{\"epoch\":1,\"loss\":3,\"losses\":{\"re<con\":1,\"real\":2,\"a name that is longer than "
        "thirty-one bytes\":1}}\n{\"epoch\":2,\"loss\":2,\"losses\":{\"real\":0.5}}\n");
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "Parts of the training loss");
    assert_has(page, "re&lt;con, epoch 1: 1</title>");
    assert_lacks(page, "re&lt;con, epoch 2");
    assert_has(page, "real, epoch 2: 0.5</title>");
    free(page);
    put(run_a, "log.jsonl", "{\"epoch\":1,\"loss\":3,\"losses\":{\"only\":3}}\n");
    page = report(run_a);
    assert_lacks(page, "Parts of the training loss");
    free(page);
}

static void test_without_labels(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", metrics);
    put_scores(run_a, false, false);
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "without labels");
    assert_has(page, "all images (300)");
    assert_lacks(page, "ROC");
    assert_lacks(page, "<dt>AUC</dt>");
    assert_int_equal(occurrences(page, "<figure>"), 2);
    free(page);

    empty(run_a);
    put(run_a, "metrics.json", "{}");
    put(run_a, "prediction.csv", "Id,Predicted\n0,1.5\n1,nan\n");
    page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "Test images</dt><dd>2</dd>");
    free(page);
}

static void test_scores_that_tell_nothing(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", "{\"threshold\": 1}");
    put_scores(run_a, true, true);
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "<strong>Warning:</strong> score &quot;score&quot;: all 300 scores are 1");
    assert_lacks(page, "<dt>AUC</dt>");
    free(page);
}

static void test_strange_numbers(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", "{\"loss\": 1e300, \"train_seconds\": 1e300, \"epochs\": -5}");
    put(run_a, "log.jsonl",
        "{\"epoch\":1,\"loss\":1e308}\n\n{\"epoch\":2,\"loss\":-1e308}\n[]\n{\"epoch\":3}\n");
    put(run_a, "scores.csv", "id,a\n0,1e308\n1,-1e308\n2,0\n");
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "too wide a range");
    free(page);
    put(run_a, "log.jsonl", "{\"epoch\":5,\"loss\":0}\n");
    put(run_a, "scores.csv", "id,a\n0,3\n");
    page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "<circle class=\"dot k0\"");
    free(page);
    put(run_a, "log.jsonl", "{\"epoch\":1,\"loss\":1e-320}\n{\"epoch\":2,\"loss\":1e300}\n");
    put(run_a, "scores.csv", "id,a\n0,1e17\n1,100000000000000016\n2,5e-324\n");
    page = report(run_a);
    assert_well_formed(page);
    free(page);
}

static const char pictures[] =
    "{\"low\": 0.0125, \"high\": 2.5, \"groups\": [{\"name\": \"most_anomalous\", \"images\": ["
    "{\"id\": 1234, \"score\": 7.125, \"anomalous\": true, \"image\": "
    "\"data:image/png;base64,iVBORw0KGgo=\", \"map\": \"data:image/png;base64,abcd+/\", "
    "\"mask\": \"data:image/png;base64,AA==\"},"
    "{\"id\": 2, \"name\": \"crack/<b>.jpg\", \"score\": null, \"anomalous\": null, \"image\": "
    "\"data:image/png;base64,AAAA\\\" onerror=\\\"alert(1)\", \"map\": "
    "\"https://somewhere/x.png\", "
    "\"mask\": 7}]}, {\"name\": \"false_alarms\", \"images\": []}, {\"name\": \"other\"}, 5]}";

/* Pictures with what they show in words; what is no picture stays out of the page. */
static void test_pictures(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", metrics);
    put(run_a, "pictures.json", pictures);
    put_scores(run_a, true, false);
    char *page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "img-src data:");
    assert_has(
        page,
        "<img src=\"data:image/png;base64,iVBORw0KGgo=\" alt=\"as the model sees it: image 1,234");
    assert_has(page, "alt=\"map, bright where it is anomalous: image 1,234\">");
    assert_has(page, "alt=\"mask, white where it is anomalous: image 1,234\">");
    assert_has(page, "Image 1,234, anomalous<small>score 7.125</small>");
    assert_has(page, "black is an error of 0.0125, the brightest 2.5 or more");
    assert_has(page, "Image crack/&lt;b&gt;.jpg<small>score unknown</small>");
    assert_has(page, "No normal image reaches the threshold.");
    assert_has(page, "No anomalous image is below the threshold.");
    assert_int_equal(occurrences(page, "<img"), 3);
    assert_lacks(page, "onerror");
    assert_lacks(page, "somewhere");
    free(page);
    put(run_a, "pictures.json", "{\"low\": null, \"high\": null, \"groups\": 1}");
    page = report(run_a);
    assert_well_formed(page);
    assert_has(page, "This detector does not tell where an image is anomalous.");
    assert_lacks(page, "<img");
    free(page);
}

static void refused(const char *words) {
    unseen_error error = {0};
    assert_int_equal(us_report_run(run_a, &error), UNSEEN_BAD_INPUT);
    if (!strstr(error.message, words)) fail_msg("no \"%s\" in: %s", words, error.message);
    char *path = us_path_join(run_a, "report.html");
    assert_false(us_file_exists(path));
    free(path);
}

static void test_damaged_folders(void **unused) {
    (void)unused;
    refused("is not a run folder");
    put(run_a, "metrics.json", "[]");
    refused("metrics.json");
    put(run_a, "metrics.json", "{\"auc\": ");
    refused("metrics.json");
    put(run_a, "metrics.json", "{}");
    put(run_a, "config.json", "nonsense");
    refused("config.json");
    put(run_a, "config.json", "{}");
    put(run_a, "log.jsonl", "{\"epoch\":1,\"loss\":1}\n{\"epoch\":\n{\"epoch\":3,\"loss\":1}\n");
    refused("log.jsonl");
    put(run_a, "log.jsonl", "");
    put(run_a, "scores.csv", "id,a\n0,x\n");
    refused("scores.csv: line 2");
}

static void test_comparison(void **unused) {
    (void)unused;
    put(run_a, "metrics.json", metrics);
    put(run_b, "metrics.json",
        "{\"name\": \"better\", \"auc\": 0.95, \"auc_ci95\": [0.94, 0.96], \"loss\": 0.5}");
    put_scores(run_a, true, false);
    put_scores(run_b, true, false);
    const char *const both[] = {run_a, run_b};
    char *json;
    unseen_error error = {0};
    if (unseen_report(both, 2, page_path, false, &json, &error)) fail_msg("%s", error.message);
    cJSON *object = cJSON_Parse(json);
    cJSON *runs = cJSON_GetObjectItem(object, "runs");
    cJSON *first = cJSON_GetArrayItem(runs, 0), *second = cJSON_GetArrayItem(runs, 1);
    assert_int_equal(cJSON_GetArraySize(runs), 2);
    assert_string_equal(cJSON_GetObjectItem(first, "out")->valuestring, run_a);
    assert_string_equal(cJSON_GetObjectItem(second, "name")->valuestring, "better");
    assert_true(cJSON_GetObjectItem(second, "auc")->valuedouble == 0.95);
    assert_true(cJSON_GetArrayItem(cJSON_GetObjectItem(second, "auc_ci95"), 1)->valuedouble ==
                0.96);
    assert_true(cJSON_GetObjectItem(first, "loss")->valuedouble == 0.0125);
    assert_true(cJSON_GetObjectItem(first, "epochs")->valuedouble == 3);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(second, "epochs")));
    cJSON_Delete(object);
    unseen_string_free(json);

    char *page = get(page_path);
    assert_well_formed(page);
    assert_true(strstr(page, "scope=\"row\">better") < strstr(page, "scope=\"row\">faces &lt;b"));
    assert_has(page, "ROC curves");
    free(page);
    char *path = us_path_join(run_b, "report.html");
    assert_true(us_file_exists(path));
    free(path);

    /* Without a comparison, and refusals: no page is left. */
    unlink(page_path);
    assert_int_equal(unseen_report(both, 1, NULL, false, &json, &error), UNSEEN_OK);
    unseen_string_free(json);
    empty(run_b);
    assert_int_equal(unseen_report(both, 2, page_path, false, &json, &error), UNSEEN_BAD_INPUT);
    assert_null(json);
    assert_non_null(strstr(error.message, run_b));
    assert_int_equal(unseen_report(both, 0, page_path, false, &json, &error), UNSEEN_BAD_INPUT);
    assert_false(us_file_exists(page_path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_whole_run, start_empty),
        cmocka_unit_test_setup(test_runs_own_metrics_and_warnings, start_empty),
        cmocka_unit_test_setup(test_parts_of_the_loss, start_empty),
        cmocka_unit_test_setup(test_without_labels, start_empty),
        cmocka_unit_test_setup(test_scores_that_tell_nothing, start_empty),
        cmocka_unit_test_setup(test_strange_numbers, start_empty),
        cmocka_unit_test_setup(test_pictures, start_empty),
        cmocka_unit_test_setup(test_damaged_folders, start_empty),
        cmocka_unit_test_setup(test_comparison, start_empty),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
