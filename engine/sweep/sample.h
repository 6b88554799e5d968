/* SPDX-License-Identifier: MIT */
/* Points of ranges, which a plan names by the key "sample". */
#ifndef US_SWEEP_SAMPLE_H
#define US_SWEEP_SAMPLE_H

#include "base/json.h"
#include "sweep/plan.h"

enum { US_SOBOL_DIMENSIONS = 21 };

/* Reads {"count": N, "ranges": {POINTER: RANGE, ..}, "method": "sobol" or "random", "seed": 1} and
 * makes N lists of overrides, one of each range; *runs is freed by the caller, list by list. An
 * absent sample has none. RANGE is {"from": A, "to": B, "scale": "linear" or "log", "integer":
 * false} or {"choices": [..]}. Numbers that are no integers have four significant digits. */
unseen_status us_sample_read(const us_json *sample, us_overrides **runs, size_t *count,
                             unseen_error *error);

/* {POINTER: "linear", "log" or "choices"} of each range of what us_sample_read has accepted. false:
 * no memory. */
bool us_sample_scales(const us_json *sample, cJSON **scales);

/* Coordinate of a point of the Sobol sequence, in units of 2^-32, by the direction numbers of Joe
 * and Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM J. Sci.
 * Comput. 30 (2008), in the order of Gray codes. dimension: below US_SOBOL_DIMENSIONS. */
uint32_t us_sobol(uint32_t index, int dimension);

#endif
