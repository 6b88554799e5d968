/* SPDX-License-Identifier: MIT */
/* A config, read and checked: everything a run needs to know. */
#ifndef US_TRAINING_CONFIG_H
#define US_TRAINING_CONFIG_H

#include "detector/detector.h"
#include "ops/augmentation.h"
#include "ops/optimizer.h"
#include "training/schedule.h"

typedef struct us_optimizer_settings {
    int type; /* us_optimizer_kind */
    double learning_rate, betas[2], epsilon, momentum, weight_decay;
    bool nesterov;
} us_optimizer_settings;

typedef struct us_stopping {
    int patience;               /* epochs without improvement; 0: train every epoch */
    double minimum_improvement; /* relative */
    double loss_below;          /* 0: off, as no loss is negative */
} us_stopping;

/* The bounds beyond which a game between networks has collapsed (collapse.h), and what to do then.
 */
typedef struct us_collapse_settings {
    int window; /* consecutive steps */
    double smallest_loss, largest_loss, smallest_spread;
    int restarts; /* at most, of diverged trainings too */
} us_collapse_settings;

/* Where ranks share a batch. */
typedef enum us_batchnorm_sharing {
    US_BATCHNORM_SYNCHRONIZED, /* statistics are those of the whole batch */
    US_BATCHNORM_LOCAL,        /* those of a rank's own images */
} us_batchnorm_sharing;

typedef struct us_training_settings {
    int epochs, batch;
    int shards; /* that a batch is cut into; 0: as many as there are processes */
    int64_t seed;
    int64_t held_out_seed; /* that chooses what is held out */
    double clip_norm, held_out;
    bool flip; /* says augmentation.flip = 0.5 */
    us_augmentation_settings augmentation;
    int precision;   /* us_precision */
    int batchnorm;   /* us_batchnorm_sharing */
    int least_steps; /* for which epochs are added, where they are too few */
    int checkpoint_epochs, synthetic_epochs;
    us_schedule schedule;
    us_stopping stopping;
    us_collapse_settings collapse;
    us_optimizer_settings optimizers[US_DETECTOR_MAX_NETWORKS]; /* per network */
} us_training_settings;

typedef struct us_data_settings {
    char *train, *train_labels, *test, *labels, *masks, *normal, *label_column, *object;
} us_data_settings;

/* The files that /data names. */
enum {
    US_DATA_TRAIN,
    US_DATA_TRAIN_LABELS,
    US_DATA_TEST,
    US_DATA_LABELS,
    US_DATA_MASKS,
    US_DATA_FILES
};

typedef struct us_data_file {
    const char *key;  /* in /data */
    const char *what; /* "the training images" */
    const char *path; /* NULL: not given */
} us_data_file;

us_data_file us_data_file_of(const us_data_settings *data, int which);

/* How the scores of members become one. */
typedef enum us_joining_kind {
    US_JOINING_NORM, /* the root of the sum of squares */
    US_JOINING_SUM,
    US_JOINING_MAXIMUM
} us_joining_kind;
enum { US_MEMBERS_MOST = 16 };
typedef struct us_joining {
    int join;                        /* us_joining_kind */
    double weights[US_MEMBERS_MOST]; /* factors on those by what a member's score tells */
} us_joining;

struct unseen_config {
    us_json root; /* completed with defaults */
    char *path;
    char *name, *description;
    us_shape input;
    int range;                 /* us_range */
    int layout;                /* us_layout */
    int fit;                   /* us_fit */
    double overlap;            /* of windows, where that is US_FIT_TILE */
    us_detector_spec detector; /* type NULL: there are members instead, see members.h */
    us_training_settings training;
    us_data_settings data;
    struct unseen_config **members;
    int member_count;
    us_joining joining; /* of members */
};

/* As unseen_config_load, of a document that was parsed already; path: its name in messages. */
unseen_status us_config_read(const char *path, const cJSON *document, const char *const *overrides,
                             size_t override_count, unseen_config **config, unseen_error *error);

/* Of the detector, or of all members together. */
int64_t us_config_parameters(const unseen_config *config);

/* ---- the parts of a config: training_settings.c, members.c ---- */

extern const us_key us_training_keys[];

/* Reads /training of a config whose detector is known, checks it, and completes the document with
 * defaults. */
unseen_status us_training_settings_read(struct unseen_config *config, unseen_error *error);

/* NULL: no memory. */
cJSON *us_training_schema(void);

/* Fills a zeroed config from its root, and completes that with defaults. */
unseen_status us_config_fill(struct unseen_config *config, unseen_error *error);

#endif
