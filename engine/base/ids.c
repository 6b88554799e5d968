/* SPDX-License-Identifier: MIT */
#include "base/ids.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unseen_status check_twice(const us_ids *ids, unseen_error *error);

/* ---- reading ---- */

/* Reads a column of whole numbers; false: it holds something else. */
static bool read_numbers(us_table *table, int column, int64_t *numbers) {
    us_table_rewind(table);
    for (int64_t row = 0; us_table_next(table); row++)
        if (!us_cell_whole(table, table->cells[column], &numbers[row])) return false;
    return true;
}

/* Whether each number from 0 to count - 1 occurs. */
static unseen_status are_places(const int64_t *numbers, int64_t count, bool *places,
                                unseen_error *error) {
    unsigned char *seen = calloc((size_t)count, 1);
    if (!seen) return us_fail_memory(error, "ids");
    *places = true;
    for (int64_t i = 0; i < count && *places; i++) {
        *places = numbers[i] >= 0 && numbers[i] < count && !seen[numbers[i]];
        if (*places) seen[numbers[i]] = 1;
    }
    free(seen);
    return UNSEEN_OK;
}

/* Two columns of numbers that are both called ids must not differ. */
static unseen_status check_same(us_table *table, const us_ids *ids, int column,
                                const int64_t *numbers, unseen_error *error) {
    us_table_rewind(table);
    for (int64_t row = 0; us_table_next(table); row++)
        if (ids->numbers[row] != numbers[row])
            return us_table_fail(table, error,
                                 "two columns of ids, %s and %s, which differ here: rename or "
                                 "remove the one that does not count",
                                 us_table_column(table, ids->number_column).text,
                                 us_table_column(table, column).text);
    return UNSEEN_OK;
}

/* Takes a column that is called like ids. A number under a name of its own goes before one in a
 * column of names, and that before the one that pandas counts. */
static unseen_status take_column(us_table *table, int column, us_ids *ids, int64_t **numbers,
                                 unseen_error *error) {
    us_id_column kind = us_table_id_column(table, column), before = US_ID_NONE;
    if (ids->number_column >= 0) before = us_table_id_column(table, ids->number_column);
    if (!*numbers && !(*numbers = malloc((size_t)table->rows * sizeof **numbers)))
        return us_fail_memory(error, "ids");
    if (!read_numbers(table, column, *numbers)) {
        if (ids->name_column < 0) ids->name_column = column;
        return UNSEEN_OK;
    }
    if (kind == US_ID_NUMBER && before == US_ID_NUMBER)
        return check_same(table, ids, column, *numbers, error);
    if (before != US_ID_NONE && kind != US_ID_NUMBER && before != US_ID_UNNAMED) return UNSEEN_OK;
    int64_t *others = ids->numbers;
    ids->numbers = *numbers;
    ids->number_column = column;
    *numbers = others;
    return UNSEEN_OK;
}

/* Finds the columns, and reads the one of numbers. */
static unseen_status find_columns(us_table *table, int values, us_ids *ids, int64_t **numbers,
                                  unseen_error *error) {
    bool any = false, places = false;
    for (int i = 0; i < table->columns; i++) {
        if (i == values || us_table_id_column(table, i) == US_ID_NONE) continue;
        any = true;
        US_TRY(take_column(table, i, ids, numbers, error));
    }
    if (any || values == 0 || table->columns == 1 || us_table_is_label(table, 0)) return UNSEEN_OK;
    ids->numbers = malloc((size_t)table->rows * sizeof *ids->numbers);
    if (!ids->numbers) return us_fail_memory(error, "ids");
    if (read_numbers(table, 0, ids->numbers))
        US_TRY(are_places(ids->numbers, table->rows, &places, error));
    if (places) {
        ids->number_column = 0;
    } else {
        free(ids->numbers);
        ids->numbers = NULL;
    }
    return UNSEEN_OK;
}

static void copy_header(const us_table *table, int column, char *header, size_t room) {
    us_cell cell = {.text = table->names[column], .length = strlen(table->names[column])};
    snprintf(header, room, "%s", us_cell_show(cell).text);
}

