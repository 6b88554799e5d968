/* SPDX-License-Identifier: MIT */
/* Patches of images, free of illumination, as features of a grid of cells; or patches of textures.
 *
 * An image x in -1..1 has intensities i = (x + 1) / 2. With m their mean over the image:
 *
 *   a = log(i / m + 0.1), or i                      what is made of them
 *   b = a - mean of a over a window around a pixel  the local mean removed (no window: b = a)
 *   c = b / root of the mean of b^2 over the image
 *
 * A cell is step x step pixels. Its features are the values of c, of all channels, at side x side
 * places around its middle, `dilation` pixels apart. Beyond an image it is mirrored.
 *
 * Textures: a_0 = a, and a_(o+1) has half of a_o's height and width, rounded up, each pixel being
 * the mean of 2 x 2 (at an odd edge of those there are). A cell, at each channel, is
 *
 *   mean of a over its pixels
 *   log(mean of dx^2 + 1e-5) / 2, log(mean of dy^2 + 1e-5) / 2     for each octave o < scales
 *
 * with dx, dy what the next pixel of a_o to the right and below is more (0 at the last), over the
 * cell's pixels of a_o. Features of a cell are those of side x side cells around it, mirrored beyond
 * the image: how bright, how rough, and in which direction, at several scales. step is a multiple
 * of 2^(scales - 1). */
#ifndef US_OPS_PATCHES_H
#define US_OPS_PATCHES_H

#include "ops/layer.h"

typedef struct us_patch_settings {
    bool logarithm;
    int window; /* pixels, odd; 0: the local mean stays */
    int side, step;
    int scales;    /* the i-th, from 0, has the dilation times 2^i; of textures: octaves */
    int dilation;  /* of the first */
    bool textures; /* window and dilation mean nothing then, and only the scale 0 is gathered */
} us_patch_settings;

enum { US_PATCHES_MAX_SCALES = 4 };

typedef struct us_patches us_patches;

/* What patches of images of a shape give: side x side x channels (of textures 1 + 2 scales times as
 * many), and the grid of cells. */
us_shape us_patches_shape(const us_patch_settings *settings, us_shape image);

/* batch: padded. */
unseen_status us_patches_create(us_device *device, us_shape image, int batch,
                                const us_patch_settings *settings, us_patches **patches,
                                unseen_error *error);
void us_patches_destroy(us_patches *patches); /* NULL is fine */

/* Makes c, or the cells' textures, of a batch of images. */
unseen_status us_patches_prepare(us_patches *patches, us_buffer *x, unseen_error *error);

/* Of the images prepared last, the features at a scale: us_patches_shape, [..][batch]. */
unseen_status us_patches_gather(us_patches *patches, int scale, us_buffer *features,
                                unseen_error *error);

/* map [cells][batch] becomes, or where it does not begin grows by, weight * distances. */
unseen_status us_patches_add(us_patches *patches, us_buffer *distances, double weight,
                             us_buffer *map, bool begins, unseen_error *error);

#endif
