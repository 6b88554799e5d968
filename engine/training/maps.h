/* SPDX-License-Identifier: MIT */
/* Maps of where images are anomalous, handed out batch by batch while images are scored, so that
 * memory does not grow with their number. */
#ifndef US_TRAINING_MAPS_H
#define US_TRAINING_MAPS_H

#include "training/dataset.h"

typedef struct us_mapped_image {
    int64_t place;       /* among the images that are scored */
    const float *map;    /* [height][width], of the input's size; NULL where detectors of the
                            type have none */
    const float *pixels; /* [channels][height][width], -1 to 1, as the networks see the image; NULL
                            where they are not wanted */
} us_mapped_image;

/* Takes images in their order; what they point to is valid until it returns. */
typedef struct us_map_consumer {
    unseen_status (*take)(void *user, const us_mapped_image *image, unseen_error *error);
    void *user;
    bool pixels; /* are wanted */
} us_map_consumer;

typedef struct us_map_pass us_map_pass;

/* UNSEEN_BAD_INPUT where detectors of this type have no maps: it names those that do. */
unseen_status us_maps_check(const us_detector_spec *spec, unseen_error *error);

/* parts: what scores are made of. */
unseen_status us_map_pass_create(us_detector *detector, const us_score_parts *parts,
                                 const us_map_consumer *consumer, us_map_pass **pass,
                                 unseen_error *error);

/* ended false: work may be under way that writes maps, which are then never freed. NULL is fine. */
void us_map_pass_destroy(us_map_pass *pass, bool ended);

/* The maps of the n images in detector->x, which was scored just before, to `columns`; `slot`,
 * below US_STEPS_IN_FLIGHT, has room for them until they are handed out, once the work is done. */
unseen_status us_map_pass_run(us_map_pass *pass, us_buffer *const *columns, int slot, int64_t first,
                              int n, unseen_error *error);
unseen_status us_map_pass_deliver(us_map_pass *pass, int slot, unseen_error *error);

#endif
