/* SPDX-License-Identifier: MIT */
/* How far two numbers put the same things into the same order. */
#ifndef US_EVALUATION_RANK_CORRELATION_H
#define US_EVALUATION_RANK_CORRELATION_H

#include <stdbool.h>
#include <stddef.h>

typedef struct us_ranked {
    double x, y;
} us_ranked;

/* 1: the same order, -1: the opposite one, NAN: all x or all y are the same, or there are less than
 * two. Spearman's rho is the correlation of midranks; Kendall's tau-b is that of "The treatment of
 * ties in ranking problems" (Biometrika 33, 1945), by counting inversions as in Knight, "A computer
 * method for calculating Kendall's tau with ungrouped data" (JASA 61, 1966). The values are finite.
 * false: no memory. */
bool us_rank_correlation(const us_ranked *values, size_t count, double *spearman, double *kendall);

#endif
