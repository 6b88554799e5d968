/* How well scores tell anomalous images (positives) from normal ones. */
#ifndef US_EVALUATION_METRICS_H
#define US_EVALUATION_METRICS_H

#include <cjson/cJSON.h>

#include "base/error.h"

typedef struct us_metrics {
    int64_t n, positives;
    double auc;               /* P(positive > negative) + P(equal) / 2, exact under ties */
    double auc_ci95[2];       /* DeLong, DeLong and Clarke-Pearson 1988, on the logit scale, in 0..1 */
    double average_precision; /* sum of (R_i - R_i-1) P_i over distinct thresholds, as scikit-learn */
    double tpr_at_fpr[3];     /* at FPR <= 0.01, 0.05, 0.10: the ROC curve's own points, no
                                 interpolation */
    double best_f1, best_f1_threshold; /* "anomalous" means score >= threshold */
} us_metrics;

/* Fails with UNSEEN_BAD_INPUT on non-finite scores (naming the first id), on constant scores, and
 * when one class is absent. anomalous[i] is 0 or 1. O(n log n). */
unseen_status us_metrics_compute(const double *scores, const unsigned char *anomalous, int64_t n,
                                 us_metrics *metrics, unseen_error *error);

/* The fields that `eval --json` documents; added to object. Adds to the array "warnings" what the
 * reader must be told (an AUC below one half). */
unseen_status us_metrics_to_json(const us_metrics *metrics, cJSON *object, unseen_error *error);

/* ROC curve with collinear points dropped: heap arrays fpr, tpr, threshold of *points entries, from
 * (0, 0, +inf) to (1, 1, min score). */
unseen_status us_roc_curve(const double *scores, const unsigned char *anomalous, int64_t n,
                           double **fpr, double **tpr, double **threshold, int64_t *points,
                           unseen_error *error);

/* The threshold that at most a share `false_positive_rate` of these normal scores reaches: the
 * smallest score value t for which count(score >= t) / n <= rate, or just above the largest score. */
double us_threshold_for_rate(const double *normal_scores, int64_t n, double false_positive_rate);

#endif
