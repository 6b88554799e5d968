/* SPDX-License-Identifier: MIT */
/* How well scores tell anomalous images (positives) from normal ones. */
#ifndef US_EVALUATION_METRICS_H
#define US_EVALUATION_METRICS_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "evaluation/scores.h"

typedef struct us_metrics {
    int64_t n, positives;
    double auc;         /* P(positive > negative) + P(equal) / 2 (Hanley and McNeil, "The meaning
                           and use of the area under a ROC curve", Radiology 143, 1982), counted in
                           integers, so exact under ties */
    double auc_ci95[2]; /* see us_metrics_compute */
    double average_precision;          /* sum of (R_i - R_i-1) P_i over distinct thresholds, as
                                          scikit-learn's average_precision_score */
    double tpr_at_fpr[3];              /* at FPR <= 0.01, 0.05, 0.10: the ROC curve's own points, no
                                          interpolation */
    double best_f1, best_f1_threshold; /* "anomalous" means score >= threshold; of equally good
                                          thresholds the highest */
} us_metrics;

/* Fails with UNSEEN_BAD_INPUT on non-finite scores (naming the first id), on constant scores, and
 * when one class is absent. anomalous[i] is 0 or 1. O(n log n).
 *
 * The interval of the AUC: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or
 * more correlated receiver operating characteristic curves", Biometrics 44, 1988, with the
 * structural components from midranks (Sun and Xu, "Fast implementation of DeLong's algorithm",
 * IEEE Signal Processing Letters 21, 2014), taken on the logit scale, so that it stays in 0..1
 * (Pepe, "The statistical evaluation of medical tests", 2003, section 5.2). Where that says
 * nothing:
 * - An AUC of 1 has no estimated variance. With m = min(positives, negatives), m disjoint pairs are
 *   all in order then, which has probability AUC^m at most, so the interval is [0.025^(1/m), 1]
 *   (Clopper and Pearson, 1934): conservative. An AUC of 0 is its mirror image.
 * - Otherwise, with a single image in a class, the interval is [0, 1]. */
unseen_status us_metrics_compute(const double *scores, const unsigned char *anomalous, int64_t n,
                                 us_metrics *metrics, unseen_error *error);

/* Adds the fields that unseen_evaluate documents, but "columns", to object. The array
 * "warnings" (which may be there already) gets what the reader must know: that the AUC is below one
 * half, or that its interval contains one half. */
unseen_status us_metrics_to_json(const us_metrics *metrics, cJSON *object, unseen_error *error);

/* All fields of unseen_evaluate: those of column 0, and "columns" with every column's. `anomalous`
 * has scores->count entries. Errors name the column. */
unseen_status us_metrics_of_scores(const us_scores *scores, const unsigned char *anomalous,
                                   cJSON *object, unseen_error *error);

/* ROC curve with collinear points dropped: heap arrays fpr, tpr, threshold of *points entries, from
 * (0, 0, +inf) to (1, 1, min score). Fails as us_metrics_compute does. */
unseen_status us_roc_curve(const double *scores, const unsigned char *anomalous, int64_t n,
                           double **fpr, double **tpr, double **threshold, int64_t *points,
                           unseen_error *error);

/* The threshold that at most a share `false_positive_rate` of these normal scores reaches: the
 * smallest score value t for which count(score >= t) / n <= rate, or the next double above the
 * largest score where there is none. Scores are finite, n at least 1. Needs no memory. */
double us_threshold_for_rate(const double *normal_scores, int64_t n, double false_positive_rate);

/* Whether an image of this score is called anomalous. */
static inline bool us_score_reaches(double score, double threshold) {
    return score >= threshold;
}

#endif
