/* SPDX-License-Identifier: MIT */
/* The Dirichlet distribution that points of a simplex come from most probably. */
#ifndef US_BASE_DIRICHLET_H
#define US_BASE_DIRICHLET_H

/* Estimates the parameters alpha[0 .. count - 1], above 0, of points p of which mean[i] is the mean
 * of p_i and mean_log[i] that of log p_i: the maximum of the likelihood, by the fixed point of T.
 * Minka, Estimating a Dirichlet distribution (2000), equation 9, from the beginning of equation 21
 * of Wicker et al. (2008), as Golan and El-Yaniv (arXiv 1805.10917) do it. Of points that are all
 * the same, alpha ends at a large but finite sum. count is at least 2. */
void us_dirichlet_estimate(const double *mean, const double *mean_log, int count, double *alpha);

/* The logarithm's derivative of the gamma function, of x > 0, and its inverse. */
double us_digamma(double x);
double us_digamma_inverse(double y);

#endif
