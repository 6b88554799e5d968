/* SPDX-License-Identifier: MIT */
#include "evaluation/normal_scores.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* At a place that need not be a whole number. */
static double value_at(const double *sorted, int64_t n, double place) {
    const int64_t below = (int64_t)place;
    const double share = place - (double)below;
    if (below + 1 >= n || share == 0) return sorted[below < n ? below : n - 1];
    return sorted[below] + share * (sorted[below + 1] - sorted[below]);
}

void us_normal_scores_take(double *scores, int64_t n, us_normal_scores *normal) {
    qsort(scores, (size_t)n, sizeof *scores, ascending);
    normal->images = n;
    normal->count = n < US_NORMAL_QUANTILES ? (int)n : US_NORMAL_QUANTILES;
    const double steps = normal->count > 1 ? normal->count - 1 : 1;
    for (int i = 0; i < normal->count; i++)
        normal->quantiles[i] = value_at(scores, n, (double)(n - 1) * i / steps);
}

double us_normal_scores_percentile(const us_normal_scores *normal, double score) {
    const double *q = normal->quantiles;
    const int count = normal->count;
    int lower = 0, same = 0;
    if (normal->images < 1 || isnan(score)) return NAN;
    while (lower < count && q[lower] < score)
        lower++;
    while (lower + same < count && q[lower + same] == score)
        same++;
    if (lower == count) return 100;
    if (lower + same == 0) return 0;
    if (count == 1) return 50;
    double place = lower + (same - 1) / 2.0;
    if (same == 0) place = lower - 1 + (score - q[lower - 1]) / (q[lower] - q[lower - 1]);
    return 100 * place / (count - 1);
}
