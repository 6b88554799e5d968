/* SPDX-License-Identifier: MIT */
/* Maps of a model whose members' scores are joined: those of the members that have some, each
 * expressed in what maps of normal images hold, and weighted by map_weights.h. */
#ifndef US_TRAINING_JOINT_MAPS_H
#define US_TRAINING_JOINT_MAPS_H

#include "training/model.h"

/* What maps of some of these normal images hold, for each member, into model->joint. */
unseen_status us_joint_maps_measure(us_model *model, const us_scored_images *normal,
                                    unseen_error *error);

/* Hands out images in the size that the outer config shows them in, with their maps, a few dozen at
 * a time: each member scores these before the next ones are looked at. */
unseen_status us_joint_maps_show(us_model *model, const us_scored_images *images,
                                 unseen_error *error);

#endif
