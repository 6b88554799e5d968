/* SPDX-License-Identifier: MIT */
/* Class labels of a set of images. */
#ifndef US_DATA_LABELS_H
#define US_DATA_LABELS_H

#include <cjson/cJSON.h>

#include "base/ids.h"

typedef struct us_labels {
    int64_t *values; /* classes: numbers, or places in `words` */
    int64_t count;
    char **words; /* classes that are words, sorted; NULL: classes are numbers */
    int64_t word_count;
    char *path;
    char column[64]; /* that they were read from, for messages; "" where there is but one */
    us_ids ids;
    char joined[160]; /* how us_labels_match did it: "by row", "by column Id" */
} us_labels;

/* Opens a folder of photographs, whose classes are the folders within it, .npy (whole numbers of
 * any type, bool, or text, of shape N or N,1), IDX (whole numbers, one dimension), either plain or
 * .gz, or a table (table.h). The labels of a table are in the column `column`, or (NULL) in the one
 * that is called label, target, class, anomaly and the like, or in the only one that is no column
 * of ids. True and False are 1 and 0; what is no number is a word. At most INT32_MAX labels.
 * UNSEEN_BAD_INPUT names file and fault, in a table the line too. */
unseen_status us_labels_open(const char *path, const char *column, us_labels *labels,
                             unseen_error *error);
void us_labels_close(us_labels *labels);

/* Brings the labels into the order of the images, by their ids where there are any; fails unless
 * each image has one label, and each label an image. */
unseen_status us_labels_match(us_labels *labels, const us_ids *images, unseen_error *error);

/* The same for images of an array, which are counted from 0. */
unseen_status us_labels_match_images(us_labels *labels, int64_t images, const char *images_path,
                                     unseen_error *error);

/* The indices (ascending, heap) of the images whose label is `normal`. None at all is an error that
 * lists the labels there are. */
unseen_status us_labels_select(const us_labels *labels, const char *normal, uint32_t **indices,
                               int64_t *count, unseen_error *error);

/* The normal class: `given`; else "good" or "normal" of words, 0 of labels that are 0 and 1. NULL:
 * not known. */
const char *us_labels_normal(const us_labels *labels, const char *given);

/* Whether there is a class that is called so. */
bool us_labels_have(const us_labels *labels, const char *class);

/* What a class is called; text has room for numbers. */
const char *us_labels_class(const us_labels *labels, int64_t class, char text[24]);

/* 1 for anomalous, 0 for normal (heap, one per label). normal NULL: labels must be 0 and 1 as they
 * are; otherwise every label but `normal` is anomalous. */
unseen_status us_labels_anomalous(const us_labels *labels, const char *normal,
                                  unsigned char **anomalous, unseen_error *error);

/* Says what was taken for what: as a message, "l.csv: 37 labels in column "label", by column Id";
 * and as a member "labels" of an object: {path, count, column (null: no header), joined}; false: no
 * memory. */
void us_labels_tell(const us_labels *labels, const unseen_events *events);
bool us_labels_to_json(const us_labels *labels, cJSON *object);

#endif
