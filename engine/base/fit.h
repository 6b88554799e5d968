/* SPDX-License-Identifier: MIT */
/* How images of another size than the input's become the input. */
#ifndef US_BASE_FIT_H
#define US_BASE_FIT_H

typedef enum us_fit {
    US_FIT_RESIZE, /* stretched, whatever their proportions */
    US_FIT_PAD,    /* in the middle with black around them, proportions kept */
    US_FIT_CROP,   /* proportions kept, and what is beyond the middle cut off */
} us_fit;

extern const char *const us_fit_names[]; /* "resize", "pad", "crop"; NULL ends them */

#endif
