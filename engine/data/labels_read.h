/* SPDX-License-Identifier: MIT */
/* Reading labels from what files of labels are. */
#ifndef US_DATA_LABELS_READ_H
#define US_DATA_LABELS_READ_H

#include "data/array.h"
#include "data/labels.h"

/* They fill values, words, column and ids of labels, whose path is set. */
unseen_status us_labels_from_array(const us_array *array, us_labels *labels, unseen_error *error);
unseen_status us_labels_from_table(const char *text, size_t size, const char *column,
                                   us_labels *labels, unseen_error *error);

/* Different words, numbered in the order in which they come. */
typedef struct us_words {
    char **words;
    int64_t *sorted; /* their numbers by what they say */
    int64_t count, room;
} us_words;

enum { US_WORDS_MOST = 65536 };

/* The number of a word; -1: no memory, or already US_WORDS_MOST others are there. */
int64_t us_words_add(us_words *words, const char *text);

/* Hands the words to the labels, sorted, with labels->values numbered anew. */
unseen_status us_words_finish(us_words *words, us_labels *labels, unseen_error *error);
void us_words_release(us_words *words);

#endif
