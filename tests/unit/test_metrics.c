/* SPDX-License-Identifier: MIT */
/* Metrics against definitions evaluated the slow way, and against published or worked examples. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "evaluation/metrics.h"

static uint64_t state;

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

/* Both classes, small integers with many ties, positives a little higher. */
static void make(double *scores, unsigned char *anomalous, int n, int values) {
    for (int i = 0; i < n; i++) {
        anomalous[i] = (unsigned char)draw(2);
        scores[i] = (double)draw((uint32_t)values) - 3 + (anomalous[i] ? draw(3) : 0);
    }
    anomalous[0] = 0;
    anomalous[n - 1] = 1;
    scores[0] = -4;
}

static double psi(double positive, double negative) {
    return positive > negative ? 1 : positive == negative ? 0.5 : 0;
}

static double brute_auc(const double *s, const unsigned char *a, int n) {
    double sum = 0, pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (a[i] && !a[j]) {
                sum += psi(s[i], s[j]);
                pairs++;
            }
    return sum / pairs;
}

/* DeLong et al. 1988, equations 4 to 8: one structural component per image. */
static double brute_variance(const double *s, const unsigned char *a, int n) {
    double auc = brute_auc(s, a, n), squares[2] = {0, 0}, sizes[2] = {0, 0};
    for (int i = 0; i < n; i++)
        sizes[a[i]]++;
    for (int i = 0; i < n; i++) {
        double component = 0;
        for (int j = 0; j < n; j++)
            if (a[j] != a[i]) component += a[i] ? psi(s[i], s[j]) : psi(s[j], s[i]);
        component /= sizes[!a[i]];
        squares[a[i]] += (component - auc) * (component - auc);
    }
    return squares[1] / (sizes[1] - 1) / sizes[1] + squares[0] / (sizes[0] - 1) / sizes[0];
}

static us_metrics compute(const double *s, const unsigned char *a, int64_t n) {
    us_metrics metrics;
    unseen_error error = {0};
    if (us_metrics_compute(s, a, n, &metrics, &error)) fail_msg("%s", error.message);
    return metrics;
}

static void test_slides_example(void **unused) {
    (void)unused;
    const double s[] = {11383, 256676, 862365, 152435, 848171};
    const unsigned char a[] = {0, 1, 1, 0, 0};
    us_metrics m = compute(s, a, 5);
    assert_near(m.auc, 5.0 / 6, 0);
    assert_int_equal(m.n, 5);
    assert_int_equal(m.positives, 2);
    /* By hand: thresholds 862365 (P 1, R 1/2), 848171 (1/2, 1/2), 256676 (2/3, 1). */
    assert_near(m.average_precision, 0.5 * 1 + 0.5 * 2 / 3, 1e-15);
    assert_near(m.best_f1, 0.8, 1e-15);
    assert_near(m.best_f1_threshold, 256676, 0);
    for (int i = 0; i < 3; i++)
        assert_near(m.tpr_at_fpr[i], 0.5, 0);
}

static void test_auc_is_exact_under_ties(void **unused) {
    (void)unused;
    double s[97];
    unsigned char a[97];
    for (int trial = 0; trial < 300; trial++) {
        int n = 3 + (int)draw(95);
        make(s, a, n, 2 + (int)draw(12));
        assert_near(compute(s, a, n).auc, brute_auc(s, a, n), 0);
    }
}

