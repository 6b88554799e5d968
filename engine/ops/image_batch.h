/* SPDX-License-Identifier: MIT */
/* From stored images to a normalised CHWN batch, on the device: selection, shuffling, resizing or
 * padding, grey to RGB or back, and x -> 2 (x - black) / (white - black) - 1. */
#ifndef US_OPS_IMAGE_BATCH_H
#define US_OPS_IMAGE_BATCH_H

#include "ops/image_store.h"
#include "ops/layer.h"

typedef struct us_image_loader us_image_loader;

/* Batches of a store's images; the store outlives the loader. selection: indices of the images to
 * use (copied), or NULL for all. RGB to grey is 0.299 R + 0.587 G + 0.114 B; grey to more channels
 * repeats; other channel counts must agree (UNSEEN_BAD_INPUT). */
unseen_status us_image_loader_create(us_image_store *store, const uint32_t *selection,
                                     int64_t selected, us_shape shape, int batch,
                                     us_image_loader **loader, unseen_error *error);
void us_image_loader_destroy(us_image_loader *loader);

typedef struct us_image_batch_args {
    us_buffer *out; /* [C][H][W][batch]; padded lanes become 0 */
    int64_t first;  /* position of the batch's first image in the (shuffled) selection */
    int n;          /* images, 1 .. batch */
    bool shuffle;
    uint64_t seed;
    uint32_t epoch; /* position p holds selection[us_random_permute(seed, SHUFFLE, epoch,
                       selected, p)] */
} us_image_batch_args;
unseen_status us_image_batch_load(us_image_loader *loader, const us_image_batch_args *args,
                                  unseen_error *error);

/* Sends, of resident images that are used in stored order, those of the batch after this one, and
 * at least a slot of uploads: to be called once the batch's work is enqueued, so that the device
 * has something to do while the host copies them. */
unseen_status us_image_batch_send_next(us_image_loader *loader, const us_image_batch_args *args,
                                       unseen_error *error);

#endif
