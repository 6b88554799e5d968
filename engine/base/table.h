/* SPDX-License-Identifier: MIT */
/* Tables in text: CSV and its relatives. The one reader of them, for labels and for scores. */
#ifndef US_BASE_TABLE_H
#define US_BASE_TABLE_H

#include <locale.h>
#include <stdio.h>

#include "base/error.h"

typedef struct us_cell {
    const char *text; /* in the table, without outer quotes and blanks; not NUL-terminated */
    size_t length;
    bool doubled; /* each quote within stands there twice */
} us_cell;

/* Where a cell is in the text. */
typedef struct us_place {
    uint32_t start, length : 31, doubled : 1;
} us_place;

typedef struct us_table {
    const char *path; /* borrowed */
    int columns;
    int64_t rows;     /* without the header; at least 1 */
    char **names;     /* the header's cells; NULL: there is no header */
    us_cell *cells;   /* of the row read last */
    int64_t line;     /* where that row begins, counted from 1 */
    char separator;   /* ',', ';' or a tab */
    char decimal;     /* '.' or ',', once a number has shown which; else 0 */
    locale_t points;  /* in which numbers have a decimal point */
    const char *text; /* borrowed; cells stay where they are in it, should it change */
    us_place *places; /* of the cells, row by row */
    uint32_t *lines;  /* of the rows */
    int64_t row;      /* to be read next */
    const char *first, *next, *end;
    int64_t first_line, next_line;
} us_table;

/* Reads a table, which must stay in memory, through once: afterwards rows can be read without
 * errors. Cells are separated by commas, semicolons or tabs, whatever fits the first two rows; they
 * may be quoted as RFC 4180 has it, with line feeds within; lines end in LF or CRLF; there may be a
 * byte order mark, and empty lines at the end. A first row is a header unless it holds a number; of
 * several columns one is needed. At most 2 GiB. Errors are UNSEEN_BAD_INPUT with file and line. */
unseen_status us_table_open(const char *text, size_t size, const char *path, us_table *table,
                            unseen_error *error);
void us_table_close(us_table *table);

void us_table_rewind(us_table *table);
bool us_table_next(us_table *table); /* the next row; false: there is none */

/* UNSEEN_BAD_INPUT with "path: line N: " before the message; N is that of the row read last. */
unseen_status us_table_fail(const us_table *table, unseen_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* The column's name in quotes, or "column 2" where there is no header, for messages. */
typedef struct us_shown {
    char text[64];
} us_shown;
us_shown us_table_column(const us_table *table, int column);
us_shown us_cell_show(us_cell cell); /* printable, at most 40 characters */

/* The names of all columns for a message: "a", "b", "c". */
typedef struct us_column_list {
    char text[256];
} us_column_list;
us_column_list us_table_columns(const us_table *table);

/* A number with a decimal point, or with a decimal comma where that cannot separate cells; all
 * numbers of a table have the same. "nan" and "inf" are numbers. False: none. */
bool us_cell_number(us_table *table, us_cell cell, double *value);

/* A whole number, which may be written as 1.0 or 1,0, too. */
bool us_cell_whole(const us_table *table, us_cell cell, int64_t *value);

/* The same, or True and False in any case, as 1 and 0. */
bool us_cell_class(const us_table *table, us_cell cell, int64_t *value);

/* The same of text that is in no table. */
bool us_text_class(const char *text, int64_t *value);

/* Copies what a cell says, less the doubling of quotes, to `copy`, which has room for its length
 * and a NUL. Returns the length. */
size_t us_cell_copy(us_cell cell, char *copy);

/* Writes a cell of a CSV as RFC 4180 has it, in quotes also where another reader might take a part
 * of it for something else. */
void us_cell_write(const char *text, size_t length, FILE *stream);

/* The whole text as a decimal integer, with an optional sign; false: it is none, or too large. */
bool us_text_integer(const char *text, size_t length, int64_t *value);

/* ---- what columns are called ---- */

/* Case, blanks, '-' and '_' in a header do not matter. */
typedef enum us_id_column {
    US_ID_NONE,
    US_ID_NUMBER,  /* Id, index, image_id, ... */
    US_ID_NAME,    /* file, name, path, image, ... */
    US_ID_UNNAMED, /* the first column without a name, as pandas writes it */
} us_id_column;
us_id_column us_table_id_column(const us_table *table, int column);

bool us_table_is_label(const us_table *table, int column); /* label, target, class, anomaly, ... */

/* The column of that name, exactly or else in any case; -1: none. */
int us_table_find(const us_table *table, const char *name);

#endif
