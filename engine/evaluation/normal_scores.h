/* SPDX-License-Identifier: MIT */
/* What normal images score, kept in little room, and where among them another image is. */
#ifndef US_EVALUATION_NORMAL_SCORES_H
#define US_EVALUATION_NORMAL_SCORES_H

#include <stdint.h>

/* All scores of a few images, or that many quantiles of more: of n scores, ascending, the one at
 * place i (n - 1) / (count - 1) as quantile i, between two places on the line from one to the
 * other. */
enum { US_NORMAL_QUANTILES = 1001 };
typedef struct us_normal_scores {
    int64_t images; /* 0: nothing is known of them */
    int count;
    double quantiles[US_NORMAL_QUANTILES];
} us_normal_scores;

/* Of n scores, at least 1, all finite, which are sorted. */
void us_normal_scores_take(double *scores, int64_t n, us_normal_scores *normal);

/* The share of the normal images, in percent, with lower scores, and half of those with the same
 * one; between two quantiles on the line from one to the other. NaN: nothing is known. */
double us_normal_scores_percentile(const us_normal_scores *normal, double score);

#endif
