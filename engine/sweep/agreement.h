/* SPDX-License-Identifier: MIT */
/* How well numbers that need no labels put the runs of a sweep into the order of their AUCs. */
#ifndef US_SWEEP_AGREEMENT_H
#define US_SWEEP_AGREEMENT_H

#include "sweep/state.h"

/* Adds {NAME: {runs, spearman, kendall}} for those of held_out_loss, loss and synthetic_auc that at
 * least three finished runs have beside an AUC; 1: the same order (for losses, of falling ones).
 * By us_rank_correlation; null where all values are the same. false: no memory. */
bool us_agreement_add(cJSON *object, const us_sweep *sweep);

#endif
