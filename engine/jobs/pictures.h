/* SPDX-License-Identifier: MIT */
/* pictures.json in a run's folder: images that its report shows, with their maps and masks. */
#ifndef US_JOBS_PICTURES_H
#define US_JOBS_PICTURES_H

#include "data/masks.h"
#include "training/model.h"

typedef struct us_pictures_request {
    us_detector *detector;
    us_dataset *dataset; /* whose images have these scores */
    const us_scores *scores;
    const unsigned char *anomalous; /* NULL: not known */
    double threshold;
    const us_masks *masks; /* count 0: none */
    const char *folder;
    const unseen_events *events;
} us_pictures_request;

/* Scores the images with the highest scores and those with the lowest again, and, where it is known
 * which are anomalous, anomalous ones below the threshold and normal ones that reach it; a few of
 * each, whose pictures are at most 160 pixels wide and high. The file is
 * {low, high (what the colours of maps begin and end with; null: no maps), groups: [{name:
 *  "most_anomalous", "most_normal", "missed" or "false_alarms", images: [{id, name (of a
 *  photograph), score, anomalous (null: not known), image, map, mask (PNG as data: URIs; absent
 * where there is none)}]}]} */
unseen_status us_pictures_write(const us_pictures_request *request, unseen_error *error);

#endif
