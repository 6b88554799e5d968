/* SPDX-License-Identifier: MIT */
/* What the columns of a table are, by their names. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/table.h"

/* The header of a column, or what would be one. */
static us_cell header(const us_table *table, int column) {
    if (!table->names) return table->cells[column];
    return (us_cell){.text = table->names[column], .length = strlen(table->names[column])};
}

/* Whether a header is one of the words, which are in small letters. */
static bool is_one_of(us_cell cell, const char *const *words) {
    char plain[32];
    size_t length = 0;
    for (size_t i = 0; i < cell.length; i++) {
        char c = cell.text[i];
        if (c == ' ' || c == '_' || c == '-' || c == '#') continue;
        if (length + 1 == sizeof plain) return false;
        plain[length++] = c;
    }
    plain[length] = '\0';
    for (; *words; words++)
        if (strcasecmp(plain, *words) == 0) return true;
    return false;
}

us_id_column us_table_id_column(const us_table *table, int column) {
    static const char *const numbers[] = {"id",      "ids",   "index",      "idx",
                                          "imageid", "imgid", "imageindex", NULL};
    static const char *const names[] = {"name", "file",      "filename",  "filepath",
                                        "path", "imagename", "imagefile", "imagepath",
                                        "img",  "image",     NULL};
    static const char *const unnamed[] = {"unnamed:0", NULL};
    us_cell cell = header(table, column);
    if (is_one_of(cell, numbers)) return US_ID_NUMBER;
    if (is_one_of(cell, names)) return US_ID_NAME;
    bool none = cell.length == 0 || is_one_of(cell, unnamed); /* pandas, read and written again */
    return column == 0 && table->columns > 1 && none ? US_ID_UNNAMED : US_ID_NONE;
}

bool us_table_is_label(const us_table *table, int column) {
    static const char *const words[] = {
        "label",     "labels", "target",      "targets", "class",       "anomaly", "anomalous",
        "isanomaly", "y",      "isanomalous", "ytrue",   "groundtruth", NULL};
    return is_one_of(header(table, column), words);
}

int us_table_find(const us_table *table, const char *name) {
    for (int i = 0; table->names && i < table->columns; i++)
        if (strcmp(table->names[i], name) == 0) return i;
    for (int i = 0; table->names && i < table->columns; i++)
        if (strcasecmp(table->names[i], name) == 0) return i;
    return -1;
}

us_shown us_table_column(const us_table *table, int column) {
    us_shown shown;
    if (table->names && *table->names[column])
        snprintf(shown.text, sizeof shown.text, "\"%.48s\"",
                 us_cell_show(header(table, column)).text);
    else
        snprintf(shown.text, sizeof shown.text, "%d", column + 1);
    return shown;
}

us_column_list us_table_columns(const us_table *table) {
    us_column_list list = {""};
    size_t used = 0;
    for (int i = 0; i < table->columns; i++) {
        if (used + 60 > sizeof list.text) {
            snprintf(list.text + used, sizeof list.text - used, ", ...");
            break;
        }
        used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s\"%s\"",
                                 i ? ", " : "", us_cell_show(header(table, i)).text);
    }
    return list;
}
