/* SPDX-License-Identifier: MIT */
#include "data/labels_read.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unseen_status reserve(us_labels *labels, int64_t count, const char *what,
                             unseen_error *error) {
    labels->values = malloc((size_t)count * sizeof *labels->values);
    if (!labels->values) return us_fail_memory(error, what);
    labels->count = count;
    return UNSEEN_OK;
}

static unseen_status fail_words(const us_labels *labels, const us_words *words,
                                unseen_error *error) {
    if (words->count < US_WORDS_MOST) return us_fail_memory(error, "labels");
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: more than %d different labels, such as '%.40s'; are these labels?",
                   labels->path, US_WORDS_MOST, words->words[0]);
}

/* ---- arrays ---- */

static unseen_status read_numbers(const us_array *array, us_labels *labels, unseen_error *error) {
    const us_array_header *header = &array->header;
    for (size_t i = 0; i < (size_t)labels->count; i++) {
        double value = 0;
        if (header->kind != 'f') {
            if (us_array_integer(array, i, &labels->values[i])) continue;
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: label %zu (counted from 0) is above 2^63",
                           labels->path, i);
        }
        if (us_array_number(array, i, &value) && fabs(value) <= 0x1p53 && value == floor(value)) {
            labels->values[i] = (int64_t)value;
            continue;
        }
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s: label %zu (counted from 0) is %g, which is no whole number",
                       labels->path, us_array_type_text(header).text, i, value);
    }
    return UNSEEN_OK;
}

static unseen_status read_texts(const us_array *array, us_labels *labels, unseen_error *error) {
    us_words words = {0};
    unseen_status status = UNSEEN_OK;
    char *text = malloc((size_t)array->header.item_bytes + 1);
    if (!text) return us_fail_memory(error, "labels");
    for (int64_t i = 0; status == UNSEEN_OK && i < labels->count; i++) {
        if (!us_array_word(array, (size_t)i, text) || !*text)
            status = us_fail(error, UNSEEN_BAD_INPUT,
                             "%s: label %lld (counted from 0) is empty or no text", labels->path,
                             (long long)i);
        else if ((labels->values[i] = us_words_add(&words, text)) < 0)
            status = fail_words(labels, &words, error);
    }
    if (status == UNSEEN_OK) status = us_words_finish(&words, labels, error);
    us_words_release(&words);
    free(text);
    return status;
}

unseen_status us_labels_from_array(const us_array *array, us_labels *labels, unseen_error *error) {
    const us_array_header *header = &array->header;
    const char *path = labels->path;
    bool column = header->rank == 2 && header->dims[1] == 1;
    if (header->rank != 1 && !column)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape is %s; labels have the shape (number,) or (number, 1)", path,
                       us_array_shape_text(header).text);
    if (header->dims[0] > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s has more labels than the %d that are accepted", path,
                       us_array_shape_text(header).text, INT32_MAX);
    US_TRY(reserve(labels, header->dims[0], "labels", error));
    labels->ids = (us_ids){.path = path, .what = "labels", .count = labels->count};
    bool text = header->kind == 'U' || header->kind == 'S';
    return text ? read_texts(array, labels, error) : read_numbers(array, labels, error);
}

/* ---- tables ---- */

static unseen_status fail_column(const us_table *table, const char *what, unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: %s: its first line names the columns %s; say which one with --label-column "
                   "NAME (/data/label_column)",
                   table->path, what, us_table_columns(table).text);
}

/* The column by its name; -1: none is called like labels. */
static unseen_status find_by_name(const us_table *table, const char *name, int *column,
                                  unseen_error *error) {
    *column = -1;
    if (name && !table->names)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: no header, so no column \"%s\": leave --label-column "
                       "(/data/label_column) out, or put a header first",
                       table->path, name);
    if (name) {
        *column = us_table_find(table, name);
        if (*column >= 0) return UNSEEN_OK;
        char what[96];
        snprintf(what, sizeof what, "it has no column \"%.60s\"", name);
        return fail_column(table, what, error);
    }
    if (table->columns == 1) {
        *column = 0;
        if (!table->names || us_table_id_column(table, 0) != US_ID_NUMBER) return UNSEEN_OK;
        return fail_column(table, "the only column holds ids", error);
    }
    for (int i = 0; i < table->columns; i++) {
        if (!us_table_is_label(table, i)) continue;
        if (*column >= 0) return fail_column(table, "more than one column may be labels", error);
        *column = i;
    }
    return UNSEEN_OK;
}