/* The bytes of all names; 0: a name is missing, but there are numbers, which will do. */
static unseen_status measure_names(us_table *table, us_ids *ids, size_t *bytes,
                                   unseen_error *error) {
    us_table_rewind(table);
    for (*bytes = 0; us_table_next(table);) {
        us_cell cell = table->cells[ids->name_column];
        *bytes += cell.length + 1;
        if (cell.length > 0) continue;
        if (ids->number_column < 0)
            return us_table_fail(table, error, "no id in column %s",
                                 us_table_column(table, ids->name_column).text);
        ids->name_column = -1;
        *bytes = 0;
        return UNSEEN_OK;
    }
    return UNSEEN_OK;
}

static unseen_status read_names(us_table *table, us_ids *ids, unseen_error *error) {
    size_t bytes;
    US_TRY(measure_names(table, ids, &bytes, error));
    if (bytes == 0) return UNSEEN_OK;
    ids->names = malloc((size_t)table->rows * sizeof *ids->names);
    ids->text = malloc(bytes);
    if (!ids->names || !ids->text) return us_fail_memory(error, "ids");
    char *at = ids->text;
    us_table_rewind(table);
    for (int64_t row = 0; us_table_next(table); row++) {
        size_t length = us_cell_copy(table->cells[ids->name_column], at);
        ids->names[row] = (us_name){at, length};
        at += length + 1;
    }
    copy_header(table, ids->name_column, ids->name_header, sizeof ids->name_header);
    return UNSEEN_OK;
}

/* Reads everything of the ids but the names of their columns. */
static unseen_status read_ids(us_table *table, int values, us_ids *ids, unseen_error *error) {
    int64_t *numbers = NULL;
    ids->lines = malloc((size_t)table->rows * sizeof *ids->lines);
    if (!ids->lines) return us_fail_memory(error, "ids");
    memcpy(ids->lines, table->lines, (size_t)table->rows * sizeof *ids->lines);
    unseen_status status = find_columns(table, values, ids, &numbers, error);
    free(numbers);
    US_TRY(status);
    if (ids->name_column >= 0) US_TRY(read_names(table, ids, error));
    if (ids->number_column < 0) return UNSEEN_OK;
    copy_header(table, ids->number_column, ids->number_header, sizeof ids->number_header);
    ids->counted = us_table_id_column(table, ids->number_column) == US_ID_UNNAMED;
    return ids->counted ? UNSEEN_OK : check_twice(ids, error);
}

unseen_status us_ids_read(us_table *table, int values, const char *what, us_ids *ids,
                          unseen_error *error) {
    *ids = (us_ids){.path = table->path,
                    .what = what,
                    .count = table->rows,
                    .number_column = -1,
                    .name_column = -1};
    if (!table->names) return UNSEEN_OK;
    unseen_status status = read_ids(table, values, ids, error);
    us_table_rewind(table);
    if (status != UNSEEN_OK) us_ids_release(ids);
    return status;
}

void us_ids_release(us_ids *ids) {
    free(ids->numbers);
    free(ids->names);
    free(ids->text);
    free(ids->lines);
    *ids = (us_ids){0};
}

bool us_ids_is_column(const us_ids *ids, const us_table *table, int column) {
    return column == ids->number_column || column == ids->name_column ||
           (table->names && us_table_id_column(table, column) != US_ID_NONE);
}

/* ---- joining ---- */

/* An id to sort by: a number, or a name. */
typedef struct key {
    const char *text; /* NULL: a number */
    int64_t value;    /* or the name's length */
    int64_t row;
} key;

static int compare_ids(const key *a, const key *b) {
    if (a->text) {
        int64_t common = a->value < b->value ? a->value : b->value;
        int order = memcmp(a->text, b->text, (size_t)common);
        if (order) return order;
    }
    return (a->value > b->value) - (a->value < b->value);
}

