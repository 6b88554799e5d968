/* SPDX-License-Identifier: MIT */
/* What a run has trained, opened to score with. */
#ifndef US_JOBS_TRAINED_H
#define US_JOBS_TRAINED_H

#include "training/model.h"

typedef struct us_trained {
    const char *folder;
    unseen_config *config;
    us_scale scale; /* what the numbers of the images trained on mean, as far as it is known */
    us_device *device;
    us_model model;
} us_trained;

/* The config, and how images are to be read; UNSEEN_BAD_INPUT where the folder holds no model. The
 * folder's name outlives the run. */
unseen_status us_trained_open(const char *folder, us_trained *run, unseen_error *error);

/* Then the model, on a device, for batches of at most so many images. */
unseen_status us_trained_load(us_trained *run, const char *device, int64_t images,
                              const unseen_events *events, unseen_error *error);

/* Zeroed ones are fine. false: the device does not answer any more, and may still read images. */
bool us_trained_close(us_trained *run);

#endif
