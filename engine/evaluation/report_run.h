/* SPDX-License-Identifier: MIT */
/* What a run folder says, as far as it is there. */
#ifndef US_EVALUATION_REPORT_RUN_H
#define US_EVALUATION_REPORT_RUN_H

#include "base/json.h"
#include "evaluation/scores.h"

enum { US_RUN_PARTS = 6 };

/* One series per number of log.jsonl; entries are NaN where the line has none. */
typedef struct us_run_log {
    int64_t count;
    double *epoch, *loss, *held_out_loss, *images_per_second;
    int parts; /* of the loss: the members of "losses" of the first line, as many as there is room
                */
    char part_names[US_RUN_PARTS][32];
    double *part[US_RUN_PARTS];
} us_run_log;

typedef struct us_run {
    const char *folder; /* the caller's */
    bool of_scores;     /* it is no folder, but a file of scores */
    us_json metrics;    /* metrics.json, an object; always there */
    us_json config;     /* config.json; value NULL: absent */
    us_json pictures;   /* pictures.json; likewise */
    cJSON *evaluation;  /* the object with unseen_evaluate's fields: metrics.value, or computed from
                           scores.csv; NULL: there are no labels */
    cJSON *computed;    /* evaluation, where it is not metrics.value */
    char refused[512];  /* why scores.csv could not be evaluated; "" */
    us_run_log log;
    us_scores scores; /* of scores.csv, else prediction.csv; count 0: neither is there */
    char *metrics_path, *config_path, *pictures_path;
} us_run;

/* Fails when metrics.json is missing (then the folder is no run's) or a file that is there is not
 * what it should be; a last line of log.jsonl that was cut off is left out. Where a resumed run
 * logged an epoch again, the later line counts. */
unseen_status us_run_read(const char *folder, us_run *run, unseen_error *error);
void us_run_release(us_run *run); /* zeroed runs are fine */

/* Members of an object that may be NULL or hold anything: NaN or NULL where they are not what is
 * asked for. */
double us_run_number(const cJSON *object, const char *name);
const char *us_run_string(const cJSON *object, const char *name);

/* The run's name: from metrics.json, config.json, or the folder. */
const char *us_run_name(const us_run *run);

#endif
