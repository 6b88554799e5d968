/* SPDX-License-Identifier: MIT */
/* What a training has come to: its loss beside that of a model that gives the same for every image,
 * and beside that of the model before its first step. */
#ifndef US_TRAINING_VERDICT_H
#define US_TRAINING_VERDICT_H

#include "training/progress.h"
#include "training/training_images.h"

typedef struct us_verdict_subject {
    us_detector *detector;
    const us_training_images *images;
    int64_t count; /* of images */
    uint64_t seed;
    int64_t steps; /* made so far */
    const us_progress *progress;
} us_verdict_subject;

/* UNSEEN_DIVERGED where training left a model that is far worse than it was, and than one that
 * gives the same for every image; *doubt is a warning where it is hardly better than that, or else
 * empty. Training of a few steps is not judged so. */
unseen_status us_verdict(const us_verdict_subject *subject, char *doubt, size_t room,
                         unseen_error *error);

#endif
