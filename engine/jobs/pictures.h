/* SPDX-License-Identifier: MIT */
/* pictures.json: images that a report shows, with their maps and masks. */
#ifndef US_JOBS_PICTURES_H
#define US_JOBS_PICTURES_H

#include "data/masks.h"
#include "training/model.h"

typedef struct us_pictures_request {
    us_shape input; /* of the images that are shown */
    /* Hands out some of the images, in this order, with their pixels and, where there are some,
     * their maps. */
    unseen_status (*show)(void *user, const uint32_t *images, int count,
                          const us_map_consumer *consumer, unseen_error *error);
    void *user;
    const us_scores *scores;
    const unsigned char *anomalous; /* NULL: not known */
    double threshold;
    const us_masks *masks; /* count 0: none */
    const int64_t *places; /* of the images, whose scores and labels are in another order, among the
                              masks; NULL: in the same order */
} us_pictures_request;

enum { US_PICTURE_LARGEST_SIDE = 160 };

/* Shows the images with the highest scores and those with the lowest, and, where it is known
 * which are anomalous, anomalous ones below the threshold and normal ones that reach it; a few of
 * each, whose pictures are at most 160 pixels wide and high. The text is
 * {low, high (what the colours of maps begin and end with; null: no maps), groups: [{name:
 *  "most_anomalous", "most_normal", "missed" or "false_alarms", images: [{id, name (of a
 *  photograph), score, anomalous (null: not known), image, map, mask (PNG as data: URIs; absent
 * where there is none)}]}]} */
unseen_status us_pictures_take(const us_pictures_request *request, char **json,
                               unseen_error *error);

#endif
