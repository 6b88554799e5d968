/* SPDX-License-Identifier: MIT */
/* A set of images, in memory-mapped files wherever the format allows. */
#ifndef US_DATA_IMAGES_H
#define US_DATA_IMAGES_H

#include "data/fitted_file.h"
#include "data/labels.h"
#include "data/layout.h"
#include "data/range.h"
#include "data/tiles.h"

typedef enum us_pixel { US_PIXEL_UINT8, US_PIXEL_FLOAT32 } us_pixel;

typedef struct us_images {
    const void *pixels; /* count x height x width x channels in C order; read-only */
    bool planar;        /* count x channels x height x width instead */
    us_pixel pixel;
    int64_t count;
    int height, width, channels; /* channels 1 to 16 */
    us_layout layout;            /* that the file was read by */
    double lowest, highest;      /* values; of much uint8 those in blocks from all over the file */
    us_array_text shape, type;   /* of the file, for messages */
    void *owner;                 /* the mapping or heap block behind pixels */
    char *path;
    us_tiling tiling; /* count 0: none; else images are windows of so many whole ones, which ids and
                         labels are of */
    us_ids ids;       /* names of photographs; count 0: none */
    us_labels labels; /* their classes, by folder or list; count 0: none */
} us_images;

/* Opens .npy (versions 1 to 3) or IDX, plain or gzip. The content decides the format, not the
 * name. Plain files of uint8 and little-endian float32 are mapped; .gz is inflated to the heap;
 * other numbers and Fortran order are converted to it (convert.h). At most INT32_MAX images, and as
 * many values in each. A file longer than its header says is an error. Non-finite floats are an
 * error that names the first bad image. UNSEEN_BAD_INPUT names file and fault. */
unseen_status us_images_open(const char *path, const us_layout_request *request, us_images *images,
                             unseen_error *error);
void us_images_close(us_images *images);

/* Images of another size than a window become windows, in an array that the cache keeps. */
unseen_status us_images_cut(us_images *images, const us_tile_form *form, unseen_error *error);

/* Those that scores are of: whole ones where images are windows. */
static inline int64_t us_images_whole(const us_images *images) {
    return images->tiling.count ? images->tiling.count : images->count;
}

/* The same for an array that was made of what lies at `path`; file is taken over. For
 * photographs.c. */
unseen_status us_images_open_fitted(const char *path, us_fitted_file *file,
                                    const us_layout_request *request, us_images *images,
                                    unseen_error *error);

/* The plain file that the pixels were read from: it may be one of the cache. */
const char *us_images_file(const us_images *images);

/* What black and white are, as the values tell: bytes have 0..255. Values that fit no range, or
 * leave it open, are an error that names the least, the greatest and the first image that does not
 * fit. */
unseen_status us_images_range(const us_images *images, us_range *range, unseen_error *error);

/* How many values are beyond black and white. Such as are so by more than rounding makes are an
 * error, as above; `whose` says where the ends come from. */
unseen_status us_images_clip(const us_images *images, us_range_ends ends, const char *whose,
                             int64_t *clipped, unseen_error *error);

/* UNSEEN_FAILURE where the file was truncated since it was opened. Results are believed after it
 * only. */
unseen_status us_images_check(const us_images *images, unseen_error *error);

/* Whether the file that is mapped has been written to. */
bool us_images_changed(const us_images *images);

static inline size_t us_images_pixel_bytes(const us_images *images) {
    return images->pixel == US_PIXEL_UINT8 ? 1 : 4;
}

/* Values of an image. */
static inline size_t us_images_values(const us_images *images) {
    return (size_t)images->height * (size_t)images->width * (size_t)images->channels;
}

static inline size_t us_images_image_bytes(const us_images *images) {
    return us_images_pixel_bytes(images) * us_images_values(images);
}

#endif
