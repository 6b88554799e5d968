/* SPDX-License-Identifier: MIT */
/* Detects that a game between networks has collapsed. For a window of consecutive steps, either a
 * judge gave the same logit for every image of a batch, or a loss of the game was nearly zero (its
 * network has won, and the others learn nothing more) or far too large. */
#ifndef US_TRAINING_COLLAPSE_H
#define US_TRAINING_COLLAPSE_H

#include "training/config.h"

enum { US_MAX_SIGNALS = US_DETECTOR_MAX_LOSSES + US_DETECTOR_MAX_NETWORKS };

typedef enum us_symptom {
    US_SYMPTOM_NONE,
    US_SYMPTOM_VANISHED, /* a loss */
    US_SYMPTOM_EXPLODED, /* a loss */
    US_SYMPTOM_CONSTANT, /* a judge's logits */
} us_symptom;

/* Consecutive steps with the same symptom. */
typedef struct us_symptom_run {
    int symptom;           /* us_symptom */
    int64_t first, length; /* steps, counted since the start of training */
} us_symptom_run;

/* The runs of all signals of a step: of the losses, then of the spread of each judge's logits. */
typedef struct us_collapse {
    us_symptom_run runs[US_MAX_SIGNALS];
    int64_t next; /* the step to be checked next */
} us_collapse;

us_symptom us_collapse_of_loss(const us_collapse_settings *settings, us_game game, double loss);
us_symptom us_collapse_of_spread(const us_collapse_settings *settings, double spread);

/* Adds a step's symptom; true: all steps of a whole window had it. */
bool us_collapse_extend(const us_collapse_settings *settings, us_symptom_run *run,
                        us_symptom symptom, int64_t step);

#endif
