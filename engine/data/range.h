/* SPDX-License-Identifier: MIT */
/* The numbers that black and white have in images. */
#ifndef US_DATA_RANGE_H
#define US_DATA_RANGE_H

#include "base/error.h"

typedef enum us_range {
    US_RANGE_AUTO, /* as the values tell */
    US_RANGE_UNIT,
    US_RANGE_SIGNED,
    US_RANGE_BYTE,
    US_RANGE_WORD,
} us_range;

extern const char *const us_range_names[]; /* "auto", "0..1", ...; NULL ends them */

typedef struct us_range_ends {
    double black, white;
} us_range_ends;

/* The numbers of black and white; any range but US_RANGE_AUTO. */
us_range_ends us_range_get(us_range range);

/* Whether values are in a range, with room for what rounding leaves behind: beyond its ends by at
 * most 1/1000 of its width. */
bool us_range_holds(us_range_ends range, double lowest, double highest);

/* The first range that holds all values. The wider ones are only taken where the values reach far
 * into them: 1.5 is rather a brightened white of 1 than a black of 255. US_RANGE_AUTO: none.
 * reached: the largest value that is known to exist, be it among those or not. */
us_range us_range_choose(double lowest, double highest, double reached);

#endif
