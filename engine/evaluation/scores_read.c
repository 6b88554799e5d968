/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapping.h"
#include "evaluation/kinds.h"

/* What is read from which column of a table; -1: none. */
typedef struct layout {
    us_table *table;
    const char *labels; /* a column's name; NULL: by what it is called */
    int scores[US_SCORES_MAX_COLUMNS];
    int count;     /* of scores */
    int anomalous; /* the column that is called so */
    int kind;      /* likewise, beside it */
    int called_label;
} layout;

static bool is_label(const layout *l, int column) {
    if (!l->table->names) return false;
    if (l->labels) return column == us_table_find(l->table, l->labels);
    return us_table_is_label(l->table, column);
}

static unseen_status add_score(layout *l, int column, unseen_error *error) {
    if (l->count == US_SCORES_MAX_COLUMNS)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: more than %d columns of scores: %s",
                       l->table->path, US_SCORES_MAX_COLUMNS, us_table_columns(l->table).text);
    l->scores[l->count++] = column;
    return UNSEEN_OK;
}

static unseen_status find_columns(layout *l, const us_ids *ids, unseen_error *error) {
    us_table *table = l->table;
    l->count = 0;
    l->anomalous = l->called_label = l->kind = -1;
    const bool judged = table->names && us_table_find(table, "anomalous") >= 0;
    for (int i = 0; i < table->columns; i++) {
        /* A lone column of whole numbers is one of scores, unless it is called otherwise. */
        bool called_id = table->names && us_table_id_column(table, i) != US_ID_NONE;
        /* Verdicts are made of scores, by unseen or another program. */
        if (table->columns > 2 && table->names && strcmp(table->names[i], "verdict") == 0) continue;
        if (judged && strcmp(table->names[i], "kind") == 0) {
            l->kind = i;
            continue;
        }
        if (called_id || (table->columns > 1 && us_ids_is_column(ids, table, i))) continue;
        if (table->columns == 1 || !is_label(l, i)) {
            US_TRY(add_score(l, i, error));
            continue;
        }
        l->called_label = i;
        if (strcmp(table->names[i], "anomalous") == 0) l->anomalous = i;
    }
    bool alone = table->columns == 2 && l->called_label >= 0 && l->anomalous < 0 && !l->labels;
    if (l->count == 0 && alone) {
        l->scores[l->count++] = l->called_label;
        l->called_label = -1;
    }
    if (l->count > 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: none of its columns is one of scores: it has %s, ids and labels by their "
                   "names",
                   table->path, us_table_columns(table).text);
}

static unseen_status create(const layout *l, us_scores *scores, unseen_error *error) {
    const us_table *table = l->table;
    char *const score = (char *)"score";
    const char *names[US_SCORES_MAX_COLUMNS] = {score};
    for (int i = 0; table->names && i < l->count; i++)
        names[i] = table->names[l->scores[i]];
    unseen_status status = us_scores_create(table->rows, l->count, names, scores, error);
    if (status != UNSEEN_OK)
        us_error_context(error, "%s: line 1", table->path);
    else if (l->anomalous >= 0 && !(scores->anomalous = malloc((size_t)table->rows)))
        status = us_fail_memory(error, "labels");
    if (status == UNSEEN_OK && scores->anomalous && l->kind >= 0)
        status = us_kinds_create(table->rows, &scores->kinds, error);
    scores->labelled = l->called_label >= 0;
    return status;
}

static unseen_status read_kind(const layout *l, int64_t row, us_scores *scores,
                               unseen_error *error) {
    us_cell cell = l->table->cells[l->kind];
    char *name = malloc(cell.length + 1);
    if (!name) return us_fail_memory(error, "kinds of images");
    const int kind = us_kinds_add(&scores->kinds, name, us_cell_copy(cell, name));
    free(name);
    scores->kinds.of[row] = (int16_t)kind;
    if (kind >= 0) return UNSEEN_OK;
    if (scores->kinds.count < US_KINDS_MOST) return us_fail_memory(error, "kinds of images");
    return us_table_fail(l->table, error, "more than %d kinds in column \"kind\"", US_KINDS_MOST);
}

static unseen_status read_rows(const layout *l, us_scores *scores, unseen_error *error) {
    us_table *table = l->table;
    us_table_rewind(table);
    for (int64_t row = 0; us_table_next(table); row++) {
        int64_t label;
        for (int i = 0; i < l->count; i++)
            if (!us_cell_number(table, table->cells[l->scores[i]], &scores->values[i][row]))
                return us_table_fail(
                    table, error, "'%s' in column %s is not a number%s",
                    us_cell_show(table->cells[l->scores[i]]).text,
                    us_table_column(table, l->scores[i]).text,
                    l->count > 1 ? "; columns of ids are called Id, index, file or name" : "");
        if (!scores->anomalous) continue;
        us_cell cell = table->cells[l->anomalous];
        if (!us_cell_class(table, cell, &label) || (label != 0 && label != 1))
            return us_table_fail(table, error, "'%s' in column \"anomalous\" is neither 0 nor 1",
                                 us_cell_show(cell).text);
        scores->anomalous[row] = label == 1;
        if (label == 1 && l->kind >= 0) US_TRY(read_kind(l, row, scores, error));
    }
    return UNSEEN_OK;
}

static unseen_status read_table(us_table *table, const char *labels, us_scores *scores,
                                unseen_error *error) {
    layout l = {.table = table, .labels = labels};
    us_ids ids;
    int value = table->columns == 1 ? 0 : labels ? us_table_find(table, labels) : -1;
    US_TRY(us_ids_read(table, value, "scores", &ids, error));
    unseen_status status = find_columns(&l, &ids, error);
    if (status == UNSEEN_OK) status = create(&l, scores, error);
    if (status == UNSEEN_OK) status = read_rows(&l, scores, error);
    scores->ids = ids;
    return status;
}

unseen_status us_scores_read(const char *path, const char *labels, us_scores *scores,
                             unseen_error *error) {
    *scores = (us_scores){0};
    us_mapping mapping;
    us_table table;
    US_TRY(us_file_map(path, &mapping, error));
    unseen_status status =
        us_table_open((const char *)mapping.bytes, mapping.size, path, &table, error);
    if (status == UNSEEN_OK) {
        status = read_table(&table, labels, scores, error);
        us_table_close(&table);
    }
    if (us_mapping_check(&mapping, path, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
    us_file_unmap(&mapping);
    if (status != UNSEEN_OK) us_scores_destroy(scores);
    return status;
}
