/* SPDX-License-Identifier: MIT */
/* Aligned tables on standard output. */
#ifndef US_CLI_TABLE_H
#define US_CLI_TABLE_H

#include <stddef.h>

typedef struct cli_table {
    const char *alignment; /* one letter a column: 'l' or 'r' */
    size_t columns;
    char **cells; /* row by row; NULL starts a rule across the table */
    size_t count, capacity;
} cli_table;

/* `alignment` outlives the table. */
void cli_table_begin(cli_table *table, const char *alignment);

/* Adds the next cell, a copy of text. */
void cli_table_cell(cli_table *table, const char *text);

/* Adds the next cell and frees text, for cells made with cli_format and its like. */
void cli_table_take(cli_table *table, char *text);

/* Adds a rule. Stands between whole rows. */
void cli_table_rule(cli_table *table);

/* Prints the table, indented by `indent` spaces, and frees it. */
void cli_table_end(cli_table *table, int indent);

#endif