static void test_interval_is_delongs(void **unused) {
    (void)unused;
    double s[83];
    unsigned char a[83];
    int tried = 0;
    for (int trial = 0; trial < 300; trial++) {
        int n = 8 + (int)draw(76);
        make(s, a, n, 3 + (int)draw(20));
        double auc = brute_auc(s, a, n);
        int positives = 0;
        for (int i = 0; i < n; i++)
            positives += a[i];
        if (auc <= 0 || auc >= 1 || positives < 2 || n - positives < 2) continue;
        double logit = log(auc / (1 - auc));
        double reach = 1.9599639845 * sqrt(brute_variance(s, a, n)) / (auc * (1 - auc));
        us_metrics m = compute(s, a, n);
        assert_near(m.auc_ci95[0], 1 / (1 + exp(reach - logit)), 1e-9);
        assert_near(m.auc_ci95[1], 1 / (1 + exp(-reach - logit)), 1e-9);
        assert_true(0 <= m.auc_ci95[0] && m.auc_ci95[0] < auc && auc < m.auc_ci95[1] &&
                    m.auc_ci95[1] <= 1);
        tried++;
    }
    assert_true(tried > 200);
}

static void test_interval_at_the_ends(void **unused) {
    (void)unused;
    double s[30];
    unsigned char a[30], other[30];
    for (int i = 0; i < 30; i++) {
        s[i] = i;
        a[i] = i >= 20;
        other[i] = i < 10;
    }
    us_metrics m = compute(s, a, 30);
    assert_near(m.auc, 1, 0);
    assert_near(m.auc_ci95[0], pow(0.025, 0.1), 1e-12); /* ten positives, twenty negatives */
    assert_near(m.auc_ci95[1], 1, 0);
    assert_near(m.average_precision, 1, 1e-15);
    assert_near(m.best_f1, 1, 0);
    assert_near(m.best_f1_threshold, 20, 0);

    m = compute(s, other, 30);
    assert_near(m.auc, 0, 0);
    assert_near(m.auc_ci95[0], 0, 0);
    assert_near(m.auc_ci95[1], 1 - pow(0.025, 0.1), 1e-12);

    memset(a, 0, sizeof a);
    a[12] = 1; /* a single positive in the middle: nothing to estimate a variance from */
    m = compute(s, a, 30);
    assert_near(m.auc_ci95[0], 0, 0);
    assert_near(m.auc_ci95[1], 1, 0);
}

/* The slow way, threshold by threshold: precision and recall of score >= t at every distinct t. */
static double brute_average_precision(const double *s, const unsigned char *a, int n) {
    double total = 0, before = 0, positives = 0, next = INFINITY;
    for (int i = 0; i < n; i++)
        positives += a[i];
    for (;;) {
        double t = -INFINITY, hits = 0, reached = 0;
        for (int i = 0; i < n; i++)
            if (s[i] < next && s[i] > t) t = s[i];
        if (t == -INFINITY) return total;
        for (int i = 0; i < n; i++) {
            hits += a[i] && s[i] >= t;
            reached += s[i] >= t;
        }
        total += (hits / positives - before) * (hits / reached);
        before = hits / positives;
        next = t;
    }
}

static void test_average_precision(void **unused) {
    (void)unused;
    /* scikit-learn's own documented example: 0.83. */
    const double s[] = {0.1, 0.4, 0.35, 0.8};
    const unsigned char a[] = {0, 0, 1, 1};
    assert_near(compute(s, a, 4).average_precision, 0.5 * 1 + 0.5 * 2 / 3, 1e-15);
    /* With ties, all of a tie at once: (1/3)(1/2) + (2/3)(3/5), whatever the order of images. */
    const double tied[] = {2, 2, 1, 1, 1, 0};
    const unsigned char of_tied[] = {1, 0, 0, 1, 1, 0}, again[] = {0, 1, 1, 0, 1, 0};
    double expected = 1.0 / 3 * (1.0 / 2) + 2.0 / 3 * (3.0 / 5);
    assert_near(compute(tied, of_tied, 6).average_precision, expected, 1e-15);
    assert_near(compute(tied, again, 6).average_precision, expected, 1e-15);

    double random[61];
    unsigned char label[61];
    for (int trial = 0; trial < 100; trial++) {
        int n = 2 + (int)draw(60);
        make(random, label, n, 9);
        assert_near(compute(random, label, n).average_precision,
                    brute_average_precision(random, label, n), 1e-12);
    }
}

