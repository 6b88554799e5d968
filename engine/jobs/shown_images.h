/* SPDX-License-Identifier: MIT */
/* A few images of a file, folder, list or archive, and their maps, for a report on scores that came
 * from elsewhere. */
#ifndef US_JOBS_SHOWN_IMAGES_H
#define US_JOBS_SHOWN_IMAGES_H

#include "data/file_set.h"
#include "data/images.h"
#include "evaluation/map_resize.h"
#include "training/maps.h"

typedef struct us_shown_images {
    us_shape shape;   /* that images are shown in: photographs in a square, arrays as they are */
    us_file_set set;  /* of photographs; count 0: there is an array */
    us_images images; /* an array */
    us_range_ends ends;
    us_ids ids;       /* of the images */
    int64_t *places;  /* for each score the place of its image; heap; NULL: in the same order */
    us_array maps;    /* data NULL: none */
    us_map_size size; /* of maps */
} us_shown_images;

/* The images that these scores are of, joined by ids where both have some. maps: see
 * us_evaluate_open_maps; NULL: none. */
unseen_status us_shown_images_open(const unseen_evaluate_options *options, const us_ids *scores,
                                   us_shown_images *shown, unseen_error *error);
void us_shown_images_close(us_shown_images *shown); /* zeroed ones are fine */

/* For us_pictures_request: `user` is the us_shown_images. */
unseen_status us_shown_images_show(void *user, const uint32_t *rows, int count,
                                   const us_map_consumer *consumer, unseen_error *error);

#endif
