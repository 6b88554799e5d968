/* SPDX-License-Identifier: MIT */
/* FOLDER/log.jsonl: one record for each epoch and for each restart. */
#ifndef US_TRAINING_LOG_H
#define US_TRAINING_LOG_H

#include "training/progress.h"
#include "training/synthetic.h"

typedef struct us_log_epoch {
    const us_detector_type *type;
    const double *losses; /* of the type, in its order */
    double learning_rate; /* of the first network, at the epoch's last step */
    double images_per_second, seconds;
    us_stopping_reason stopping;   /* after this epoch */
    const us_synthetic *synthetic; /* NULL: not measured */
} us_log_epoch;

/* Drops records that the progress does not count, as those of a run that was killed. */
unseen_status us_log_rewind(const char *folder, const us_progress *progress, unseen_error *error);

/* Appends a record, and counts it in progress->records. */
unseen_status us_log_append(const char *folder, const us_log_epoch *epoch, us_progress *progress,
                            unseen_error *error);

/* Adds what synthetic anomalies tell of the trained model to the last of so many records. */
unseen_status us_log_synthetic(const char *folder, const us_synthetic *synthetic, int records,
                               unseen_error *error);

/* Of a run of several members: the whole log, with a record of what each has come to, and last what
 * synthetic anomalies tell of the whole (NULL: not known yet). */
unseen_status us_log_members(const char *folder, const cJSON *members,
                             const us_synthetic *synthetic, unseen_error *error);

/* Records a restart that progress->restarts counts already, before the progress begins again. */
unseen_status us_log_restart(const char *folder, const char *reason, uint64_t seed,
                             us_progress *progress, unseen_error *error);

#endif