static void test_operating_points(void **unused) {
    (void)unused;
    /* 100 negatives 0..99, so that FPR 0.01 allows exactly the image of score 99. */
    double s[110];
    unsigned char a[110];
    for (int i = 0; i < 110; i++) {
        a[i] = i >= 100;
        s[i] = i < 100 ? i : 0;
    }
    const double positives[] = {99.5, 98.5, 98, 97.5, 94.5, 94, 93, 90.5, 89.5, 3};
    memcpy(s + 100, positives, sizeof positives);
    us_metrics m = compute(s, a, 110);
    assert_near(m.tpr_at_fpr[0], 0.2, 0); /* at 98.5; a tie with 98 costs a second false alarm */
    assert_near(m.tpr_at_fpr[1], 0.5, 0); /* at 94.5, before the tie at 94 */
    assert_near(m.tpr_at_fpr[2], 0.9, 0); /* at 89.5: ten false alarms, 90 to 99 */

    double best = 0, at = 0;
    for (int i = 0; i < 110; i++) {
        double hits = 0, reached = 0;
        for (int j = 0; j < 110; j++) {
            hits += a[j] && s[j] >= s[i];
            reached += s[j] >= s[i];
        }
        double f1 = 2 * hits / (reached + 10);
        if (f1 > best || (f1 == best && s[i] > at)) {
            best = f1;
            at = s[i];
        }
    }
    assert_near(m.best_f1, best, 1e-15);
    assert_near(m.best_f1_threshold, at, 0);
}

static void test_roc_curve(void **unused) {
    (void)unused;
    double s[71];
    unsigned char a[71];
    for (int trial = 0; trial < 200; trial++) {
        int n = 2 + (int)draw(70);
        make(s, a, n, 2 + (int)draw(30));
        double *fpr, *tpr, *threshold, area = 0;
        int64_t points;
        unseen_error error = {0};
        assert_int_equal(us_roc_curve(s, a, n, &fpr, &tpr, &threshold, &points, &error), UNSEEN_OK);
        assert_true(points >= 2 && points <= n + 1);
        assert_true(fpr[0] == 0 && tpr[0] == 0 && isinf(threshold[0]));
        assert_true(fpr[points - 1] == 1 && tpr[points - 1] == 1 && threshold[points - 1] == -4);
        for (int64_t i = 1; i < points; i++) {
            area += (fpr[i] - fpr[i - 1]) * (tpr[i] + tpr[i - 1]) / 2;
            double hits = 0, alarms = 0, positives = 0;
            for (int j = 0; j < n; j++) {
                positives += a[j];
                hits += a[j] && s[j] >= threshold[i];
                alarms += !a[j] && s[j] >= threshold[i];
            }
            assert_near(tpr[i], hits / positives, 1e-15);
            assert_near(fpr[i], alarms / (n - positives), 1e-15);
            if (i + 1 < points) {
                double turn = (fpr[i] - fpr[i - 1]) * (tpr[i + 1] - tpr[i]) -
                              (fpr[i + 1] - fpr[i]) * (tpr[i] - tpr[i - 1]);
                assert_true(fabs(turn) > 1e-12); /* no point on the line of its neighbours */
            }
        }
        assert_near(area, brute_auc(s, a, n), 1e-12);
        free(fpr);
        free(tpr);
        free(threshold);
    }
}

