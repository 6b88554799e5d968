/* SPDX-License-Identifier: MIT */
/* Plain JPEGs by libjpeg itself, which libvips decodes them with, too: of many small files, all but
 * a third of the time would go into the objects that libvips makes for each. Pixels are the same.
 */
#ifndef US_DATA_PHOTOGRAPH_JPEG_H
#define US_DATA_PHOTOGRAPH_JPEG_H

#include "data/photograph_vips.h"

typedef struct us_jpeg us_jpeg;

/* Reads the header. NULL: the file is something else, or is to be left to libvips: damaged, not of
 * 8 bits, not grey or YCbCr, with EXIF (it may be turned); or libjpeg is not there. */
#if UNSEEN_JPEG
us_jpeg *us_jpeg_open(const us_photograph_file *file, us_vips_about *about);
void us_jpeg_close(us_jpeg *jpeg); /* NULL is fine */

/* The next line, from the first one on, of width x bands bytes, good until the next call. NULL:
 * there is something wrong with the file, of which libvips can say more. */
const unsigned char *us_jpeg_line(us_jpeg *jpeg);
#else
static inline us_jpeg *us_jpeg_open(const us_photograph_file *file, us_vips_about *about) {
    (void)file;
    (void)about;
    return NULL;
}
static inline void us_jpeg_close(us_jpeg *jpeg) {
    (void)jpeg;
}
static inline const unsigned char *us_jpeg_line(us_jpeg *jpeg) {
    (void)jpeg;
    return NULL;
}
#endif

#endif
