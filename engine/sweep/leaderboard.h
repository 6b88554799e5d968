/* SPDX-License-Identifier: MIT */
/* What a sweep found, best run first: as JSON, OUT/sweep.json and OUT/leaderboard.csv. */
#ifndef US_SWEEP_LEADERBOARD_H
#define US_SWEEP_LEADERBOARD_H

#include "sweep/state.h"

/* UNSEEN_BAD_INPUT where options->by is nothing to rank by. */
unseen_status us_leaderboard_check(const unseen_sweep_options *options, unseen_error *error);

/* The document that unseen_sweep returns; the caller deletes it. */
unseen_status us_leaderboard_json(const us_sweep *sweep, cJSON **json, unseen_error *error);

/* The folder of the best run; NULL: none is ranked, or no memory. */
const char *us_leaderboard_best(const us_sweep *sweep);

/* The same as text, freed with unseen_string_free. */
unseen_status us_leaderboard_print(const us_sweep *sweep, char **text, unseen_error *error);

/* Writes both tables, each whole. */
unseen_status us_leaderboard_write(const us_sweep *sweep, unseen_error *error);

/* Writes both and OUT/report.html. *text: as of us_leaderboard_print. */
unseen_status us_leaderboard_finish(const us_sweep *sweep, char **text, unseen_error *error);

#endif
