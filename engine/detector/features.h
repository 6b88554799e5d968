/* SPDX-License-Identifier: MIT */
/* Scores from features: after training, what a layer makes of the training images gives a density,
 * and an image's score is how unlikely its own features are. It works for every detector with a
 * network, beside the detector's own scores. */
#ifndef US_DETECTOR_FEATURES_H
#define US_DETECTOR_FEATURES_H

#include "detector/detector.h"

/* Looks up the layer, once the networks are read. json: /scoring/features. */
unseen_status us_feature_settings_check(const us_json *json, us_detector_spec *spec,
                                        unseen_error *error);

unseen_status us_features_create(us_detector *detector, us_features **features,
                                 unseen_error *error);
void us_features_destroy(us_features *features); /* NULL is fine */

/* Takes the density from the training images. */
unseen_status us_features_learn(us_features *features, us_detector *detector,
                                const us_detector_survey *survey, unseen_error *error);

/* scores: a float per lane. */
unseen_status us_features_score(us_features *features, us_detector *detector, us_buffer *x, int n,
                                us_buffer *scores, unseen_error *error);

/* Of the images scored last, where there are several positions. */
unseen_status us_features_map(us_features *features, us_anomaly_map *map, us_buffer *out,
                              unseen_error *error);

/* Nothing is saved before it is learned. */
unseen_status us_features_save(us_features *features, us_safetensors_builder *builder,
                               unseen_error *error);
unseen_status us_features_load(us_features *features, const us_safetensors *file,
                               unseen_error *error);

#endif
