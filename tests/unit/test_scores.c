/* SPDX-License-Identifier: MIT */
/* Files of scores: written, read back, and refused. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "evaluation/scores.h"

static char folder[] = "/tmp/unseen-scores-XXXXXX";
static char path[64];

static int set_up(void **unused) {
    (void)unused;
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/scores.csv", folder);
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *bytes, size_t size) {
    unseen_error error = {0};
    if (us_file_write(path, bytes, size, &error)) fail_msg("%s", error.message);
}

static void assert_file(const char *expected) {
    char *bytes;
    size_t size;
    unseen_error error = {0};
    if (us_file_read(path, 1 << 20, &bytes, &size, &error)) fail_msg("%s", error.message);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static us_scores get(void) {
    us_scores scores;
    unseen_error error = {0};
    if (us_scores_read(path, NULL, &scores, &error)) fail_msg("%s", error.message);
    return scores;
}

static us_scores two_columns(void) {
    static const char *const names[] = {"score", "part b"};
    us_scores scores;
    unseen_error error = {0};
    assert_int_equal(us_scores_create(3, 2, names, &scores, &error), UNSEEN_OK);
    const double values[2][3] = {{0.1, 1e-300, 123456789012.0}, {-1, 1.0 / 3, 0.1f}};
    for (int i = 0; i < 2; i++)
        memcpy(scores.values[i], values[i], sizeof values[i]);
    return scores;
}

static void test_prediction(void **unused) {
    (void)unused;
    us_scores scores = two_columns();
    unseen_error error = {0};
    assert_int_equal(us_scores_write_prediction(&scores, NULL, path, &error), UNSEEN_OK);
    assert_file("Id,Predicted\n0,0.1\n1,1e-300\n2,1.23456789e+11\n");
    assert_int_equal(us_scores_write_prediction(&scores, "image,score", path, &error), UNSEEN_OK);
    assert_file("image,score\n0,0.1\n1,1e-300\n2,1.23456789e+11\n");
    us_scores again = get();
    assert_int_equal(again.count, 3);
    assert_int_equal(again.columns, 1);
    assert_string_equal(again.names[0], "score");
    assert_true(again.values[0][2] == 1.23456789e+11);
    us_scores_destroy(&again);

    static const char *const bad[] = {"", "Id", "Id,", ",x", "a,b,c", "a,b\n1,2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(us_scores_write_prediction(&scores, bad[i], path, &error),
                         UNSEEN_BAD_INPUT);
    assert_file("image,score\n0,0.1\n1,1e-300\n2,1.23456789e+11\n");
    us_scores_destroy(&scores);
}

static void test_nine_digits_bring_every_float_back(void **unused) {
    (void)unused;
    static const char *const names[] = {"s"};
    us_scores scores;
    unseen_error error = {0};
    assert_int_equal(us_scores_create(500, 1, names, &scores, &error), UNSEEN_OK);
    for (int i = 0; i < 500; i++)
        scores.values[0][i] = (float)exp(sin(i * 1.7) * 80);
    assert_int_equal(us_scores_write_prediction(&scores, NULL, path, &error), UNSEEN_OK);
    us_scores again = get();
    for (int i = 0; i < 500; i++)
        assert_true((float)again.values[0][i] == scores.values[0][i]);
    us_scores_destroy(&again);
    us_scores_destroy(&scores);
}

static void test_all_columns_come_back_to_the_bit(void **unused) {
    (void)unused;
    us_scores scores = two_columns();
    unseen_error error = {0};
    const unsigned char anomalous[] = {0, 1, 1};
    for (int labelled = 0; labelled < 2; labelled++) {
        assert_int_equal(us_scores_write_all(&scores, labelled ? anomalous : NULL, path, &error),
                         UNSEEN_OK);
        us_scores again = get();
        assert_int_equal(again.count, 3);
        assert_int_equal(again.columns, 2);
        for (int i = 0; i < 2; i++) {
            assert_string_equal(again.names[i], scores.names[i]);
            assert_memory_equal(again.values[i], scores.values[i], 3 * sizeof(double));
        }
        if (labelled)
            assert_memory_equal(again.anomalous, anomalous, 3);
        else
            assert_null(again.anomalous);
        us_scores_destroy(&again);
    }
    assert_file("id,score,part b,anomalous\n0,0.1,-1,0\n1,1e-300,0.33333333333333331,1\n"
                "2,123456789012,0.10000000149011612,1\n");
    us_scores_destroy(&scores);
}

/* A column of verdicts is written, known again, and no score when it is read. */
static void test_verdicts(void **unused) {
    (void)unused;
    static const double threshold = 0.1;
    us_scores scores = two_columns();
    unseen_error error = {0};
    scores.threshold = &threshold;
    const unsigned char anomalous[] = {0, 1, 1};
    assert_int_equal(us_scores_write_prediction(&scores, NULL, path, &error), UNSEEN_OK);
    assert_file(
        "Id,Predicted,verdict\n0,0.1,anomalous\n1,1e-300,normal\n2,1.23456789e+11,anomalous\n");
    us_scores again = get();
    assert_int_equal(again.columns, 1);
    assert_true(again.values[0][0] == 0.1);
    us_scores_destroy(&again);
    assert_int_equal(us_scores_write_all(&scores, anomalous, path, &error), UNSEEN_OK);
    again = get();
    assert_int_equal(again.columns, 2);
    assert_memory_equal(again.anomalous, anomalous, 3);
    us_scores_destroy(&again);
    us_scores_destroy(&scores);
    assert_true(us_scores_recognize("Id,Predicted,verdict\n0,0.1,anomalous\n1,", NULL));
    assert_true(us_scores_recognize("a,b,verdict\n0,1e-3,normal\n", "a,b"));
    assert_false(us_scores_recognize("Id,Predicted,verdict\n0,0.1,unclear\n", NULL));
    assert_false(us_scores_recognize("Id,Predicted\n0,0.1,normal\n", NULL));
    assert_false(us_scores_recognize("Id,Predicted,verdicts\n0,0.1,normal\n", NULL));
}

