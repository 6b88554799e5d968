/* SPDX-License-Identifier: MIT */
/* From stored images to a normalised CHWN batch, on the device: selection, shuffling, horizontal
 * flips, resizing or padding, grey to RGB or back, and x -> 2 (x - black) / (white - black) - 1. */
#ifndef US_OPS_IMAGE_BATCH_H
#define US_OPS_IMAGE_BATCH_H

#include "ops/layer.h"

/* How images of another size than the input's become the input. */
typedef enum us_fit {
    US_FIT_RESIZE, /* bilinear (pixel centres, no antialias: PyTorch's align_corners=False) */
    US_FIT_PAD,    /* in the middle (half of (size - image's), towards 0), black around them; what
                      is too large is cut off */
} us_fit;

/* Images as they are stored: count x height x width x channels, uint8 or float32. */
typedef struct us_image_source {
    const void *pixels; /* outlives the loader */
    bool is_float;
    bool planar; /* count x channels x height x width instead */
    bool clip;   /* values beyond black and white, whole numbers then, become these */
    int64_t count;
    int height, width, channels;
    double black, white;
    us_fit fit;
} us_image_source;

typedef struct us_image_loader us_image_loader;

/* selection: indices of the images to use (copied), or NULL for all. On a CPU device the pixels are
 * used in place, in as many buffers as the largest allocation demands. On others they are copied to
 * the device once if they take at most half of its memory, else batch by batch through a staging
 * buffer. RGB to grey is 0.299 R + 0.587 G + 0.114 B; grey to more channels repeats; other channel
 * counts must agree (UNSEEN_BAD_INPUT). */
unseen_status us_image_loader_create(us_device *device, const us_image_source *source,
                                     const uint32_t *selection, int64_t selected, us_shape shape,
                                     int batch, us_image_loader **loader, unseen_error *error);
void us_image_loader_destroy(us_image_loader *loader);

typedef struct us_image_batch_args {
    us_buffer *out;     /* [C][H][W][batch]; padded lanes become 0 */
    int64_t first;      /* position of the batch's first image in the (shuffled) selection */
    int n;              /* images, 1 .. batch */
    bool shuffle, flip; /* flip: each image with probability 1/2 */
    uint64_t seed;
    uint32_t epoch; /* position p holds selection[us_random_permute(seed, SHUFFLE, epoch,
                       selected, p)]; it is flipped when us_random_uniform(seed, FLIP, epoch, p)
                       < 1/2 */
} us_image_batch_args;
unseen_status us_image_batch_load(us_image_loader *loader, const us_image_batch_args *args,
                                  unseen_error *error);

#endif
