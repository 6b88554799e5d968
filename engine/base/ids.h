/* SPDX-License-Identifier: MIT */
/* Which row of a table belongs to which image. */
#ifndef US_BASE_IDS_H
#define US_BASE_IDS_H

#include "base/table.h"

typedef struct us_name {
    const char *text;
    size_t length;
} us_name;

/* The ids of a table's rows. A table may have numbers, names or both; images of an array have
 * neither, and are counted from 0. */
typedef struct us_ids {
    const char *path; /* of the table or the images; borrowed */
    const char *what; /* "labels", "scores" or "images", for messages */
    int64_t count;
    int64_t *numbers; /* heap; NULL: none */
    us_name *names;   /* heap; NULL: none */
    char *text;       /* what the names lie in; heap */
    uint32_t *lines;  /* of the rows in the file; heap; NULL where there is no header */
    int number_column, name_column;          /* of the table; -1: none */
    bool counted;                            /* the numbers have no name: pandas has counted rows */
    char number_header[64], name_header[64]; /* "" where pandas writes none */
} us_ids;

/* Finds the id columns of a table and reads them. A column called Id, index, file, name and the
 * like is one, as is the first column if it has no name, or if it holds each number from 0 to rows
 * - 1 once, where no other is. Of whole numbers it is a column of numbers, else one of names.
 * `values` is a column that is none, whatever it is called; -1: there is no such column. */
unseen_status us_ids_read(us_table *table, int values, const char *what, us_ids *ids,
                          unseen_error *error);
void us_ids_release(us_ids *ids); /* zeroed ids are fine */

/* Whether a column of the table has been taken for ids, or is called like one. */
bool us_ids_is_column(const us_ids *ids, const us_table *table, int column);

typedef struct us_join {
    int64_t *order; /* heap: for each image the row of its label; NULL: they are in order */
    char how[160];  /* "by row", "by column Id" */
} us_join;

/* Finds the label of each image (or of each row of scores). Joins by numbers, or by names where
 * both have them and the numbers have no column of their own; where only one has numbers, they are
 * the images' places from 0; by row where neither has ids. Each image must have one label, and each
 * label an image: else UNSEEN_BAD_INPUT names the first id that is wrong, and its line. */
unseen_status us_ids_join(const us_ids *labels, const us_ids *images, us_join *join,
                          unseen_error *error);

#endif
