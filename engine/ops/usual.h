/* SPDX-License-Identifier: MIT */
/* What normal images have at each place of a map of distances, and how far an image is above it.
 *
 * Some places are always unlikely (edges, shadows), and some images are so everywhere (rough or
 * noisy ones). With a = log of a distance, at least 1e-6, and l the mean of a over an image's places,
 * a straight line a = m + s (l - m_l) and the deviation d from it are fitted, at each place, to the
 * images learned, m_l being the mean of their l. A distance becomes (a - m - s (l - m_l)) / d.
 *
 * Few images tell little of a single place: as if there were 10 more of them, m is drawn to m_l, s to
 * 1, and d^2 to its mean over all places. */
#ifndef US_OPS_USUAL_H
#define US_OPS_USUAL_H

#include "ops/layer.h"

typedef struct us_usual us_usual;

/* places: of a map; batch: padded. */
unseen_status us_usual_create(us_device *device, int places, int batch, us_usual **usual,
                              unseen_error *error);
void us_usual_destroy(us_usual *usual); /* NULL is fine */

/* ---- learning: begin, learn each batch once, finish ---- */

void us_usual_begin(us_usual *usual);
/* distances: [places][batch], of n images; not changed. Waits for them. */
unseen_status us_usual_learn(us_usual *usual, us_buffer *distances, int n, unseen_error *error);
/* UNSEEN_FAILURE where nothing was learned, UNSEEN_DIVERGED where distances are not finite. */
unseen_status us_usual_finish(us_usual *usual, unseen_error *error);

/* ---- asking ---- */

/* distances [places][batch] become how far they are above what is usual. */
unseen_status us_usual_apply(us_usual *usual, us_buffer *distances, unseen_error *error);

/* ---- what was learned, for files ---- */

enum { US_USUAL_ROWS = 3 };

/* [US_USUAL_ROWS][places]: m - s m_l, s, d. NULL before it has learned or was restored. */
const float *us_usual_values(const us_usual *usual);
/* values as of us_usual_values, which are copied. UNSEEN_BAD_INPUT where they cannot be that. */
unseen_status us_usual_restore(us_usual *usual, const float *values, unseen_error *error);

#endif