static int compare_keys(const void *left, const void *right) {
    const key *a = left, *b = right;
    int order = compare_ids(a, b);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

static key key_at(const us_ids *ids, bool names, int64_t row) {
    if (!names) return (key){.value = ids->numbers[row], .row = row};
    return (key){ids->names[row].text, (int64_t)ids->names[row].length, row};
}

static us_shown show_id(const us_ids *ids, bool names, int64_t row) {
    us_shown shown;
    if (names) return us_cell_show((us_cell){ids->names[row].text, ids->names[row].length, false});
    snprintf(shown.text, sizeof shown.text, "%" PRId64, ids->numbers[row]);
    return shown;
}

static us_shown show_header(const us_ids *ids, bool names) {
    us_shown shown;
    const char *header = names ? ids->name_header : ids->number_header;
    snprintf(shown.text, sizeof shown.text, *header ? "column %.36s" : "the first column", header);
    return shown;
}

/* Sorted keys; *twice is the first row whose id another one before it has; -1: none. */
static key *sorted(const us_ids *ids, bool names, int64_t *twice) {
    key *keys = malloc((size_t)ids->count * sizeof *keys);
    bool in_order = true;
    *twice = -1;
    for (int64_t i = 0; keys && i < ids->count; i++) {
        keys[i] = key_at(ids, names, i);
        in_order = in_order && (i == 0 || compare_keys(&keys[i - 1], &keys[i]) < 0);
    }
    if (keys && !in_order) qsort(keys, (size_t)ids->count, sizeof *keys, compare_keys);
    for (int64_t i = 1; keys && i < ids->count; i++)
        if (compare_ids(&keys[i - 1], &keys[i]) == 0 && (*twice < 0 || keys[i].row < *twice))
            *twice = keys[i].row;
    return keys;
}

/* "PATH: line 7: ", or "PATH: " of what is no table. */
typedef struct where {
    char text[512];
} where;

static where where_is(const us_ids *ids, int64_t row) {
    where w;
    if (ids->lines)
        snprintf(w.text, sizeof w.text, "%.480s: line %" PRIu32 ": ", ids->path, ids->lines[row]);
    else
        snprintf(w.text, sizeof w.text, "%.480s: ", ids->path);
    return w;
}

static unseen_status fail_twice(const us_ids *ids, bool names, int64_t row, unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT, "%sthe id %s is there twice (%s)",
                   where_is(ids, row).text, show_id(ids, names, row).text,
                   show_header(ids, names).text);
}

/* What a whole set of numbers looks like, to say why it does not fit another one. */
static us_shown show_range(const us_ids *ids, bool names) {
    us_shown shown;
    if (names) {
        shown = show_id(ids, true, 0);
        us_shown first;
        snprintf(first.text, sizeof first.text, "'%.38s' first", shown.text);
        return first;
    }
    int64_t low = ids->numbers[0], high = low;
    for (int64_t i = 1; i < ids->count; i++) {
        if (ids->numbers[i] < low) low = ids->numbers[i];
        if (ids->numbers[i] > high) high = ids->numbers[i];
    }
    snprintf(shown.text, sizeof shown.text, "%" PRId64 " to %" PRId64, low, high);
    return shown;
}

static unseen_status fail_unknown(const us_ids *ids, const us_ids *other, bool names, int64_t row,
                                  unseen_error *error) {
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%sthe id %s (%s) is not in %s: %" PRId64 " %s with ids of "
                   "%s are here, %" PRId64 " %s with ids of %s there",
                   where_is(ids, row).text, show_id(ids, names, row).text,
                   show_header(ids, names).text, other->path, ids->count, ids->what,
                   show_range(ids, names).text, other->count, other->what,
                   show_range(other, names).text);
}

/* Walks both sorted lists at once. Rows without a partner: the first of each, else -1. */
static void match(const us_ids *labels, const us_ids *images, const key *of_labels,
                  const key *of_images, int64_t *order, int64_t *lost_label, int64_t *lost_image) {
    int64_t a = 0, b = 0;
    *lost_label = *lost_image = -1;
    while (a < labels->count || b < images->count) {
        int compared = a == labels->count   ? 1
                       : b == images->count ? -1
                                            : compare_ids(&of_labels[a], &of_images[b]);
        int64_t label = a < labels->count ? of_labels[a].row : 0;
        int64_t image = b < images->count ? of_images[b].row : 0;
        if (compared == 0) order[image] = label;
        if (compared < 0 && (*lost_label < 0 || label < *lost_label)) *lost_label = label;
        if (compared > 0 && (*lost_image < 0 || image < *lost_image)) *lost_image = image;
        a += compared <= 0;
        b += compared >= 0;
    }
}