/* Sets column and ids. Where no column is called like labels, the only one without ids holds them.
 */
static unseen_status find_columns(us_table *table, const char *name, us_labels *labels, int *column,
                                  unseen_error *error) {
    int others = 0;
    US_TRY(find_by_name(table, name, column, error));
    US_TRY(us_ids_read(table, *column, "labels", &labels->ids, error));
    labels->ids.path = labels->path;
    for (int i = 0; *column < 0 && i < table->columns; i++)
        if (!us_ids_is_column(&labels->ids, table, i)) others++;
    if (*column < 0 && others != 1)
        return fail_column(table, "none of its columns is called label, target, class or anomaly",
                           error);
    for (int i = 0; *column < 0 && i < table->columns; i++)
        if (!us_ids_is_column(&labels->ids, table, i)) *column = i;
    if (table->names) {
        const char *header = table->names[*column];
        us_cell cell = {.text = header, .length = strlen(header)};
        snprintf(labels->column, sizeof labels->column, "%s", us_cell_show(cell).text);
    }
    return UNSEEN_OK;
}

static unseen_status fail_cell(const us_table *table, int column, unseen_error *error) {
    us_cell cell = table->cells[column];
    if (cell.length == 0)
        return us_table_fail(table, error, "no label in column %s",
                             us_table_column(table, column).text);
    return us_table_fail(table, error, "the label '%s' is not a whole number",
                         us_cell_show(cell).text);
}

/* *numbers is false where a label is a word: then nothing is read. */
static unseen_status read_classes(us_table *table, int column, us_labels *labels, bool *numbers,
                                  unseen_error *error) {
    us_table_rewind(table);
    for (int64_t row = 0; us_table_next(table); row++) {
        double number;
        us_cell cell = table->cells[column];
        *numbers = us_cell_class(table, cell, &labels->values[row]);
        if (*numbers) continue;
        if (cell.length == 0 || us_cell_number(table, cell, &number))
            return fail_cell(table, column, error);
        return UNSEEN_OK;
    }
    return UNSEEN_OK;
}

/* As text, whole numbers in one way. */
static unseen_status read_word(us_table *table, int column, char *text, unseen_error *error) {
    us_cell cell = table->cells[column];
    int64_t whole;
    double number;
    if (us_cell_whole(table, cell, &whole))
        sprintf(text, "%lld", (long long)whole);
    else if (cell.length == 0 || us_cell_number(table, cell, &number))
        return fail_cell(table, column, error);
    else if (us_cell_copy(cell, text) != strlen(text))
        return us_table_fail(table, error, "the label '%s' is no text", us_cell_show(cell).text);
    return UNSEEN_OK;
}

static unseen_status read_words(us_table *table, int column, us_labels *labels,
                                unseen_error *error) {
    enum { LONGEST = 4096 };
    us_words words = {0};
    unseen_status status = UNSEEN_OK;
    char text[LONGEST + 32];
    us_table_rewind(table);
    for (int64_t row = 0; status == UNSEEN_OK && us_table_next(table); row++) {
        if (table->cells[column].length > LONGEST)
            status = us_table_fail(table, error, "a label of more than %d bytes", LONGEST);
        else
            status = read_word(table, column, text, error);
        if (status == UNSEEN_OK && (labels->values[row] = us_words_add(&words, text)) < 0)
            status = fail_words(labels, &words, error);
    }
    if (status == UNSEEN_OK) status = us_words_finish(&words, labels, error);
    us_words_release(&words);
    return status;
}

static unseen_status read_table(us_table *table, const char *name, us_labels *labels,
                                unseen_error *error) {
    int column;
    bool numbers;
    US_TRY(find_columns(table, name, labels, &column, error));
    US_TRY(reserve(labels, table->rows, "labels", error));
    US_TRY(read_classes(table, column, labels, &numbers, error));
    return numbers ? UNSEEN_OK : read_words(table, column, labels, error);
}

unseen_status us_labels_from_table(const char *text, size_t size, const char *column,
                                   us_labels *labels, unseen_error *error) {
    us_table table;
    US_TRY(us_table_open(text, size, labels->path, &table, error));
    unseen_status status = read_table(&table, column, labels, error);
    us_table_close(&table);
    return status;
}
