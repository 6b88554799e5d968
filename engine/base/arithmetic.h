/* SPDX-License-Identifier: MIT */
/* Small arithmetic that several folders need. */
#ifndef US_BASE_ARITHMETIC_H
#define US_BASE_ARITHMETIC_H

#include <stdint.h>

/* a / b rounded up, for a >= 0 and b > 0. */
static inline int us_divide_up(int64_t a, int64_t b) {
    return (int)((a + b - 1) / b);
}

static inline int us_smaller(int64_t a, int64_t b) {
    return (int)(a < b ? a : b);
}

/* The middle one of count >= 1 values (the upper of two), which are sorted on the way. */
double us_median(double *values, int count);

#endif