static void test_threshold_for_rate(void **unused) {
    (void)unused;
    const double s[] = {5, 1, 4, 4, 3, 2, -7, 0.5, -0.0, 9};
    assert_near(us_threshold_for_rate(s, 10, 0.1), 9, 0);
    assert_near(us_threshold_for_rate(s, 10, 0.2), 5, 0);
    assert_near(us_threshold_for_rate(s, 10, 0.3), 5, 0); /* 4 is there twice */
    assert_near(us_threshold_for_rate(s, 10, 0.4), 4, 0);
    assert_near(us_threshold_for_rate(s, 10, 0.9), 0, 0);
    assert_near(us_threshold_for_rate(s, 10, 1), -7, 0);
    assert_near(us_threshold_for_rate(s, 10, 0.09), nextafter(9, 10), 0);
    assert_near(us_threshold_for_rate(s, 10, 0), nextafter(9, 10), 0);
    const double one[] = {-2.5};
    assert_near(us_threshold_for_rate(one, 1, 0.5), nextafter(-2.5, 0), 0);
    assert_near(us_threshold_for_rate(one, 1, 1), -2.5, 0);

    double random[53];
    for (int trial = 0; trial < 100; trial++) {
        int n = 1 + (int)draw(53);
        for (int i = 0; i < n; i++)
            random[i] = ((double)draw(20) - 10) / 3;
        double rate = (double)draw(101) / 100, expected = INFINITY, largest = -INFINITY;
        for (int i = 0; i < n; i++) {
            int reached = 0;
            for (int j = 0; j < n; j++)
                reached += random[j] >= random[i];
            if ((double)reached / n <= rate && random[i] < expected) expected = random[i];
            if (random[i] > largest) largest = random[i];
        }
        if (isinf(expected)) expected = nextafter(largest, INFINITY);
        assert_near(us_threshold_for_rate(random, n, rate), expected, 0);
    }
}

static void refused(const double *s, const unsigned char *a, int64_t n, const char *word) {
    us_metrics metrics;
    double *fpr, *tpr, *threshold;
    int64_t points;
    unseen_error error = {0};
    assert_int_equal(us_metrics_compute(s, a, n, &metrics, &error), UNSEEN_BAD_INPUT);
    if (!strstr(error.message, word)) fail_msg("no \"%s\" in: %s", word, error.message);
    assert_int_equal(us_roc_curve(s, a, n, &fpr, &tpr, &threshold, &points, NULL),
                     UNSEEN_BAD_INPUT);
    assert_null(fpr);
}

static void test_refusals(void **unused) {
    (void)unused;
    const unsigned char a[] = {0, 1, 0, 1}, ones[] = {1, 1, 1, 1}, zeros[] = {0, 0, 0, 0};
    const double good[] = {1, 2, 3, 4}, constant[] = {7, 7, 7, 7};
    const double nan[] = {1, 2, NAN, NAN}, infinite[] = {1, -INFINITY, 3, 4};
    refused(constant, a, 4, "constant");
    refused(nan, a, 4, "image 2 is nan");
    refused(infinite, a, 4, "image 1 is infinite");
    refused(good, ones, 4, "anomalous");
    refused(good, zeros, 4, "normal");
    refused(good, a, 0, "no scores");
}