static void test_files_of_others(void **unused) {
    (void)unused;
    static const char text[] = "\xef\xbb\xbf\"\",\"a b\" , c,anomalous\r\n"
                               "2, 1e3 ,+4,0\r\n\"0\",\"-2.5\",.5,1\r\n1,nan,-INF,0\r\n\r\n\r\n";
    put(text, sizeof text - 1);
    us_scores scores = get();
    assert_int_equal(scores.count, 3);
    assert_int_equal(scores.columns, 2);
    assert_string_equal(scores.names[0], "a b");
    assert_string_equal(scores.names[1], "c");
    assert_true(scores.values[0][1] == -2.5 && scores.values[0][0] == 1000);
    assert_true(isnan(scores.values[0][2]) && scores.values[1][2] == -INFINITY);
    assert_true(scores.values[1][1] == 0.5 && scores.values[1][0] == 4);
    assert_memory_equal(scores.anomalous, "\0\1\0", 3);
    assert_memory_equal(scores.ids.numbers, ((int64_t[]){2, 0, 1}), 24);
    assert_null(scores.ids.names);
    us_scores_destroy(&scores);
    put("Id,Predicted\n0,7", 16); /* no newline at the end */
    scores = get();
    assert_true(scores.count == 1 && scores.values[0][0] == 7);
    us_scores_destroy(&scores);
}

/* What tables of other programs look like; each holds the scores 1.5 and -200. */
static void test_tables_of_others(void **unused) {
    (void)unused;
    static const struct {
        const char *text;
        const char *name;
        bool numbers, names, labelled;
    } same[] = {
        {"1.5\n-200\n", "score", false, false, false},
        {"\"s\"\n1.5\n-2e2\n", "s", false, false, false},
        {"label\n1.5\n-200\n", "label", false, false, false},
        {"Id,target\n7,1.5\n9,-200\n", "target", true, false, false},
        {"image_id,label\n0,1.5\n1,-200\n", "label", true, false, false},
        {"file,score\na.png,1.5\nb.png,-200\n", "score", false, true, false},
        {",file,score\n0,a.png,1.5\n1,b.png,-200\n", "score", true, true, false},
        {"nr,wert\n0,1.5\n1,-200\n", "wert", true, false, false},
        {"nr;wert\n0;1,5\n1;-2,00e2\n", "wert", true, false, false},
        {"Id;wert\n0;1.5\n1;-200.0\n", "wert", true, false, false},
        {"Id\ts\ty\r\n0.0\t1.5\t1\r\n1.0\t-200\tbad\r\n", "s", true, false, true},
        {"label,Path,s\ngood,\"a,\nb\",1.5\nbad,c,-200\n", "s", false, true, true},
        {"s,t\n1.5,1\n-200,2\n", "s", false, false, false},
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        put(same[i].text, strlen(same[i].text));
        us_scores scores = get();
        assert_int_equal(scores.count, 2);
        assert_string_equal(scores.names[0], same[i].name);
        assert_true(scores.values[0][0] == 1.5 && scores.values[0][1] == -200);
        assert_int_equal(scores.ids.numbers != NULL, same[i].numbers);
        assert_int_equal(scores.ids.names != NULL, same[i].names);
        assert_int_equal(scores.labelled, same[i].labelled);
        us_scores_destroy(&scores);
    }
}

