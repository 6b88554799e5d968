/* SPDX-License-Identifier: MIT */
/* How images of another size than the input's become the input. */
#ifndef US_BASE_FIT_H
#define US_BASE_FIT_H

typedef enum us_fit {
    US_FIT_RESIZE, /* stretched, whatever their proportions */
    US_FIT_PAD,    /* in the middle with black around them, proportions kept */
    US_FIT_CROP,   /* proportions kept, and what is beyond the middle cut off */
    US_FIT_TILE,   /* as they are, cut into windows (data/tiles.h) */
} us_fit;

extern const char *const us_fit_names[]; /* "resize", "pad", "crop", "tile"; NULL ends them */

#endif
