/* SPDX-License-Identifier: MIT */
/* An array of images, as the device gets at it. What is made of it, batch by batch, is
 * image_batch.h's business: one store serves all that train on or score its images. */
#ifndef US_OPS_IMAGE_STORE_H
#define US_OPS_IMAGE_STORE_H

#include "base/fit.h"
#include "device/device.h"

/* Images as they are stored: count x height x width x channels, uint8 or float32. */
typedef struct us_image_source {
    const void *pixels; /* outlives the store */
    bool is_float;
    bool planar;   /* count x channels x height x width instead */
    bool changing; /* other pixels for every batch: they are sent with each */
    bool clip;     /* values beyond black and white, whole numbers then, become these */
    int64_t count;
    int height, width, channels;
    double black, white;
    us_fit fit; /* resize: bilinear (pixel centres, no antialias: PyTorch's align_corners=False);
                   pad: in their own size (half of (size - image's), towards 0), and what is too
                   large is cut off; crop: as resize, of the largest window in the middle that has
                   the input's proportions */
} us_image_source;

typedef enum us_image_place {
    US_IMAGES_IN_PLACE, /* in the host's memory, which kernels read as their own */
    US_IMAGES_RESIDENT, /* in the device's memory, where they were sent once */
    US_IMAGES_STREAMED, /* sent with every batch, as they do not fit into the device's memory */
} us_image_place;

/* Images low .. low + count - 1 of the source. */
typedef struct us_image_part {
    us_buffer *pixels;
    int64_t low, count;
} us_image_part;

typedef struct us_image_store {
    us_device *device;
    us_image_source source;
    size_t image_bytes;
    us_image_place place;
    us_image_part *parts; /* as many as the largest allocation demands; none of streamed images */
    int part_count;
    int64_t sent; /* of resident images: so many from the first on are sent */
} us_image_store;

/* Images are read in place where us_device_shares_memory. Elsewhere they become resident if, beside
 * all that is allocated now, they leave an eighth of the device's memory free; a model is therefore
 * to be made before its images. Nothing is sent yet. */
unseen_status us_image_store_create(us_device *device, const us_image_source *source,
                                    us_image_store **store, unseen_error *error);
void us_image_store_destroy(us_image_store *store); /* NULL is fine */

/* Sends images before number `count` that were not sent yet, if they are resident. Does not wait:
 * kernels that are enqueued later do. */
unseen_status us_image_store_send(us_image_store *store, int64_t count, unseen_error *error);

/* Image number `image` in the host's memory. */
const unsigned char *us_image_store_pixels(const us_image_store *store, int64_t image);

/* "resident" */
const char *us_image_place_name(us_image_place place);

#endif