/* Where the machine has a locale with a decimal comma. */
static void test_the_callers_locale_does_not_matter(void **unused) {
    (void)unused;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8"};
    bool found = false;
    for (int i = 0; i < 4 && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]) != NULL;
    if (!found) skip();
    us_scores scores = two_columns();
    unseen_error error = {0};
    assert_int_equal(us_scores_write_all(&scores, NULL, path, &error), UNSEEN_OK);
    us_scores again = get();
    assert_memory_equal(again.values[1], scores.values[1], 3 * sizeof(double));
    assert_string_equal(localeconv()->decimal_point, ",");
    setlocale(LC_NUMERIC, "C");
    us_scores_destroy(&again);
    us_scores_destroy(&scores);
}

typedef struct bad_file {
    const char *text;
    const char *line; /* in the message */
    const char *words;
} bad_file;

static const bad_file bad_files[] = {
    {"", "", "empty"},
    {"\n\r\n \n", "", "only empty lines"},
    {"Id,Predicted\n", "", "nothing follows"},
    {"score\n", "", "nothing follows"},
    {"0,1.5\n1,2.5\n", "line 1", "header"},
    {"Id,a\n0,1\n0,2\n", "line 3", "the id 0 is there twice"},
    {"Id,a\n7,1\n5,2\n7.0,2\n", "line 4", "the id 7 is there twice"},
    {"Id,a\n0,1\n\n1,2\n", "line 3", "it is empty"},
    {"Id,a\n0,1\n1,2,3\n", "line 3", "3 columns, where the first line has 2"},
    {"Id,a\n0,1\n1\n", "line 3", "1 column, where the first line has 2"},
    {"Id,a\n,1\n", "line 2", "no id in column \"Id\""},
    {"Id,a\n0,\n", "line 2", "'' in column \"a\" is not a number"},
    {"Id,a\n0,1.5x\n", "line 2", "'1.5x' in column"},
    {"Id,a\n0,0x1p3\n", "line 2", "not a number"},
    {"Id,a\n0,1 2\n", "line 2", "not a number"},
    {"Id,a\n0,1;5\n", "line 2", "not a number"},
    {"Id,a\n0,\"1,5\"\n", "line 2", "not a number"},
    {"Id;a\n0;1,5\n1;1.5\n", "line 3", "'1.5' in column \"a\" is not a number"},
    {"Id;a\n0;1.234,5\n", "line 2", "not a number"},
    {"Id,a\n0,nan(1)\n", "line 2", "not a number"},
    {"0.5\nhigh\n", "line 2", "'high' in column 1 is not a number"},
    {"picture,score\na.png,1\nb.png,2\n", "line 2", "columns of ids are called"},
    {"Id,a\n0,00000000000000000000000000000000000000000000000000000000000000000000000000001\n",
     "line 2", "not a number"},
    {"Id,a,a\n0,1,2\n", "line 1", "two scores are named \"a\""},
    {"Id,a,\n0,1,2\n", "line 1", "no name"},
    {"Id,anomalous\n0,1\n", "", "none of its columns is one of scores"},
    {"Id,file\n0,1\n", "", "none of its columns is one of scores"},
    {"Id,label,target\n0,1,1\n", "", "none of its columns is one of scores"},
    {"Id,a,anomalous\n0,1,2\n", "line 2", "neither 0 nor 1"},
    {"Id,a,anomalous\n0,1,yes\n", "line 2", "neither 0 nor 1"},
    {"Id,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25\n0,1,2,3,4,5,6,7,8,9,10,"
     "11,12,13,14,15,16,17,18,19,20,21,22,23,24,25\n",
     "", "more than 24"},
    {"Id,12345678901234567890123456789012\n0,1\n", "line 1", "longer than 31"},
    {"Id,12345678901234567890123456789012345678901234567890123\n0,1\n", "line 1", "longer than 31"},
};

