/* SPDX-License-Identifier: MIT */
/* What /scoring/features says. */
#ifndef US_DETECTOR_FEATURE_SETTINGS_H
#define US_DETECTOR_FEATURE_SETTINGS_H

#include "base/json.h"
#include "ops/density.h"

typedef enum us_feature_pooling {
    US_FEATURES_AVERAGE,
    US_FEATURES_MAXIMUM,
    US_FEATURES_NONE, /* each position is a point */
} us_feature_pooling;

typedef enum us_covariance { US_COVARIANCE_LEDOIT_WOLF, US_COVARIANCE_FIXED } us_covariance;

typedef struct us_feature_settings {
    char *network,
        *layer;       /* heap; network NULL: the first one. layer NULL: there is no such score */
    int pooling;      /* us_feature_pooling */
    int covariance;   /* us_covariance */
    double top_share; /* of the positions, whose mean is an image's score */
    us_density_settings density;
    int network_index, layer_index; /* found by us_feature_settings_check */
} us_feature_settings;

extern const us_key us_feature_keys[];

#endif
