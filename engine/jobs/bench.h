/* SPDX-License-Identifier: MIT */
/* What the parts of unseen_bench share. */
#ifndef US_JOBS_BENCH_H
#define US_JOBS_BENCH_H

#include "device/profile.h"
#include "training/trainer.h"

typedef enum us_bench_phase { US_BENCH_TRAINING, US_BENCH_SCORING, US_BENCH_PHASES } us_bench_phase;

/* Launches with the same label: a layer's pass, or a part of the step outside of layers. */
typedef struct us_bench_row {
    us_bench_phase phase;
    us_label label;
    int launches;
    double seconds;      /* of one batch */
    double flops, bytes; /* the fewest that it takes; 0: not known */
} us_bench_row;

typedef struct us_bench_rows {
    us_bench_row *rows;
    int count;
    double seconds[US_BENCH_PHASES]; /* of all rows */
    bool by_host;                    /* timed by the host, for want of a better clock */
} us_bench_rows;

/* What is measured. */
typedef struct us_bench_subject {
    const unseen_config *config;
    us_dataset dataset; /* made up, of US_BENCH_BATCHES whole batches */
    us_detector *detector;
    us_trainer *trainer;
} us_bench_subject;

enum { US_BENCH_BATCHES = 8 };

/* Makes all of a subject, of which the config is set, on an open device. Call the destructors of
 * its parts after a failure, too. */
unseen_status us_bench_set_up(us_bench_subject *subject, us_device *device, unseen_error *error);

/* Profiles training steps and scoring batches, and gives medians. *step, where asked for, is the
 * profile of the last training step. */
unseen_status us_bench_profile(const us_bench_subject *subject, us_bench_rows *rows,
                               us_profile **step, unseen_error *error);
void us_bench_rows_release(us_bench_rows *rows);

/* The rows as an array of objects; NULL: no memory. peak: FLOP/s. */
cJSON *us_bench_rows_json(const us_bench_rows *rows, const us_detector_spec *spec, double peak);

#endif
