/* SPDX-License-Identifier: MIT */
/* Lines of a file as libvips decodes them. */
#ifndef US_DATA_PHOTOGRAPH_VIPS_H
#define US_DATA_PHOTOGRAPH_VIPS_H

#include "data/photograph.h"

typedef struct us_vips_image us_vips_image;

typedef struct us_vips_about {
    us_photograph_format format;
    int height, width;
    int bands;       /* 1: grey, 3: RGB; 2 and 4: the same with alpha, last */
    bool deep;       /* uint16_t, else bytes */
    int orientation; /* EXIF's, 1 to 8 */
} us_vips_about;

/* shrink 2, 4, 8: a JPEG at that part of its size. Close it also where opening failed. */
unseen_status us_vips_open(const us_photograph_file *file, int shrink, us_vips_image **image,
                           us_vips_about *about, unseen_error *error);
void us_vips_close(us_vips_image *image);

/* Line y of width x bands values, good until the next call. Lines are asked for from above, those
 * before `end`. */
unseen_status us_vips_line(us_vips_image *image, int y, int end, const void **line,
                           unseen_error *error);

#endif
