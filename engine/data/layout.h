/* SPDX-License-Identifier: MIT */
/* Which axis of an array is which. */
#ifndef US_DATA_LAYOUT_H
#define US_DATA_LAYOUT_H

#include "data/array.h"

/* N images of H rows and W columns in C channels; those without N are a single image, those without
 * C are grey. */
typedef enum us_layout {
    US_LAYOUT_AUTO, /* what fits the config's input and nothing else does */
    US_LAYOUT_NHWC,
    US_LAYOUT_NCHW,
    US_LAYOUT_NHW,
    US_LAYOUT_HWC,
    US_LAYOUT_CHW,
    US_LAYOUT_HW,
} us_layout;

extern const char *const us_layout_names[]; /* "auto", "NHWC", ...; NULL ends them */

/* US_LAYOUT_AUTO where there is no such name, which us_layout_check makes an error. */
us_layout us_layout_find(const char *name);
unseen_status us_layout_check(const char *name, unseen_error *error);

/* How a file is to be read. */
typedef struct us_layout_request {
    us_layout layout; /* what the user asks for */
    enum {
        US_LAYOUT_ALWAYS,      /* an array of another rank is an error */
        US_LAYOUT_OF_ITS_RANK, /* for arrays of its rank; others are read as by US_LAYOUT_AUTO */
        US_LAYOUT_IN_DOUBT,    /* where US_LAYOUT_AUTO leaves it open whether it is this one */
    } when;
    int channels, height, width; /* of the config's input */
} us_layout_request;

/* What an array is read as. */
typedef struct us_layout_reading {
    us_layout layout;
    int64_t count, height, width, channels;
} us_layout_reading;

/* Arrays that can be read in two ways, or in none, are an error that names the option --layout.
 * Readings that give the same images are one. Exactly the config's size and channels beat all
 * else; then N,H,W,C is preferred to whatever has no channels that can be made into the config's,
 * and N,H,W of a grey config to a single image. */
unseen_status us_layout_read(const us_array_header *header, const us_layout_request *request,
                             const char *path, us_layout_reading *reading, unseen_error *error);

#endif
