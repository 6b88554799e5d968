/* SPDX-License-Identifier: MIT */
/* Runs that differ in their seeds alone, taken together; and which runs no other one beats. */
#ifndef US_SWEEP_GROUPS_H
#define US_SWEEP_GROUPS_H

#include "sweep/state.h"

/* Adds "groups" where some runs that are done differ in /training/seed alone: [{overrides: those
 * that they share, runs: how many are done, auc, held_out_loss, loss: {mean, ci95: [low, high] by
 * Student's t, null of a single run}}], in the order of the plan. false: no memory. */
bool us_groups_add(cJSON *object, const us_sweep *sweep);

/* On which fronts runs lie: no other run that is done has an AUC as good (where some have none: a
 * value of `by`, the smaller the better) with fewer parameters, or with more images per second in
 * training. */
enum { US_FRONT_PARAMETERS = 1, US_FRONT_SPEED = 2 };
bool us_groups_fronts(const us_sweep *sweep, const char *by, unsigned char *fronts);

/* Images per second in training; NaN: not known. */
double us_groups_speed(const us_entry *entry);

/* -1 for a number that is the better the larger it is, 1 for losses. */
double us_groups_sign(const char *by);

#endif
