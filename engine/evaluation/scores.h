/* Scores of images, one named column per part, and their CSV files. */
#ifndef US_EVALUATION_SCORES_H
#define US_EVALUATION_SCORES_H

#include "base/error.h"

enum { US_SCORES_MAX_COLUMNS = 8 };

typedef struct us_scores {
    int64_t count;
    int columns; /* at least 1; column 0 is the combined score */
    char names[US_SCORES_MAX_COLUMNS][32];
    double *values[US_SCORES_MAX_COLUMNS]; /* heap, count each */
    unsigned char
        *anomalous; /* heap, count entries of 0 or 1; NULL: unknown. us_scores_create leaves
                       it NULL, us_scores_read fills it where the file has the column */
} us_scores;

/* Allocates zeroed columns. A name has 1 to 31 bytes, none of them a control character, comma or
 * quote; names differ, and none is "anomalous". */
unseen_status us_scores_create(int64_t count, int columns, const char *const *names,
                               us_scores *scores, unseen_error *error);
void us_scores_destroy(us_scores *scores); /* zeroed scores are fine */

/* UNSEEN_FAILURE (never a result) when a column is non-finite or constant, naming column and image;
 * a single image is never constant. */
unseen_status us_scores_check(const us_scores *scores, unseen_error *error);
unseen_status us_scores_check_finite(const us_scores *scores, unseen_error *error);

/* UNSEEN_BAD_INPUT unless `header` is NULL or two names with a comma between. */
unseen_status us_scores_check_header(const char *header, unseen_error *error);

/* prediction.csv: header (NULL: "Id,Predicted"; else the caller's two names), ids from 0, column 0
 * with nine significant digits. Written whole or not at all. */
unseen_status us_scores_write_prediction(const us_scores *scores, const char *header,
                                         const char *path, unseen_error *error);

/* scores.csv: "id" and every column by name, with every digit that a double needs; where labels are
 * known, a last column "anomalous" of 0 and 1 (`anomalous` NULL: no such column). Written whole or
 * not at all. */
unseen_status us_scores_write_all(const us_scores *scores, const unsigned char *anomalous,
                                  const char *path, unseen_error *error);

/* Reads either kind back, and CSVs of other programs: comma separated, one header line, first
 * column an id from 0 in any order, every further column numeric ("nan" and "inf" are read; it is
 * us_scores_check and the metrics that refuse them), fields in double quotes or not, LF or CRLF,
 * with or without a byte order mark. A last column "anomalous" of 0 and 1 becomes
 * scores->anomalous. At most 2^31 rows. Missing or repeated ids, ragged rows and anything else are
 * UNSEEN_BAD_INPUT with file and line. Numbers are read and written with a decimal point whatever
 * the caller's locale. */
unseen_status us_scores_read(const char *path, us_scores *scores, unseen_error *error);

#endif
