/* SPDX-License-Identifier: MIT */
/* Decoding all photographs of a set, on all cores. */
#ifndef US_DATA_PHOTOGRAPH_POOL_H
#define US_DATA_PHOTOGRAPH_POOL_H

#include "base/event.h"
#include "data/file_set.h"
#include "data/photograph.h"
#include "data/tiles.h"

/* What most photographs of the set are like: of up to 256, spread evenly; in an archive the first
 * 64. */
typedef struct us_photograph_majority {
    int looked_at;
    bool colour, deep;
} us_photograph_majority;
unseen_status us_photographs_look(const us_file_set *set, us_photograph_majority *majority,
                                  unseen_error *error);

/* Takes photograph `index`; called by several threads at once. UNSEEN_BAD_INPUT is a fault of the
 * file: all are taken, faults counted and the first three named. Any other failure ends it. */
typedef unseen_status (*us_photograph_taker)(void *user, int64_t index,
                                             const us_photograph_file *file, unseen_error *error);
unseen_status us_photographs_each(const us_file_set *set, us_photograph_taker take, void *user,
                                  const unseen_events *events, unseen_error *error);

/* Writes photograph i at offset + i * us_photograph_bytes(form) of a file. Each core has one
 * photograph in memory at a time. */
unseen_status us_photographs_decode(const us_file_set *set, const us_photograph_form *form,
                                    int descriptor, int64_t offset, const unseen_events *events,
                                    unseen_error *error);

/* The sizes of all photographs, and how many windows they have. */
unseen_status us_photographs_measure(const us_file_set *set, us_tiling *tiling,
                                     const unseen_events *events, unseen_error *error);

/* Writes their windows, which have the form, one after the other. */
unseen_status us_photographs_cut(const us_file_set *set, const us_photograph_form *form,
                                 const us_tiling *tiling, int descriptor, int64_t offset,
                                 const unseen_events *events, unseen_error *error);

#endif