/* Numbers that leave few gaps need no sorting: *rows is then the row of each from *low on, in all
 * *span of them, -1 where there is none; NULL: there are gaps, doubles, or no memory. */
static int64_t *index_rows(const us_ids *ids, int64_t *low, int64_t *span) {
    int64_t high = *low = ids->numbers[0];
    for (int64_t i = 1; i < ids->count; i++) {
        if (ids->numbers[i] < *low) *low = ids->numbers[i];
        if (ids->numbers[i] > high) high = ids->numbers[i];
    }
    if (__builtin_sub_overflow(high, *low, span) || *span >= 4 * ids->count) return NULL;
    int64_t *rows = malloc((size_t)++ * span * sizeof *rows);
    for (int64_t i = 0; rows && i < *span; i++)
        rows[i] = -1;
    for (int64_t i = 0; rows && i < ids->count; i++) {
        if (rows[ids->numbers[i] - *low] >= 0) {
            free(rows);
            return NULL;
        }
        rows[ids->numbers[i] - *low] = i;
    }
    return rows;
}

/* Numbers in a column of their own must be distinct, even where they are not needed. */
static unseen_status check_twice(const us_ids *ids, unseen_error *error) {
    int64_t twice;
    bool places;
    US_TRY(are_places(ids->numbers, ids->count, &places, error));
    if (places) return UNSEEN_OK;
    key *keys = sorted(ids, false, &twice);
    if (!keys) return us_fail_memory(error, "ids");
    free(keys);
    return twice < 0 ? UNSEEN_OK : fail_twice(ids, false, twice, error);
}

/* The usual case; false: sorting must decide. */
static bool join_dense(const us_ids *labels, const us_ids *images, int64_t *order) {
    int64_t low, span, found = 0;
    if (labels->count != images->count) return false;
    int64_t *rows = index_rows(labels, &low, &span);
    for (int64_t i = 0; rows && i < images->count; i++) {
        int64_t place;
        if (__builtin_sub_overflow(images->numbers[i], low, &place) || place < 0 || place >= span ||
            rows[place] < 0)
            break;
        order[i] = rows[place];
        rows[place] = -1; /* so that no two images have one label */
        found++;
    }
    free(rows);
    return found == images->count;
}

static unseen_status join_ids(const us_ids *labels, const us_ids *images, bool names, us_join *join,
                              unseen_error *error) {
    us_shown one = show_header(labels, names), other = show_header(images, names);
    bool same = strcmp(one.text, other.text) == 0;
    snprintf(join->how, sizeof join->how, "by %s%s%s", one.text, same ? "" : " and ",
             same ? "" : other.text);
    join->order = malloc((size_t)images->count * sizeof *join->order);
    if (!join->order) return us_fail_memory(error, "ids");
    if (!names && join_dense(labels, images, join->order)) return UNSEEN_OK;
    int64_t twice, twice_there, lost_label, lost_image;
    key *of_labels = sorted(labels, names, &twice);
    key *of_images = sorted(images, names, &twice_there);
    unseen_status status = UNSEEN_OK;
    if (!of_labels || !of_images)
        status = us_fail_memory(error, "ids");
    else if (twice >= 0)
        status = fail_twice(labels, names, twice, error);
    else if (twice_there >= 0)
        status = fail_twice(images, names, twice_there, error);
    if (status == UNSEEN_OK) {
        match(labels, images, of_labels, of_images, join->order, &lost_label, &lost_image);
        if (lost_label >= 0)
            status = fail_unknown(labels, images, names, lost_label, error);
        else if (lost_image >= 0)
            status = fail_unknown(images, labels, names, lost_image, error);
    }
    free(of_labels);
    free(of_images);
    return status;
}

