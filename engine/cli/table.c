/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char gap[] = "  ";

void cli_table_begin(cli_table *table, const char *alignment) {
    *table = (cli_table){.alignment = alignment, .columns = strlen(alignment)};
}

static void push(cli_table *table, char *cell) {
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 64;
        table->cells = cli_need(reallocarray(table->cells, table->capacity, sizeof *table->cells));
    }
    table->cells[table->count++] = cell;
}

void cli_table_cell(cli_table *table, const char *text) {
    push(table, cli_need(strdup(text)));
}

void cli_table_take(cli_table *table, char *text) {
    push(table, text);
}

void cli_table_rule(cli_table *table) {
    for (size_t i = 0; i < table->columns; i++)
        push(table, NULL);
}

/* Code points of UTF-8, which is what a terminal shows one place each of (wide ones aside). */
static size_t width(const char *text) {
    size_t places = 0;
    for (; *text; text++)
        places += ((unsigned char)*text & 0xc0) != 0x80;
    return places;
}

static void put_padding(size_t places, char c) {
    while (places--)
        putchar(c);
}

static void put_row(const cli_table *table, char **row, const size_t *widths, int indent) {
    size_t last = table->columns;
    while (last > 0 && row[last - 1] && !*row[last - 1])
        last--; /* no trailing blanks */
    put_padding((size_t)indent, ' ');
    for (size_t i = 0; i < last; i++) {
        if (i) fputs(gap, stdout);
        if (!row[i]) {
            put_padding(widths[i], '-');
            continue;
        }
        size_t padding = widths[i] - width(row[i]);
        if (table->alignment[i] == 'r') put_padding(padding, ' ');
        cli_put_clean(row[i], stdout);
        if (table->alignment[i] != 'r' && i + 1 < last) put_padding(padding, ' ');
    }
    putchar('\n');
}

void cli_table_end(cli_table *table, int indent) {
    size_t *widths = cli_need(calloc(table->columns, sizeof *widths));
    for (size_t i = 0; i < table->count; i++) {
        size_t places = table->cells[i] ? width(table->cells[i]) : 0;
        size_t *widest = &widths[i % table->columns];
        if (places > *widest) *widest = places;
    }
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
        put_row(table, table->cells + i, widths, indent);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(widths);
    *table = (cli_table){0};
}
