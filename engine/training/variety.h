/* SPDX-License-Identifier: MIT */
/* Whether images differ. Comparing ends at the first difference, so that it takes long only where
 * there are hardly any. */
#ifndef US_TRAINING_VARIETY_H
#define US_TRAINING_VARIETY_H

#include "training/dataset.h"

/* Whether all images of a selection (NULL: of the set) have the same bytes; a single one has. */
bool us_dataset_alike(const us_dataset *dataset, const uint32_t *selection, int64_t count);

/* Checks training images before training: UNSEEN_BAD_INPUT where all are identical, a warning where
 * few differ, or where the held-out ones are identical. */
unseen_status us_dataset_check_variety(const us_dataset *training, const unseen_events *events,
                                       unseen_error *error);

#endif
