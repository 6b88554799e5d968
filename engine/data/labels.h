/* Class labels of a set of images. */
#ifndef US_DATA_LABELS_H
#define US_DATA_LABELS_H

#include "base/error.h"

typedef struct us_labels {
    int64_t *values;
    int64_t count;
    char *path;
} us_labels;

/* Opens .npy (any integer type or bool, shape N or N,1), IDX (any integer type, one dimension),
 * either plain or .gz, or CSV (one label a line, or the last column of several with a header line;
 * ids, where a first column named Id in any case is there, must be 0 to N-1 in any order, and order
 * the labels). At most INT32_MAX labels. UNSEEN_BAD_INPUT names file and fault, in a CSV the line
 * too. */
unseen_status us_labels_open(const char *path, us_labels *labels, unseen_error *error);
void us_labels_close(us_labels *labels);

/* Fails unless labels and images are equal in number, naming both files and both counts. */
unseen_status us_labels_match(const us_labels *labels, int64_t images, const char *images_path,
                              unseen_error *error);

/* The indices (ascending, heap) of the images whose label is `normal` (a decimal integer as text).
 * None at all is an error that lists the labels there are. */
unseen_status us_labels_select(const us_labels *labels, const char *normal, uint32_t **indices,
                               int64_t *count, unseen_error *error);

/* 1 for anomalous, 0 for normal (heap, one per label). normal NULL: labels must be 0 and 1 as they
 * are; otherwise every label but `normal` is anomalous. */
unseen_status us_labels_anomalous(const us_labels *labels, const char *normal,
                                  unsigned char **anomalous, unseen_error *error);

#endif
