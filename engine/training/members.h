/* SPDX-License-Identifier: MIT */
/* Configs with /members: several complete configs, whose models are trained one after the other and
 * whose scores are joined (joint.h).
 *
 * What a member does not say it takes from the outer config: /input, /training, and of /scoring
 * what does not depend on the detector (false_positive_rate, map_smoothing, top_windows). /data is
 * the outer config's alone, and so is what is held out, so that the images by which scores are
 * joined are held out from every member. */
#ifndef US_TRAINING_MEMBERS_H
#define US_TRAINING_MEMBERS_H

#include "training/config.h"

enum { US_MEMBERS_NAME = 24 /* bytes at most */ };

/* Puts files of members, whose paths are relative to the config's, in their place, and gives each
 * member what it takes from the outer config. Does nothing without /members. */
unseen_status us_members_place(us_json *config, unseen_error *error);

/* An override of the outer config, which is one of each member, too, where members take the key
 * from there. Those of "/members/0/.." concern one member. */
unseen_status us_members_override(us_json *config, const char *override, unseen_error *error);

/* Reads the outer config's own keys, and the members. */
unseen_status us_members_read(struct unseen_config *config, unseen_error *error);
void us_members_release(struct unseen_config *config);

cJSON *us_members_schema(void); /* of the array; NULL: no memory */

#endif
