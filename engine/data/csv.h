/* Labels in CSV files. */
#ifndef US_DATA_CSV_H
#define US_DATA_CSV_H

#include "base/error.h"

/* Reads one integer label a line; with a header line also several columns, of which the last is the
 * label, and a first one named Id (in any case) the image's number, in any order. Comma-separated,
 * fields in double quotes if need be, LF or CRLF, empty lines at the end only. *values is on the
 * heap, in the order of the ids. At most INT32_MAX labels. */
unseen_status us_csv_labels(const unsigned char *bytes, size_t size, const char *path,
                            int64_t **values, int64_t *count, unseen_error *error);

/* The whole text as a decimal integer, with an optional sign; false when it is none or too large.
 */
bool us_csv_integer(const char *text, size_t length, int64_t *value);

#endif
