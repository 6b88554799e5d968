/* SPDX-License-Identifier: MIT */
/* A run whose config has members: their trainings, one after the other, each a run in a folder of
 * its own. */
#ifndef US_JOBS_MEMBERS_H
#define US_JOBS_MEMBERS_H

#include "base/event.h"
#include "parallel/group.h"
#include "training/model.h"

/* UNSEEN_BAD_INPUT where a member's folder holds a model or a checkpoint. */
unseen_status us_members_check_earlier(const unseen_config *config, const char *folder,
                                       unseen_error *error);

/* Trains them, or, with options->resume, goes on with them, each by all ranks of `group` (NULL: this
 * process alone). *members: {NAME: {epochs, loss, held_out_loss, train_seconds, restarts,
 * parameters}}, empty on ranks other than the first, to be deleted by the caller, also after a
 * failure. The run's log tells of those that are done. *apart: as of us_run_by. */
unseen_status us_members_train(const unseen_config *config, const unseen_run_options *options,
                               us_group *group, const unseen_events *events, cJSON **members,
                               bool *apart, unseen_error *error);

/* Adds to these what weight each has in the scores of the calibrated model, and what synthetic
 * anomalies tell of it. */
unseen_status us_members_describe(const us_model *model, cJSON *members, unseen_error *error);

/* The sum over members of a number. */
double us_members_sum(const cJSON *members, const char *name);

#endif
