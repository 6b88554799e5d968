/* SPDX-License-Identifier: MIT */
/* Maps by the gradient of a score that an encoder, a decoder and a judge (judge.h) give together:
 * the squared length of its gradient with respect to each pixel, of the score as it is combined. */
#ifndef US_DETECTOR_SCORE_MAPS_H
#define US_DETECTOR_SCORE_MAPS_H

#include "detector/detector.h"

/* What maps of such a detector show: the key "maps". */
typedef enum us_map_kind { US_MAPS_RECONSTRUCTION, US_MAPS_SCORE } us_map_kind;
extern const char *const us_map_kinds[]; /* their names; NULL-terminated */

/* The row of a table of keys; place: of an int in the attributes. */
#define US_MAPS_KEY(place)                                                                         \
    {                                                                                              \
        .name = "maps", .kind = US_KEY_CHOICE, .offset = place, .choices = us_map_kinds,           \
        .fallback = {US_MAPS_RECONSTRUCTION},                                                      \
        .help =                                                                                    \
            "What maps show: reconstruction, the squared error of each pixel; score, the squared " \
            "gradient of the score as it is combined, the judge's part included"                   \
    }

typedef struct us_score_maps us_score_maps;

/* Which column of the detector is which; negative: there is none such. */
typedef struct us_score_roles {
    int reconstruction;    /* the pixel score of the image and its reconstruction */
    int of_reconstruction; /* the judge's logit of the reconstruction */
    int of_image;          /* and of the image itself */
    int judge;             /* which network it is */
} us_score_roles;

/* The detector's networks 0 and 1 are the encoder and the decoder. */
unseen_status us_score_maps_create(us_detector *detector, const us_score_roles *roles,
                                   const us_score_parts *parts, us_score_maps **maps,
                                   unseen_error *error);
void us_score_maps_destroy(us_score_maps *maps); /* before the networks; NULL is fine */

unseen_status us_score_maps_run(us_score_maps *maps, const us_detector_map_args *args,
                                unseen_error *error);

#endif