static void test_json(void **unused) {
    (void)unused;
    const char *names[] = {"total", "upside down"};
    us_scores scores;
    unseen_error error = {0};
    assert_int_equal(us_scores_create(40, 2, names, &scores, &error), UNSEEN_OK);
    unsigned char a[40];
    for (int i = 0; i < 40; i++) {
        a[i] = i % 5 > 2;
        scores.values[0][i] = a[i] * 2 + i % 4;
        scores.values[1][i] = -scores.values[0][i];
    }
    us_metrics m = compute(scores.values[0], a, 40);
    cJSON *object = cJSON_CreateObject();
    assert_int_equal(us_metrics_of_scores(&scores, a, object, &error), UNSEEN_OK);
    static const char *const fields[] = {"auc",       "average_precision", "n",
                                         "positives", "best_f1",           "best_f1_threshold"};
    const double expected[] = {m.auc, m.average_precision, 40, 16, m.best_f1, m.best_f1_threshold};
    cJSON *columns = cJSON_GetObjectItem(object, "columns");
    cJSON *first = cJSON_GetObjectItem(columns, "total");
    cJSON *second = cJSON_GetObjectItem(columns, "upside down");
    assert_int_equal(cJSON_GetArraySize(columns), 2);
    for (int i = 0; i < 6; i++) {
        assert_near(cJSON_GetObjectItem(object, fields[i])->valuedouble, expected[i], 0);
        assert_near(cJSON_GetObjectItem(first, fields[i])->valuedouble, expected[i], 0);
    }
    assert_near(cJSON_GetObjectItem(second, "auc")->valuedouble, 1 - m.auc, 1e-15);
    cJSON *ci95 = cJSON_GetObjectItem(object, "auc_ci95");
    assert_int_equal(cJSON_GetArraySize(ci95), 2);
    assert_near(cJSON_GetArrayItem(ci95, 0)->valuedouble, m.auc_ci95[0], 0);
    cJSON *rates = cJSON_GetObjectItem(object, "tpr_at_fpr");
    assert_int_equal(cJSON_GetArraySize(rates), 3);
    assert_near(cJSON_GetObjectItem(rates, "0.01")->valuedouble, m.tpr_at_fpr[0], 0);
    assert_near(cJSON_GetObjectItem(rates, "0.05")->valuedouble, m.tpr_at_fpr[1], 0);
    assert_near(cJSON_GetObjectItem(rates, "0.1")->valuedouble, m.tpr_at_fpr[2], 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(object, "warnings")), 0);
    cJSON *warnings = cJSON_GetObjectItem(second, "warnings");
    assert_int_equal(cJSON_GetArraySize(warnings), 1);
    assert_non_null(strstr(cJSON_GetArrayItem(warnings, 0)->valuestring,
                           "scores rank normal images above anomalous ones"));
    cJSON_Delete(object);

    for (int i = 0; i < 40; i++)
        scores.values[1][i] = 3;
    object = cJSON_CreateObject();
    assert_int_equal(us_metrics_of_scores(&scores, a, object, &error), UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "\"upside down\""));
    cJSON_Delete(object);
    us_scores_destroy(&scores);
}

static void test_chance_is_told(void **unused) {
    (void)unused;
    const double s[] = {1, 2, 3, 4, 5, 6};
    const unsigned char a[] = {0, 1, 0, 1, 0, 1};
    us_metrics m = compute(s, a, 6);
    cJSON *object = cJSON_CreateObject();
    assert_int_equal(us_metrics_to_json(&m, object, NULL), UNSEEN_OK);
    cJSON *warnings = cJSON_GetObjectItem(object, "warnings");
    assert_int_equal(cJSON_GetArraySize(warnings), 1);
    assert_non_null(strstr(cJSON_GetArrayItem(warnings, 0)->valuestring, "chance"));
    cJSON_Delete(object);
}

static void test_twenty_thousand_are_quick(void **unused) {
    (void)unused;
    enum { N = 20000 };
    double *s = malloc(N * sizeof *s);
    unsigned char *a = malloc(N);
    for (int i = 0; i < N; i++) {
        a[i] = (unsigned char)draw(2);
        s[i] = (double)draw(1u << 30) + a[i] * 1e8;
    }
    clock_t before = clock();
    us_metrics m = compute(s, a, N);
    double threshold = us_threshold_for_rate(s, N, 0.05);
    double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
    assert_true(m.auc > 0.5 && threshold > 0);
    if (seconds > 0.1) fail_msg("took %.3f s of processor time", seconds);
    free(s);
    free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slides_example),
        cmocka_unit_test(test_auc_is_exact_under_ties),
        cmocka_unit_test(test_interval_is_delongs),
        cmocka_unit_test(test_interval_at_the_ends),
        cmocka_unit_test(test_average_precision),
        cmocka_unit_test(test_operating_points),
        cmocka_unit_test(test_roc_curve),
        cmocka_unit_test(test_threshold_for_rate),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_chance_is_told),
        cmocka_unit_test(test_twenty_thousand_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
