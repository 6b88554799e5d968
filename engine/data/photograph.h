/* SPDX-License-Identifier: MIT */
/* One photograph: a file's bytes become fitted pixels. libvips decodes; it is loaded when the first
 * photograph is, as it brings a hundred libraries with it, which would cost every start of the
 * program 40 ms. */
#ifndef US_DATA_PHOTOGRAPH_H
#define US_DATA_PHOTOGRAPH_H

#include "base/error.h"
#include "base/fit.h"

/* Told by the first bytes, whatever a file is called. */
typedef enum us_photograph_format {
    US_PHOTOGRAPH_NONE,
    US_PHOTOGRAPH_PNG,
    US_PHOTOGRAPH_JPEG,
    US_PHOTOGRAPH_TIFF,
    US_PHOTOGRAPH_WEBP,
    US_PHOTOGRAPH_BMP,
    US_PHOTOGRAPH_PNM,
    US_PHOTOGRAPH_GIF,
} us_photograph_format;

enum { US_PHOTOGRAPH_HEAD = 16 }; /* bytes that tell the format */
us_photograph_format us_photograph_find(const unsigned char *bytes, size_t size);

/* Whether a name ends as those of photographs do. */
bool us_photograph_is_name(const char *name, size_t length);

/* What photographs become. */
typedef struct us_photograph_form {
    int height, width;
    int channels;    /* 1 or 3 */
    int value_bytes; /* 1, or 2: little-endian, to 65535 */
    us_fit fit;
    bool mask; /* before it is fitted, whatever is not black becomes white, as masks may hold small
                  numbers; of JPEG, which is never exact, what is brighter than the half */
} us_photograph_form;

static inline size_t us_photograph_bytes(const us_photograph_form *form) {
    return (size_t)form->height * (size_t)form->width * (size_t)form->channels *
           (size_t)form->value_bytes;
}

/* A file in memory; the path is for messages. */
typedef struct us_photograph_file {
    const char *path;
    const void *bytes;
    size_t size;
} us_photograph_file;

/* Bytes of a file, at most. */
#define US_PHOTOGRAPH_LARGEST ((size_t)1 << 30)

/* Takes the path, which is on the heap (NULL: there was no memory for it), even where it fails. */
unseen_status us_photograph_read(char *path, us_photograph_file *file, unseen_error *error);
void us_photograph_release(us_photograph_file *file); /* of heap blocks alone */

/* What its header says; height and width as it is upright. */
typedef struct us_photograph_header {
    int height, width;
    bool colour, deep; /* deep: 16 bits */
} us_photograph_header;

/* UNSEEN_BAD_INPUT where the program was built without libvips; UNSEEN_FAILURE where the machine
 * lacks it. To be asked before the functions below, which many threads may call at once. */
unseen_status us_photograph_start(unseen_error *error);

/* A thread that has decoded calls it before it ends. */
void us_photograph_end_thread(void);

/* "libvips 8.14.1"; only after it was started. */
const char *us_photograph_library(void);

/* UNSEEN_BAD_INPUT with the path and the fault where the file is damaged or too large. */
unseen_status us_photograph_look(const us_photograph_file *file, us_photograph_header *header,
                                 unseen_error *error);

/* height x width x channels values. Turned upright as EXIF has it; transparent parts on black;
 * CMYK and other colours as sRGB, and grey 0.299 R + 0.587 G + 0.114 B of them. */
unseen_status us_photograph_decode(const us_photograph_file *file, const us_photograph_form *form,
                                   void *pixels, unseen_error *error);

#endif
