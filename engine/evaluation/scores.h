/* SPDX-License-Identifier: MIT */
/* Scores of images, one named column per part, and their CSV files. */
#ifndef US_EVALUATION_SCORES_H
#define US_EVALUATION_SCORES_H

#include "base/ids.h"

enum { US_SCORES_MAX_COLUMNS = 24 };

/* Of what kind anomalous images are, where there are several; see kinds.h. */
enum { US_KINDS_MOST = 256 };
typedef struct us_kinds {
    int count; /* 0: not known */
    char *names[US_KINDS_MOST];
    int16_t *of; /* for each image; -1: it is normal */
} us_kinds;

typedef struct us_scores {
    int64_t count;
    int columns; /* at least 1; column 0 is the combined score */
    char names[US_SCORES_MAX_COLUMNS][32];
    double *values[US_SCORES_MAX_COLUMNS]; /* heap, count each */
    unsigned char
        *anomalous; /* heap, count entries of 0 or 1; NULL: unknown. us_scores_create leaves
                       it NULL, us_scores_read fills it where the file has the column */
    us_kinds kinds; /* likewise: us_scores_read fills them from a column "kind" beside
                       "anomalous", which us_scores_write_all writes where it has both */
    const double *threshold; /* the caller's; NULL: none. With it, files that are written have a
                                last column "verdict" of "normal" and, where column 0 reaches it,
                                "anomalous"; us_scores_read leaves such a column out */
    bool labelled;           /* us_scores_read found a column that is called like labels */
    us_ids ids;              /* of us_scores_read; its path is that given to it. */
} us_scores;

/* Allocates zeroed columns. A name has 1 to 31 bytes, none of them a control character, comma or
 * quote; names differ, and none is "anomalous". */
unseen_status us_scores_create(int64_t count, int columns, const char *const *names,
                               us_scores *scores, unseen_error *error);
void us_scores_destroy(us_scores *scores); /* zeroed scores are fine */

/* Takes over names, if there are any, as ids to write. */
void us_scores_name(us_scores *scores, us_ids *names);

/* UNSEEN_FAILURE (never a result) when a column is non-finite or constant, naming column and image;
 * a single image is never constant. */
unseen_status us_scores_check(const us_scores *scores, unseen_error *error);
unseen_status us_scores_check_finite(const us_scores *scores, unseen_error *error);

/* UNSEEN_BAD_INPUT unless `header` is NULL or two names with a comma between. */
unseen_status us_scores_check_header(const char *header, unseen_error *error);

/* The first line of scores.csv without labels, and without the line's end. Heap; NULL: no memory.
 */
char *us_scores_header(const us_scores *scores);

/* Whether a text begins as a CSV of scores with that header (NULL: "Id,Predicted") does: for
 * us_output. */
bool us_scores_recognize(const char *head, const void *header);

/* prediction.csv: header (NULL: "Id,Predicted"; else the caller's two names), ids from 0 or names,
 * column 0 with nine significant digits. As us_output_begin has it: written whole or not at all, or
 * a stream. */
unseen_status us_scores_write_prediction(const us_scores *scores, const char *header,
                                         const char *path, unseen_error *error);

/* scores.csv: "id" and every column by name, with every digit that a double needs; where labels are
 * known, a last column "anomalous" of 0 and 1 (`anomalous` NULL: no such column). Likewise. */
unseen_status us_scores_write_all(const us_scores *scores, const unsigned char *anomalous,
                                  const char *path, unseen_error *error);

/* Reads either kind back, and tables of other programs: as table.h has them, with a header, where
 * each column is a score that is neither of ids (ids.h) nor called like labels; or one column of
 * scores, with or without a header. Of two columns, one of them of ids, the other is the score
 * whatever its name, unless that is "anomalous". `labels` is a column of labels by name; NULL:
 * those that are called so. "nan" and "inf" are read; it is us_scores_check and the metrics that
 * refuse them. Scores are in the order of their rows. A column "anomalous" of 0 and 1 becomes
 * scores->anomalous. Anything else is UNSEEN_BAD_INPUT with file and line. */
unseen_status us_scores_read(const char *path, const char *labels, us_scores *scores,
                             unseen_error *error);

#endif
