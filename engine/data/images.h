/* A set of images, in memory-mapped files wherever the format allows. */
#ifndef US_DATA_IMAGES_H
#define US_DATA_IMAGES_H

#include "base/error.h"

typedef enum us_pixel { US_PIXEL_UINT8, US_PIXEL_FLOAT32 } us_pixel;

typedef struct us_images {
    const void *pixels; /* count x height x width x channels, C order; read-only */
    us_pixel pixel;
    int64_t count;
    int height, width, channels; /* channels 1 or 3 (any from 1 to 16 is read) */
    double range[2]; /* the values that black and white have: 0 and 255 for uint8; for float32 the
                        first of (0, 1), (-1, 1), (0, 255) that holds every value, else an error */
    void *owner;     /* the mapping or heap block behind pixels */
    char *path;
} us_images;

/* Opens .npy (versions 1 to 3; uint8 or little-endian float32; C order; N,H,W,C or N,H,W), or IDX
 * (unsigned bytes; N,H,W or N,H,W,C), plain or gzip. The format is told by the content, not the
 * name. Plain files are mapped; .gz is inflated to the heap. At most INT32_MAX images, and as many
 * values in each. A file longer than its header says is an error, as is what looks like N,C,H,W:
 * more channels than 16, or square pictures of more than 4 "channels" and 1 or 3 rows. Non-finite
 * floats are an error that names the first bad image. UNSEEN_BAD_INPUT names file and fault. */
unseen_status us_images_open(const char *path, us_images *images, unseen_error *error);
void us_images_close(us_images *images);

static inline size_t us_images_pixel_bytes(const us_images *images) {
    return images->pixel == US_PIXEL_UINT8 ? 1 : 4;
}

static inline size_t us_images_image_bytes(const us_images *images) {
    return us_images_pixel_bytes(images) * (size_t)images->height * (size_t)images->width *
           (size_t)images->channels;
}

#endif
