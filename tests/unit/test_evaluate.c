/* unseen_evaluate: a file of scores against a file of labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/file.h"

static char folder[] = "/tmp/unseen-evaluate-XXXXXX";
static char scores[64], labels[64];

static int set_up(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return 1;
    snprintf(scores, sizeof scores, "%s/scores.csv", folder);
    snprintf(labels, sizeof labels, "%s/labels.csv", folder);
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    unlink(scores);
    unlink(labels);
    return rmdir(folder);
}

static void put(const char *path, const char *text) {
    unseen_error error = {0};
    if (us_file_write(path, text, strlen(text), &error)) fail_msg("%s", error.message);
}

static double auc(const char *labels_path, const char *normal) {
    char *json;
    unseen_error error = {0};
    if (unseen_evaluate(scores, labels_path, normal, &json, &error)) fail_msg("%s", error.message);
    cJSON *object = cJSON_Parse(json);
    double value = cJSON_GetObjectItem(object, "auc")->valuedouble;
    assert_int_equal(cJSON_GetObjectItem(object, "n")->valueint, 5);
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(object, "columns"), "Predicted"));
    cJSON_Delete(object);
    unseen_string_free(json);
    return value;
}

static void refused(const char *labels_path, const char *normal, const char *words) {
    char *json;
    unseen_error error = {0};
    assert_int_equal(unseen_evaluate(scores, labels_path, normal, &json, &error), UNSEEN_BAD_INPUT);
    assert_null(json);
    if (!strstr(error.message, words)) fail_msg("no \"%s\" in: %s", words, error.message);
}

static const char slides[] = "Id,Predicted\n0,11383\n1,256676\n2,862365\n3,152435\n4,848171\n";

static void test_the_slides_example(void **unused) {
    (void)unused;
    put(scores, slides);
    put(labels, "0\n1\n1\n0\n0\n");
    assert_true(auc(labels, NULL) == 5.0 / 6);
    assert_true(auc(labels, "1") == 1.0 / 6); /* label 1 as the normal class */
    put(labels, "7\n3\n2\n7\n7\n");
    assert_true(auc(labels, "7") == 5.0 / 6);
}

static void test_labels_in_the_file_itself(void **unused) {
    (void)unused;
    put(scores, "id,Predicted,anomalous\n0,11383,0\n1,256676,1\n2,862365,1\n3,152435,0\n"
                "4,848171,0\n");
    assert_true(auc(NULL, NULL) == 5.0 / 6);
    put(scores, slides);
    refused(NULL, NULL, "anomalous");
}

static void test_refusals(void **unused) {
    (void)unused;
    put(labels, "0\n1\n1\n0\n0\n");
    put(scores, "Id,Predicted\n0,3\n1,3\n2,3\n3,3\n4,3\n");
    refused(labels, NULL, "constant");
    refused(labels, NULL, scores);
    put(scores, "Id,Predicted\n0,3\n1,3\n2,3\n3,nan\n4,3\n");
    refused(labels, NULL, "score \"Predicted\": the score of image 3 is nan");
    put(scores, "Id,Predicted\n0,3\n1,4\n");
    refused(labels, NULL, labels);
    put(scores, slides);
    put(labels, "0\n1\n2\n0\n0\n");
    refused(labels, NULL, labels);
    refused(labels, "5", labels);
    put(labels, "1\n1\n1\n1\n1\n");
    refused(labels, NULL, "all 5 images are anomalous");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_slides_example),
        cmocka_unit_test(test_labels_in_the_file_itself),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
