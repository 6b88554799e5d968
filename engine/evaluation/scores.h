/* Scores of images, one named column per part, and their CSV files. */
#ifndef US_EVALUATION_SCORES_H
#define US_EVALUATION_SCORES_H

#include "base/error.h"

enum { US_SCORES_MAX_COLUMNS = 8 };

typedef struct us_scores {
    int64_t count;
    int columns;                        /* at least 1; column 0 is the combined score */
    char names[US_SCORES_MAX_COLUMNS][32];
    double *values[US_SCORES_MAX_COLUMNS]; /* heap, count each */
} us_scores;

/* Allocates zeroed columns. */
unseen_status us_scores_create(int64_t count, int columns, const char *const *names,
                               us_scores *scores, unseen_error *error);
void us_scores_destroy(us_scores *scores);

/* UNSEEN_FAILURE (never a result) when a column is non-finite or constant, naming column and image;
 * a single image is never constant. */
unseen_status us_scores_check(const us_scores *scores, unseen_error *error);

/* prediction.csv: header ("Id,Predicted" or the caller's two names), ids from 0, column 0 with nine
 * significant digits. Written whole or not at all. */
unseen_status us_scores_write_prediction(const us_scores *scores, const char *header,
                                         const char *path, unseen_error *error);

/* scores.csv: "id" and every column by name. */
unseen_status us_scores_write_all(const us_scores *scores, const char *path, unseen_error *error);

/* Reads either kind back (and CSVs of other programs: comma separated, one header line, first column
 * an id from 0 in any order, every further column numeric). At most 2^31 rows. */
unseen_status us_scores_read(const char *path, us_scores *scores, unseen_error *error);

#endif
