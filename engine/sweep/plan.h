/* SPDX-License-Identifier: MIT */
/* Plans of sweeps: a base config, and the lists of overrides that make runs of it. */
#ifndef US_SWEEP_PLAN_H
#define US_SWEEP_PLAN_H

#include "base/json.h"

enum { US_SWEEP_MAX_RUNS = 10000 };

/* Overrides as us_json_override takes them, in the order in which they apply. */
typedef struct us_overrides {
    char **items;
    size_t count;
} us_overrides;

/* After so many epochs, rising, the best runs alone are trained on. */
enum { US_HALVING_MOST = 8 };
typedef struct us_halving {
    int count; /* 0: all runs are trained to their end */
    int epochs[US_HALVING_MOST];
    double keep; /* share of the runs that goes on each time */
} us_halving;

/* Images that the best run alone is evaluated on. Paths as in a config. */
typedef struct us_final {
    char *test, *labels, *normal; /* test NULL: none */
} us_final;

/* What runs may be ranked by: "auto" (as unseen_sweep says), then numbers of their results;
 * NULL-terminated. */
extern const char *const us_criteria[];

typedef struct us_sweep_plan {
    char *path, *name;
    char *base;       /* the base config's path, as seen from here and not from the plan's folder */
    us_overrides set; /* of every run */
    us_overrides *runs; /* each run's own: the grid's first, whose last key changes fastest, then
                           points of ranges, then the listed ones; each once per seed, where seeds
                           are given */
    size_t run_count;   /* 1 to US_SWEEP_MAX_RUNS */
    cJSON *scales;      /* of what is sampled, see us_sample_scales */
    us_halving halving;
    us_final final;
    int rank_by; /* of us_criteria */
} us_sweep_plan;

/* Reads a plan. Whether its overrides fit the base config is for the reader of configs to say. */
unseen_status us_sweep_plan_load(const char *path, us_sweep_plan *plan, unseen_error *error);
void us_sweep_plan_release(us_sweep_plan *plan);

/* Adds "POINTER=VALUE". at: where the pointer stands in the plan, for messages. */
unseen_status us_overrides_add(us_overrides *list, const us_json *at, const char *pointer,
                               const cJSON *value, unseen_error *error);

/* ---- slug.c: overrides for people ---- */

/* The value of an override as one would say it: the content of a string, or else the JSON text as
 * it stands. Heap; NULL: no memory. */
char *us_override_value(const char *override);

/* Whether two overrides set the same place ("a/b=1" and "/a/b=2" do). */
bool us_override_same_place(const char *a, const char *b);

/* A short name for a folder, of letters, digits, '.', '_', '-' and '=' alone, as in
 * "batch=64_learning_rate=0.001": what the run is called where it sets /name, or else what it
 * overrides; "base" where that is nothing. Values that are objects or arrays leave their key alone.
 * Heap; NULL: no memory. */
char *us_sweep_slug(const us_overrides *overrides);

#endif
