/* SPDX-License-Identifier: MIT */
#ifndef US_BASE_CLOCK_H
#define US_BASE_CLOCK_H

double us_clock(void); /* seconds, monotonic */

#endif
