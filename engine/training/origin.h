/* SPDX-License-Identifier: MIT */
/* What a run began with: its config and its training data. A checkpoint keeps it, so that a run is
 * not continued as another one. */
#ifndef US_TRAINING_ORIGIN_H
#define US_TRAINING_ORIGIN_H

#include "training/config.h"

/* JSON on one line, freed with unseen_string_free: {"config": the keys that training depends on,
 * "train", "train_labels": digests of the files}. `resolved` is the config as it is run.
 *
 * The digest of images is that of the file's size and of 256 blocks of 4 KiB, the first, the last
 * and evenly spaced ones between: a file of at most 1 MiB is read whole, one of any size within
 * milliseconds, and what changes only between the blocks of a larger one is not seen. Labels are
 * read whole. */
typedef struct us_origin_source {
    const us_data_settings *data;
    const char *images; /* the plain file of the training images, which may be one of the cache */
    bool by_class;      /* /data/normal selects among them, though there is no file of labels */
} us_origin_source;
unseen_status us_origin_read(const cJSON *resolved, const us_origin_source *source, char **origin,
                             unseen_error *error);

/* UNSEEN_BAD_INPUT where two origins differ, naming the key or file. `checkpoint` is the file that
 * `before` is from. */
unseen_status us_origin_compare(const char *before, const char *now, const us_data_settings *data,
                                const char *checkpoint, unseen_error *error);

#endif