static unseen_status fail_place(const us_ids *ids, const us_ids *other, int64_t row,
                                unseen_error *error) {
    int64_t low = ids->numbers[0], high = low;
    for (int64_t i = 1; i < ids->count; i++) {
        if (ids->numbers[i] < low) low = ids->numbers[i];
        if (ids->numbers[i] > high) high = ids->numbers[i];
    }
    if (low == 1 && high == other->count && ids->count == other->count)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: the ids (%s) go from 1 to %" PRId64 ", but the %s of %s are counted "
                       "from 0: subtract 1, or remove the ids if the rows are in order",
                       ids->path, show_header(ids, false).text, high, other->what, other->path);
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%sthe id %" PRId64 " (%s) is none of the %" PRId64
                   " %s of %s, which are counted from 0 to %" PRId64,
                   where_is(ids, row).text, ids->numbers[row], show_header(ids, false).text,
                   other->count, other->what, other->path, other->count - 1);
}

/* `ids` are places in `other`, which has none: *row_of is the row of each place. */
static unseen_status find_places(const us_ids *ids, const us_ids *other, int64_t **row_of,
                                 unseen_error *error) {
    int64_t *rows = malloc((size_t)other->count * sizeof *rows);
    *row_of = rows;
    if (!rows) return us_fail_memory(error, "ids");
    for (int64_t i = 0; i < other->count; i++)
        rows[i] = -1;
    for (int64_t i = 0; i < ids->count; i++) {
        int64_t id = ids->numbers[i];
        if (id < 0 || id >= other->count) return fail_place(ids, other, i, error);
        if (rows[id] >= 0) return fail_twice(ids, false, i, error);
        rows[id] = i;
    }
    for (int64_t i = 0; i < other->count; i++)
        if (rows[i] < 0)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: the id %" PRId64 " is missing (%s): it has %" PRId64
                           " %s, but %s has %" PRId64 " %s",
                           ids->path, i, show_header(ids, false).text, ids->count, ids->what,
                           other->path, other->count, other->what);
    return UNSEEN_OK;
}

static unseen_status join_places(const us_ids *labels, const us_ids *images, us_join *join,
                                 unseen_error *error) {
    const us_ids *ids = labels->numbers ? labels : images;
    snprintf(join->how, sizeof join->how, "by %s", show_header(ids, false).text);
    if (labels->numbers) return find_places(labels, images, &join->order, error);
    US_TRY(find_places(images, labels, &join->order, error));
    memcpy(join->order, images->numbers, (size_t)images->count * sizeof *join->order);
    return UNSEEN_OK;
}

static unseen_status fail_names(const us_ids *named, const us_ids *other, unseen_error *error) {
    int64_t row = 0, id;
    while (row + 1 < named->count &&
           us_text_integer(named->names[row].text, named->names[row].length, &id))
        row++;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%sthe id '%s' (%s) is no whole number, and the %s of %s "
                   "have no names to find it by: count them from 0 in a column \"Id\" instead, or "
                   "remove the names if all rows are in the same order",
                   where_is(named, row).text, show_id(named, true, row).text,
                   show_header(named, true).text, other->what, other->path);
}

static unseen_status join_rows(const us_ids *labels, const us_ids *images, us_join *join,
                               unseen_error *error) {
    snprintf(join->how, sizeof join->how, "by row");
    if (labels->count == images->count) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT, "%s has %" PRId64 " labels, but %s has %" PRId64 " %s",
                   labels->path, labels->count, images->path, images->count, images->what);
}

unseen_status us_ids_join(const us_ids *labels, const us_ids *images, us_join *join,
                          unseen_error *error) {
    bool numbers = labels->numbers && images->numbers, names = labels->names && images->names;
    bool counted = labels->counted || images->counted;
    bool ids = labels->numbers || labels->names, ids_there = images->numbers || images->names;
    unseen_status status;
    *join = (us_join){0};
    if (!ids && !ids_there)
        status = join_rows(labels, images, join, error);
    else if (ids && ids_there && (numbers || names))
        status = join_ids(labels, images, names && (!numbers || counted), join, error);
    else if (ids && ids_there)
        status =
            fail_names(labels->names ? labels : images, labels->names ? images : labels, error);
    else if (labels->numbers || images->numbers)
        status = join_places(labels, images, join, error);
    else
        status = fail_names(ids ? labels : images, ids ? images : labels, error);
    if (status != UNSEEN_OK) {
        free(join->order);
        join->order = NULL;
    }
    return status;
}
