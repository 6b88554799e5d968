/* SPDX-License-Identifier: MIT */
/* The photographs that a table names: a column of paths, and of labels, splits, objects and masks
 * where there are. VisA's tables (object, split, label, image, mask) are such. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/file_set.h"
#include "data/labels_read.h"

enum { LONGEST = 4096 };

typedef struct list {
    us_table table;
    int paths, splits, objects, masks; /* columns; -1: none */
    int64_t *rows;                     /* of the set's files */
} list;

static unseen_status find_columns(list *l, const us_list_request *request, unseen_error *error) {
    us_table *table = &l->table;
    l->paths = -1;
    for (int i = 0; table->names && i < table->columns && l->paths < 0; i++)
        if (us_table_id_column(table, i) == US_ID_NAME) l->paths = i;
    l->splits = us_table_find(table, "split");
    l->objects = us_table_find(table, "object");
    l->masks = us_table_find(table, "mask");
    if (l->masks < 0) l->masks = us_table_find(table, "mask_path");
    if (request->object && l->objects < 0)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: has no column \"object\", of which the rows with \"%.60s\" are asked "
                       "for; its first line is %s",
                       table->path, request->object, us_table_columns(table).text);
    if (request->masks && l->masks < 0)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: a list of masks needs a column that is called mask; its first line is "
                       "%s",
                       table->path, us_table_columns(table).text);
    if (l->paths >= 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: a list of photographs needs a header with a column that is called path, "
                   "file, name or image; its first line is %s",
                   table->path, us_table_columns(table).text);
}

static bool is_word(us_cell cell, const char *word) {
    return cell.length == strlen(word) && strncasecmp(cell.text, word, cell.length) == 0;
}

/* "train" is "training", too, and "val" no "test". */
static bool is_wanted(const list *l, const us_list_request *request) {
    const char *split = request->split;
    if (request->object && !is_word(l->table.cells[l->objects], request->object)) return false;
    if (request->masks && l->table.cells[l->masks].length == 0) return false;
    if (l->splits < 0 || !split) return true;
    us_cell cell = l->table.cells[l->splits];
    return is_word(cell, split) || (strcmp(split, "train") == 0 && is_word(cell, "training")) ||
           (strcmp(split, "test") == 0 && is_word(cell, "testing"));
}

/* Paths are from the list's folder, or from the one above it, as in VisA. */
static unseen_status find_base(us_file_set *set, const char *first, unseen_error *error) {
    const char *slash = strrchr(set->path, '/');
    char *folder = strndup(set->path, slash ? (size_t)(slash - set->path) + 1 : 0), *above = NULL;
    if (!folder || asprintf(&above, "%s../", folder) < 0) {
        free(folder);
        return us_fail_memory(error, "a path");
    }
    char *here = us_path_join(*folder ? folder : ".", first), *there = us_path_join(above, first);
    const bool is_above = here && there && !us_file_exists(here) && us_file_exists(there);
    set->base = is_above ? above : folder;
    free(is_above ? folder : above);
    free(here);
    free(there);
    return UNSEEN_OK;
}

static unseen_status read_path(const list *l, int column, char path[LONGEST + 1],
                               unseen_error *error) {
    us_cell cell = l->table.cells[column];
    if (cell.length == 0 || cell.length > LONGEST || memchr(cell.text, 0, cell.length))
        return us_table_fail(&l->table, error, "no path in column %s",
                             us_table_column(&l->table, column).text);
    path[us_cell_copy(cell, path)] = '\0';
    return UNSEEN_OK;
}

static unseen_status add_row(us_file_set *set, list *l, bool masks, int64_t row,
                             unseen_error *error) {
    char name[LONGEST + 1], mask[LONGEST + 1];
    US_TRY(read_path(l, l->paths, name, error));
    if (masks) US_TRY(read_path(l, l->masks, mask, error));
    if (set->count == 0) US_TRY(find_base(set, name, error));
    us_set_file file = {.name = masks ? mask : name, .of = masks ? name : NULL};
    US_TRY(us_file_set_add(set, &file, error));
    l->rows[set->count - 1] = row;
    struct stat about;
    char *path = us_file_set_path(set, set->count - 1);
    bool there = path && stat(path, &about) == 0;
    if (!there) us_table_fail(&l->table, error, "there is no file %s", path ? path : file.name);
    free(path);
    if (!there) return UNSEEN_BAD_INPUT;
    set->files[set->count - 1].size = about.st_size;
    set->files[set->count - 1].modified = about.st_mtim;
    return UNSEEN_OK;
}

static unseen_status fail_empty(const us_file_set *set, const us_list_request *request,
                                unseen_error *error) {
    char split[80] = "", object[80] = "";
    if (request->split) snprintf(split, sizeof split, " of the split \"%.40s\"", request->split);
    if (request->object)
        snprintf(object, sizeof object, " of the object \"%.40s\"", request->object);
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: no row%s%s%s", set->path, split, object,
                   request->masks ? " has a mask" : "");
}

static unseen_status read_rows(us_file_set *set, list *l, const us_list_request *request,
                               unseen_error *error) {
    us_table *table = &l->table;
    l->rows = malloc((size_t)table->rows * sizeof *l->rows);
    if (!l->rows) return us_fail_memory(error, "a list of photographs");
    us_table_rewind(table);
    for (int64_t row = 0; us_table_next(table); row++)
        if (is_wanted(l, request)) US_TRY(add_row(set, l, request->masks, row, error));
    return set->count > 0 ? UNSEEN_OK : fail_empty(set, request, error);
}

static bool has_labels(const us_table *table, const char *column) {
    bool any = column != NULL;
    for (int i = 0; i < table->columns && !any; i++)
        any = us_table_is_label(table, i);
    return any;
}

/* The labels of the rows that are in the set. */
static unseen_status read_labels(us_file_set *set, const list *l, const char *column,
                                 unseen_error *error) {
    us_labels *labels = &set->labels;
    if (!has_labels(&l->table, column)) return UNSEEN_OK;
    if (!(labels->path = strdup(set->path))) return us_fail_memory(error, "labels");
    US_TRY(us_labels_from_table(l->table.text, (size_t)(l->table.end - l->table.text), column,
                                labels, error));
    for (int64_t i = 0; i < set->count; i++)
        labels->values[i] = labels->values[l->rows[i]];
    labels->count = set->count;
    us_ids_release(&labels->ids);
    labels->ids = (us_ids){.path = labels->path, .what = "labels", .count = set->count};
    strcpy(labels->joined, "by row");
    return UNSEEN_OK;
}

unseen_status us_file_set_from_list(us_file_set *set, const us_list_request *request,
                                    unseen_error *error) {
    enum { LIMIT = INT32_MAX };
    char *text;
    size_t size;
    list l = {0};
    US_TRY(us_file_read(set->path, LIMIT, &text, &size, error));
    unseen_status status = us_table_open(text, size, set->path, &l.table, error);
    if (status == UNSEEN_OK) {
        status = find_columns(&l, request, error);
        if (status == UNSEEN_OK) status = read_rows(set, &l, request, error);
        if (status == UNSEEN_OK && !request->masks)
            status = read_labels(set, &l, request->label_column, error);
        us_table_close(&l.table);
    }
    free(l.rows);
    free(text);
    return status;
}
