/* SPDX-License-Identifier: MIT */
/* What a job that scores images does with their maps: writes them, and compares them with masks. */
#ifndef US_JOBS_MAPS_H
#define US_JOBS_MAPS_H

#include "base/file.h"
#include "base/folder.h"
#include "data/masks.h"
#include "evaluation/picture.h"
#include "evaluation/pixel_metrics.h"
#include "training/model.h"

typedef struct us_maps_options {
    const char *folder; /* to write maps.npy and a picture of each image into; NULL: none */
    const char *masks;  /* an array or photographs; NULL: none */
    const char *split;  /* of a list of masks, as of the images */
    bool overwrite;     /* of the folder */
    const unseen_events *events;
} us_maps_options;

typedef struct us_maps_job {
    us_maps_options options;
    us_shape input;
    int64_t images;
    us_map_consumer consumer; /* for us_scored_images */
    us_claim claim;
    bool begun;             /* something has been written into the folder */
    us_file_writer writer;  /* of maps.npy, from the first map on */
    float *least, *largest; /* of each map, for the pictures' colours */
    us_masks masks;
    us_pixel_evaluation *evaluation;
    unsigned char *mask; /* of an image, */
    float *map;          /* and its map in the mask's size */
} us_maps_job;

/* Looks at everything before anything is computed: whether the detector has maps, the masks,
 * whether the folder may be written to. Does nothing where nothing is asked for. */
unseen_status us_maps_open(const us_maps_options *options, const unseen_config *config,
                           const us_dataset *dataset, us_maps_job *job, unseen_error *error);
void us_maps_close(us_maps_job *job); /* zeroed jobs are fine */

static inline bool us_maps_wanted(const us_maps_job *job) {
    return job->options.folder || job->options.masks;
}

/* After the consumer has got all maps: completes maps.npy, and adds the metrics of pixels. */
unseen_status us_maps_finish(us_maps_job *job, cJSON *results, unseen_error *error);

/* Then, where a folder is asked for: scores the images again, for a picture of each that has its
 * colours in common with all others. They are named after their places, and, where images have
 * names, after these. */
unseen_status us_maps_draw(us_maps_job *job, us_model *model, us_dataset *dataset,
                           const us_ids *names, unseen_error *error);

#endif