static void test_bad_files_are_refused(void **unused) {
    (void)unused;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const bad_file *bad = &bad_files[i];
        put(bad->text, strlen(bad->text));
        us_scores scores;
        unseen_error error = {0};
        assert_int_equal(us_scores_read(path, NULL, &scores, &error), UNSEEN_BAD_INPUT);
        if (!strstr(error.message, path) || !strstr(error.message, bad->line) ||
            !strstr(error.message, bad->words))
            fail_msg("%s: no \"%s\", \"%s\"", error.message, bad->line, bad->words);
        assert_null(scores.values[0]);
    }
    us_scores scores;
    unseen_error error = {0};
    static const char zeros[] = "Id,a\0b\n0,1\0\n";
    put(zeros, sizeof zeros - 1);
    assert_int_equal(us_scores_read(path, NULL, &scores, &error), UNSEEN_BAD_INPUT);
    unlink(path);
    assert_int_not_equal(us_scores_read(path, NULL, &scores, &error), UNSEEN_OK);
    assert_non_null(strstr(error.message, path));
}

/* Every single byte of a good file damaged in several ways: an answer or an error, never a crash.
 */
static void test_damaged_files(void **unused) {
    (void)unused;
    char text[] = "id,a,b,anomalous\n1,2.5,3,0\n0,1e5,-4,1\n2,7,nan,1\n";
    static const char bytes[] = {'\0', ',', '\n', '"', '9', '-', '\x80', ' '};
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (size_t k = 0; k < sizeof bytes; k++) {
            char kept = text[at];
            text[at] = bytes[k];
            put(text, sizeof text - 1);
            text[at] = kept;
            us_scores scores;
            unseen_status status = us_scores_read(path, NULL, &scores, NULL);
            assert_true(status == UNSEEN_OK || status == UNSEEN_BAD_INPUT);
            us_scores_destroy(&scores);
        }
    for (size_t size = 1; size < sizeof text - 1; size++) {
        put(text, size);
        us_scores scores;
        if (us_scores_read(path, NULL, &scores, NULL) == UNSEEN_OK) us_scores_destroy(&scores);
    }
}

static void checked(us_scores *scores, const char *words) {
    unseen_error error = {0};
    unseen_status status = us_scores_check(scores, &error);
    if (!words) {
        assert_int_equal(status, UNSEEN_OK);
        return;
    }
    assert_int_equal(status, UNSEEN_FAILURE);
    if (!strstr(error.message, words)) fail_msg("no \"%s\" in: %s", words, error.message);
}

static void test_check(void **unused) {
    (void)unused;
    us_scores scores = two_columns();
    checked(&scores, NULL);
    scores.values[1][2] = NAN;
    checked(&scores, "\"part b\" of image 2 is nan");
    scores.values[1][2] = 5;
    scores.values[0][1] = INFINITY;
    checked(&scores, "\"score\" of image 1 is infinite");
    for (int i = 0; i < 3; i++)
        scores.values[0][i] = 2.5;
    checked(&scores, "\"score\" of all 3 images is 2.5");
    scores.count = 1;
    checked(&scores, NULL);
    us_scores_destroy(&scores);
}

static void test_create_refuses(void **unused) {
    (void)unused;
    us_scores scores;
    static const char *const names[US_SCORES_MAX_COLUMNS + 1] = {"a", "b", "c", "d",
                                                                 "e", "f", "g", "h"};
    static const char *const comma[] = {"a,b"}, *const twice[] = {"a", "a"};
    static const char *const label[] = {"anomalous"}, *const empty[] = {""};
    static const char *const longer[] = {"12345678901234567890123456789012"};
    assert_int_equal(us_scores_create(3, US_SCORES_MAX_COLUMNS + 1, names, &scores, NULL),
                     UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 0, names, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(0, 1, names, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(-1, 1, names, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 1, comma, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 2, twice, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 1, label, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 1, empty, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 1, longer, &scores, NULL), UNSEEN_BAD_INPUT);
    assert_int_equal(us_scores_create(3, 8, names, &scores, NULL), UNSEEN_OK);
    us_scores_destroy(&scores);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prediction),
        cmocka_unit_test(test_nine_digits_bring_every_float_back),
        cmocka_unit_test(test_all_columns_come_back_to_the_bit),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_files_of_others),
        cmocka_unit_test(test_tables_of_others),
        cmocka_unit_test(test_the_callers_locale_does_not_matter),
        cmocka_unit_test(test_bad_files_are_refused),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_create_refuses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
