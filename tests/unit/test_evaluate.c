/* SPDX-License-Identifier: MIT */
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
static const char *label_column; /* --label-column; NULL: none */
static char joined[160];         /* how the last ones were */

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
    unseen_evaluate_options options = {
        .scores = scores, .labels = labels_path, .normal = normal, .label_column = label_column};
    if (unseen_evaluate(&options, &json, &error)) fail_msg("%s", error.message);
    cJSON *object = cJSON_Parse(json);
    double value = cJSON_GetObjectItem(object, "auc")->valuedouble;
    assert_int_equal(cJSON_GetObjectItem(object, "n")->valueint, 5);
    cJSON *told = cJSON_GetObjectItem(object, "labels");
    assert_string_equal(cJSON_GetObjectItem(told, "path")->valuestring,
                        labels_path ? labels_path : scores);
    assert_int_equal(cJSON_GetObjectItem(told, "count")->valueint, 5);
    snprintf(joined, sizeof joined, "%s", cJSON_GetObjectItem(told, "joined")->valuestring);
    cJSON_Delete(object);
    unseen_string_free(json);
    return value;
}

static void refused(const char *labels_path, const char *normal, const char *words) {
    char *json;
    unseen_error error = {0};
    unseen_evaluate_options options = {
        .scores = scores, .labels = labels_path, .normal = normal, .label_column = label_column};
    assert_int_equal(unseen_evaluate(&options, &json, &error), UNSEEN_BAD_INPUT);
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

/* Every way in which rows find each other; the AUC is that of the slides' example. */
static void test_joining(void **unused) {
    (void)unused;
    static const char rows[] = "score\n11383\n256676\n862365\n152435\n848171\n";
    static const char named[] = "file,score\nc,862365\na,11383\nd,152435\nb,256676\ne,848171\n";
    static const char counted[] = ",file,s\n9,c,862365\n8,a,11383\n7,d,152435\n6,b,256676\n"
                                  "5,e,848171\n";
    static const struct {
        const char *scores, *labels, *joined;
    } cases[] = {
        {rows, "0\n1\n1\n0\n0\n", "by row"},
        {rows, "label\nFalse\nTrue\nTrue\nFalse\nFalse\n", "by row"},
        {slides, "0\n1\n1\n0\n0\n", "by column Id"},
        {slides, "Id,label\n4,0\n2,1\n0,0\n1,1\n3,0\n", "by column Id"},
        {slides, ",label\n4,0\n2,1\n0,0\n1,1\n3,0\n", "by the first column and column Id"},
        {rows, "index,label\n4,0\n2,1\n0,0\n1,1\n3,0\n", "by column index"},
        {"Id,s\n4,848171\n2,862365\n0,11383\n1,256676\n3,152435\n", "0\n1\n1\n0\n0\n",
         "by column Id"},
        {"Id,s\n-4,848171\n20,862365\n7,11383\n8,256676\n9,152435\n",
         "id,file,label\n7,a,0\n8,a,1\n9,a,0\n20,a,1\n-4,a,0\n", "by column id and column Id"},
        {named, "name,label\ne,0\nc,1\na,0\nb,1\nd,0\n", "by column name and column file"},
        {named, ",file,label\n0,e,0\n1,c,1\n2,a,0\n3,b,1\n4,d,0\n", "by column file"},
        {counted, ",file,label\n5,c,1\n6,e,0\n7,a,0\n8,b,1\n9,d,0\n", "by column file"},
        {"file;score\n\"c;\"\"x\"\"\";8,5\na;0,1\nd;2,0\nb;3,4\ne;8,1\n",
         "file,label\n\"c;\"\"x\"\"\",1\na,0\nb,1\nd,0\ne,0\n", "by column file"},
        {"Id,s\n1,11383\n2,256676\n3,862365\n4,152435\n5,848171\n",
         "Id,label\n5,0\n4,0\n3,1\n2,1\n1,0\n", "by column Id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(scores, cases[i].scores);
        put(labels, cases[i].labels);
        if (auc(labels, NULL) != 5.0 / 6) fail_msg("case %zu", i);
        assert_string_equal(joined, cases[i].joined);
    }
}

static void test_what_cannot_be_joined(void **unused) {
    (void)unused;
    static const char named[] = "file,s\nc,8\na,1\nd,2\n";
    static const struct {
        const char *scores, *labels, *words;
    } cases[] = {
        {slides, "Id,label\n1,0\n2,1\n3,0\n4,1\n5,0\n", "line 6: the id 5 (column Id) is not in"},
        {slides, "Id,label\n1,0\n2,1\n3,0\n4,1\n5,0\n", "ids of 1 to 5 are here, 5 scores with"},
        {slides, "Id,label\n1,0\n2,1\n3,0\n4,1\n", "line 2: the id 0 (column Id) is not in"},
        {"Id,s\n0,1\n2,2\n", "0\n1\n", "line 3: the id 2 (column Id) is none of the 2 labels"},
        {"Id,s\n1,1\n2,2\n", "0\n1\n", "subtract 1"},
        {"Id,s\n1,1\n", "0\n1\n", "the id 0 is missing"},
        {named, "file,label\nc,1\na,0\nb,0\n", "line 4: the id b (column file) is not in"},
        {named, "file,label\nc,1\na,0\na,0\n", "line 4: the id a is there twice"},
        {named, "file,label\nc,1\na,0\n", "line 4: the id d (column file) is not in"},
        {named, "Id,label\n0,1\n1,0\n2,0\n", "'c' (column file) is no whole number"},
        {named, "1\n0\n0\n", "'c' (column file) is no whole number"},
        {"1\n2\n3\n", "file,label\nc,1\na,0\nd,0\n", "'c' (column file) is no whole number"},
        {"1\n2\n3\n", "Id,label\n0,1\n1,0\n3,0\n", "line 4: the id 3 (column Id) is none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(scores, cases[i].scores);
        put(labels, cases[i].labels);
        refused(labels, NULL, cases[i].words);
    }
}

static void test_labels_beside_the_scores(void **unused) {
    (void)unused;
    put(scores, "name,target,s\nx,bad,11383\nx,good,256676\nx,good,862365\nx,bad,152435\n"
                "x,bad,848171\n");
    assert_true(auc(NULL, "bad") == 5.0 / 6);
    assert_string_equal(joined, "by row");
    put(scores, "s,odd\n11383,0\n256676,1.0\n862365,1\n152435,0\n848171,0\n");
    refused(NULL, NULL, "no column \"anomalous\"");
    label_column = "odd";
    assert_true(auc(NULL, NULL) == 5.0 / 6);
    put(scores, slides);
    put(labels, "Id,label,odd\n0,1,0\n1,1,1\n2,1,1\n3,1,0\n4,0,0\n");
    assert_true(auc(labels, NULL) == 5.0 / 6);
    label_column = "even";
    refused(labels, NULL, "no column \"even\"");
    label_column = NULL;
}

/* Of any kind of float, but not the labels in place of the scores. */
static void test_scores_of_an_array(void **unused) {
    (void)unused;
    static const double values[] = {11383, 256676, 862365, 152435, 848171};
    char bytes[128 + sizeof values];
    memset(bytes, ' ', 128);
    memcpy(bytes, "\x93NUMPY\1\0v\0", 10);
    static const char header[] = "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }";
    memcpy(bytes + 10, header, sizeof header - 1);
    memcpy(bytes + 128, values, sizeof values);
    unseen_error error = {0};
    assert_int_equal(us_file_write(scores, bytes, sizeof bytes, &error), UNSEEN_OK);
    put(labels, "Id,label\n4,0\n2,1\n0,0\n1,1\n3,0\n");
    assert_true(auc(labels, NULL) == 5.0 / 6);
    assert_string_equal(joined, "by column Id");
    refused(NULL, NULL, "give a file of labels");
    memcpy(strstr(bytes + 10, "<f8"), "<i8", 3);
    assert_int_equal(us_file_write(scores, bytes, sizeof bytes, &error), UNSEEN_OK);
    refused(labels, NULL, "holds int64");
}

static void test_refusals(void **unused) {
    (void)unused;
    put(labels, "0\n1\n1\n0\n0\n");
    put(scores, "Id,Predicted\n0,3\n1,3\n2,3\n3,3\n4,3\n");
    refused(labels, NULL, "constant");
    refused(labels, NULL, scores);
    put(scores, "Id,Predicted\n0,3\n1,3\n2,3\n3,nan\n4,3\n");
    refused(labels, NULL, "line 5: the score \"Predicted\" is nan");
    put(scores, "3\n3\n3\nnan\n4\n");
    refused(labels, NULL, "score \"score\": the score of image 3 is nan");
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
        cmocka_unit_test(test_joining),
        cmocka_unit_test(test_what_cannot_be_joined),
        cmocka_unit_test(test_labels_beside_the_scores),
        cmocka_unit_test(test_scores_of_an_array),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
