/* SPDX-License-Identifier: MIT */
/* A sweep under way: its runs, and what their folders say of them. */
#ifndef US_SWEEP_STATE_H
#define US_SWEEP_STATE_H

#include <time.h>

#include "base/digest.h"
#include "base/folder.h"
#include "base/json.h"
#include "sweep/plan.h"
#include "training/config.h"

/* Runs that a thread looks at, at least, where it is one of several. */
enum { US_SWEEP_LEAST_SHARE = 64 };

typedef enum us_entry_status {
    US_ENTRY_WAITING,
    US_ENTRY_RUNNING, /* by another process */
    US_ENTRY_DONE,
    US_ENTRY_DIVERGED,
    US_ENTRY_FAILED,
    US_ENTRY_INTERRUPTED,
    US_ENTRY_STOPPED, /* by halving: others were better */
} us_entry_status;

/* One run. Its identity is its whole config: two runs are the same where their configs are, however
 * they came by them. */
typedef struct us_entry {
    const us_overrides *overrides;
    char *identity;
    char *folder; /* OUT/NNN-slug */
    bool known;   /* the folder is known to be this run's, by the config in it */
    bool started; /* the folder holds this run's config */
    bool resumed; /* and a checkpoint to go on from */
    us_entry_status status;
    unseen_status failure; /* of one that diverged or failed */
    char *message;         /* of what went wrong; NULL: nothing did */
    cJSON *metrics;        /* of a run that is done: see us_entry_take_metrics */
    double parameters;
    double flops, held_out; /* of training, on an image; the share of images that is kept aside */
    us_digest_text data;    /* of what decides how many images there are */
    int epochs;             /* of the whole training */
    int reached, target;    /* epochs that are done, and until which to train now: see halving.h */
    int synthetic_epochs;   /* between its measures of the AUC on synthetic anomalies */
    const us_detector_type *detector; /* NULL: it has members */
} us_entry;

/* Keeps of a run's results, as of metrics.json, what a board tells, so that little is searched when
 * there are thousands; the rest is deleted. false: no memory, or results is NULL. */
bool us_entry_take_metrics(us_entry *entry, cJSON *results);

/* One of these numbers; NaN: there is none of that name. */
double us_entry_metric(const us_entry *entry, const char *name);

typedef struct us_estimate us_estimate;

typedef struct us_sweep {
    us_sweep_plan plan;
    us_json base; /* the base config */
    const unseen_sweep_options *options;
    const unseen_events *events;
    us_entry *entries; /* in the order of the plan */
    size_t count;
    size_t strangers;      /* run folders in OUT that belong to no run of the plan */
    us_claim claim;        /* of OUT, while it is held: see share.h */
    struct timespec since; /* when this process began, by the clock of OUT's file system */
    us_entry *current;     /* that this process trains; NULL: none */
    bool runs_are_silent;  /* of what runs say, only warnings are passed on */
    bool paused;           /* the current run has reached its target */
    bool stop;             /* asked for by the caller */
    bool ended;            /* every run has been tried */
    cJSON *final;          /* of the best run, on the plan's final images; NULL: none */
    us_estimate *estimate; /* of how long it takes, where runs are only listed; else NULL */
    char *document;        /* the text of sweep.json, once it has been written for the last time */
} us_sweep;

/* Reads the plan and checks the config of every run, and that its data files are there. Two runs of
 * one config are an error. Call us_sweep_close after a failure too. */
unseen_status us_sweep_open(const char *plan, const unseen_sweep_options *options,
                            const unseen_events *events, us_sweep *sweep, unseen_error *error);
void us_sweep_close(us_sweep *sweep);

/* What runs are to be ranked by, as the caller or the plan says; NULL: neither does. */
const char *us_sweep_criterion(const us_sweep *sweep);

/* The config of a run: the plan's base, then the plan's own overrides, the caller's, the run's. */
unseen_status us_sweep_config(const us_sweep *sweep, const us_entry *entry, unseen_config **config,
                              unseen_error *error);

/* Finds the folders of earlier calls by the configs that they hold, and names those of new runs:
 * after the run's place in the plan where that number is free, else after the largest number. */
unseen_status us_sweep_find_folders(us_sweep *sweep, unseen_error *error);

/* What a run's folder says of it: that it is done, that it failed since this process began (before,
 * it may be tried again), or that another process is at it. UNSEEN_BAD_INPUT where another run has
 * been put there since the folders were found. */
unseen_status us_sweep_look_into(const us_sweep *sweep, us_entry *entry, unseen_error *error);

/* Keeps in a run's folder, if there is one, that it failed, for other processes of the sweep. */
unseen_status us_sweep_keep_failure(const us_entry *entry, unseen_error *error);

#endif
