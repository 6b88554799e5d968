/* SPDX-License-Identifier: MIT */
#include "base/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_COLUMNS = 4096 };

unseen_status us_table_fail(const us_table *table, unseen_error *error, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: line %lld: %s", table->path,
                   (long long)table->line, text);
}

us_shown us_cell_show(us_cell cell) {
    us_shown shown;
    size_t length = cell.length < 40 ? cell.length : 40;
    for (size_t i = 0; i < length; i++)
        shown.text[i] = cell.text[i] >= 0x20 && cell.text[i] < 0x7f ? cell.text[i] : '?';
    strcpy(shown.text + length, cell.length > 40 ? "..." : "");
    return shown;
}

/* ---- rows ---- */

static bool is_blank(const us_table *table, char c) {
    return c == ' ' || c == '\r' || (c == '\t' && table->separator != '\t');
}

/* The cell at *at, whose quote is open; *at is then behind the blanks that follow it. */
static unseen_status quoted_cell(us_table *table, const char **at, us_cell *cell,
                                 unseen_error *error) {
    const char *begin = ++*at, *c = begin;
    cell->doubled = false;
    for (;;) {
        c = c < table->end ? memchr(c, '"', (size_t)(table->end - c)) : NULL;
        if (!c) return us_table_fail(table, error, "a quote opens here that is never closed");
        if (c + 1 == table->end || c[1] != '"') break;
        cell->doubled = true;
        c += 2;
    }
    cell->text = begin;
    cell->length = (size_t)(c - begin);
    for (const char *feed = begin; (feed = memchr(feed, '\n', (size_t)(c - feed))); feed++)
        table->next_line++;
    for (c++; c < table->end && is_blank(table, *c);)
        c++;
    *at = c;
    if (c == table->end || *c == table->separator || *c == '\n') return UNSEEN_OK;
    return us_table_fail(table, error, "text follows the quote that closes '%s'",
                         us_cell_show(*cell).text);
}

/* The cell at *at without quotes; *at is then behind it. */
static us_cell plain_cell(const us_table *table, const char **at) {
    const char *begin = *at, *c = begin, *end = table->end, separator = table->separator;
    while (c < end && *c != separator && *c != '\n')
        c++;
    *at = c;
    while (begin < c && is_blank(table, *begin))
        begin++;
    while (c > begin && is_blank(table, c[-1]))
        c--;
    return (us_cell){.text = begin, .length = (size_t)(c - begin)};
}

/* Splits the row at table->next, which is not the end. */
static unseen_status read_row(us_table *table, int *count, unseen_error *error) {
    const char *at = table->next, *end = table->end;
    table->line = table->next_line++;
    for (*count = 0;; at++) {
        if (*count == MAX_COLUMNS)
            return us_table_fail(table, error, "more than %d columns", MAX_COLUMNS);
        us_cell *cell = &table->cells[(*count)++];
        const char *begin = at;
        while (begin < end && is_blank(table, *begin))
            begin++;
        if (begin < end && *begin == '"') {
            at = begin;
            US_TRY(quoted_cell(table, &at, cell, error));
        } else {
            *cell = plain_cell(table, &at);
        }
        if (at == end || *at == '\n') break;
    }
    table->next = at < end ? at + 1 : at;
    if (*count == 1 && table->cells[0].length == 0)
        return us_table_fail(table, error, "it is empty; remove it");
    return UNSEEN_OK;
}

static void go_back(us_table *table) {
    table->next = table->first;
    table->next_line = table->first_line;
}

void us_table_rewind(us_table *table) {
    table->row = 0;
}

bool us_table_next(us_table *table) {
    if (table->row == table->rows) return false;
    const us_place *places = table->places + table->row * table->columns;
    for (int i = 0; i < table->columns; i++)
        table->cells[i] = (us_cell){.text = table->text + places[i].start,
                                    .length = places[i].length,
                                    .doubled = places[i].doubled};
    table->line = table->lines[table->row++];
    return true;
}

/* ---- opening ---- */

/* The columns of the first row, and whether the second has as many; 0: the row cannot be read. */
static int try_separator(us_table *table, char separator, bool *fits) {
    int first = 0, second = 0;
    table->separator = separator;
    go_back(table);
    *fits = read_row(table, &first, NULL) == UNSEEN_OK &&
            (table->next == table->end ||
             (read_row(table, &second, NULL) == UNSEEN_OK && first == second));
    return first;
}

/* A first line "sep=;" names the separator for spreadsheets; it is no part of the table. */
static bool take_separator(us_table *table) {
    static const char word[] = "sep=";
    const char *at = table->first + strlen(word);
    if (table->end - table->first < 6 || strncasecmp(table->first, word, strlen(word)) != 0)
        return false;
    if (*at != ',' && *at != ';' && *at != '\t') return false;
    const char *feed = at + 1 + (at[1] == '\r');
    if (feed == table->end || *feed != '\n') return false;
    table->separator = *at;
    table->first = feed + 1;
    table->first_line++;
    go_back(table);
    return true;
}

static void find_separator(us_table *table) {
    static const char separators[] = {'\t', ';', ','};
    char likely = ',';
    for (size_t i = sizeof separators; i-- > 0;) {
        bool fits;
        if (try_separator(table, separators[i], &fits) > 1) likely = separators[i];
    }
    for (size_t i = 0; i < sizeof separators; i++) {
        bool fits;
        if (try_separator(table, separators[i], &fits) < 2 || !fits) continue;
        likely = separators[i];
        break;
    }
    table->separator = likely;
    go_back(table);
}

static bool is_value(us_table *table, us_cell cell) {
    double number;
    int64_t class;
    bool value = us_cell_number(table, cell, &number) || us_cell_class(table, cell, &class);
    table->decimal = 0;
    return value;
}

static bool is_same(us_cell a, us_cell b) {
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* Whether a column of words begins with its name. A word that comes again is no name. */
static unseen_status is_header_of_words(us_table *table, bool *header, unseen_error *error) {
    us_cell name = table->cells[0];
    bool words = false;
    *header = true;
    int count;
    for (int64_t row = 0; table->next < table->end; row++) {
        US_TRY(read_row(table, &count, error));
        if (is_same(name, table->cells[0])) *header = false;
        if (row == 0) words = !is_value(table, table->cells[0]);
        if (!*header) return UNSEEN_OK;
        if (!words) break;
    }
    table->cells[0] = name;
    table->line = table->first_line;
    if (!words || us_table_is_label(table, 0) || us_table_id_column(table, 0)) return UNSEEN_OK;
    return us_table_fail(table, error,
                         "'%s' may be the name of the column or its first value: put a line with a "
                         "name such as \"label\" first",
                         us_cell_show(name).text);
}

static unseen_status take_names(us_table *table, unseen_error *error) {
    table->names = calloc((size_t)table->columns, sizeof *table->names);
    if (!table->names) return us_fail_memory(error, "the header of a table");
    for (int i = 0; i < table->columns; i++) {
        if (!(table->names[i] = malloc(table->cells[i].length + 1)))
            return us_fail_memory(error, "the header of a table");
        us_cell_copy(table->cells[i], table->names[i]);
    }
    return UNSEEN_OK;
}

/* Sets the names, where the first row holds them, and table->first to the row that follows. */
static unseen_status read_header(us_table *table, unseen_error *error) {
    bool known = false, values = false, header = true;
    US_TRY(read_row(table, &table->columns, error));
    for (int i = 0; i < table->columns; i++) {
        us_id_column id = us_table_id_column(table, i);
        known = known || us_table_is_label(table, i) || id == US_ID_NUMBER || id == US_ID_NAME;
        values = values || is_value(table, table->cells[i]);
    }
    const char *next = table->next;
    int64_t next_line = table->next_line;
    if (table->columns == 1 && !values)
        US_TRY(is_header_of_words(table, &header, error));
    else
        header = known || !values;
    go_back(table);
    if (!header && table->columns > 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: line 1: %d columns without a header; put a line that names them first, "
                       "such as \"Id,label\" or \"Id,score\", or keep one value a line",
                       table->path, table->columns);
    if (!header) return UNSEEN_OK;
    if (next == table->end)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: nothing follows its only line, '%s'",
                       table->path, us_cell_show(table->cells[0]).text);
    int count;
    US_TRY(read_row(table, &count, error));
    US_TRY(take_names(table, error));
    table->first = next;
    table->first_line = next_line;
    return UNSEEN_OK;
}

/* Room for one row more, at least. */
static unseen_status reserve(us_table *table, int64_t *room, unseen_error *error) {
    if (table->rows < *room) return UNSEEN_OK;
    *room = *room ? 2 * *room : 256;
    us_place *places =
        reallocarray(table->places, (size_t)*room, (size_t)table->columns * sizeof *places);
    if (places) table->places = places;
    uint32_t *lines = reallocarray(table->lines, (size_t)*room, sizeof *lines);
    if (lines) table->lines = lines;
    return places && lines ? UNSEEN_OK : us_fail_memory(error, "a table");
}

/* Notes where each cell is, so that rows are split but once. */
static unseen_status find_cells(us_table *table, unseen_error *error) {
    int64_t room = 0;
    int count;
    while (table->next < table->end) {
        US_TRY(read_row(table, &count, error));
        if (count != table->columns)
            return us_table_fail(table, error, "%d column%s, where the first line has %d", count,
                                 count == 1 ? "" : "s", table->columns);
        if (table->rows == INT32_MAX)
            return us_table_fail(table, error, "more than %d rows", INT32_MAX);
        US_TRY(reserve(table, &room, error));
        us_place *places = table->places + table->rows * table->columns;
        for (int i = 0; i < count; i++)
            places[i] = (us_place){.start = (uint32_t)(table->cells[i].text - table->text),
                                   .length = (uint32_t)table->cells[i].length & 0x7fffffffu,
                                   .doubled = table->cells[i].doubled};
        table->lines[table->rows++] = (uint32_t)table->line;
    }
    return UNSEEN_OK;
}

/* No control characters where a text file's first lines would be. */
static unseen_status check_text(const char *text, size_t size, const char *path,
                                unseen_error *error) {
    if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: UTF-16 text; save it as UTF-8", path);
    for (size_t i = 0; i < size && i < 4096; i++)
        if ((unsigned char)text[i] < 0x20 && (!text[i] || !strchr("\t\r\n", text[i])))
            return us_fail(
                error, UNSEEN_BAD_INPUT,
                "%s: neither text nor .npy nor IDX; a table (CSV) is text, one row a line, "
                "with commas, semicolons or tabs between the columns",
                path);
    return UNSEEN_OK;
}

/* Cuts empty lines off the end, but no separators of a last row. */
static void cut_end(us_table *table) {
    for (const char *at = table->end; at > table->first; at--) {
        if (at[-1] == '\n')
            table->end = at - 1;
        else if (!strchr(" \t\r", at[-1]) || !at[-1])
            return;
        if (at - 1 == table->first) table->end = table->first;
    }
}

unseen_status us_table_open(const char *text, size_t size, const char *path, us_table *table,
                            unseen_error *error) {
    unseen_status status;
    *table =
        (us_table){.path = path, .text = text, .first = text, .end = text + size, .first_line = 1};
    US_TRY(check_text(text, size, path, error));
    if (size > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: a table of more than 2 GiB", path);
    table->cells = calloc(MAX_COLUMNS, sizeof *table->cells);
    table->points = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    US_CHECK(table->cells && table->points ? UNSEEN_OK : us_fail_memory(error, "a table"));
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) table->first += 3; /* UTF-8's mark */
    cut_end(table);
    if (table->first == table->end)
        US_CHECK(us_fail(error, UNSEEN_BAD_INPUT, "%s: only empty lines are in it", path));
    if (!take_separator(table)) find_separator(table);
    US_CHECK(read_header(table, error));
    US_CHECK(find_cells(table, error));
done:
    if (status != UNSEEN_OK) us_table_close(table);
    return status;
}

void us_table_close(us_table *table) {
    for (int i = 0; table->names && i < table->columns; i++)
        free(table->names[i]);
    free(table->names);
    free(table->cells);
    free(table->places);
    free(table->lines);
    if (table->points) freelocale(table->points);
    *table = (us_table){0};
}

/* ---- cells ---- */

bool us_text_integer(const char *text, size_t length, int64_t *value) {
    bool negative = length > 0 && text[0] == '-', fits = true;
    size_t i = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    int64_t number = 0;
    if (i == length) return false;
    for (; i < length; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9) return false;
        if (i < 18) { /* so many digits always fit */
            number = 10 * number + (negative ? -digit : digit);
            continue;
        }
        fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
               !__builtin_add_overflow(number, negative ? -digit : digit, &number);
    }
    *value = number;
    return fits;
}

/* Plain decimals, which most numbers are: of digits that a double holds exactly, and shifted by a
 * power of ten that it holds, too, so that the one division rounds as strtod does. False: not one.
 */
static bool read_decimal(us_cell cell, double *value, char *decimal) {
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *c = cell.text, *end = cell.text + cell.length;
    bool negative = c < end && *c == '-';
    const char *mark = NULL, *first = c += negative;
    int64_t digits = 0;
    *decimal = 0;
    if (end - c < 1 || end - c > 16) return false;
    for (; c < end; c++) {
        if (!mark && (*c == '.' || *c == ',') && c > first) {
            mark = c;
            *decimal = *c;
        } else if (*c >= '0' && *c <= '9') {
            digits = 10 * digits + (*c - '0');
        } else {
            return false;
        }
    }
    if (digits > INT64_C(1) << 53) return false;
    *value = (double)digits / powers[mark ? end - mark - 1 : 0];
    if (negative) *value = -*value;
    return true;
}

/* No number needs more than 63 characters, and a cell that has more is none. *decimal is its
 * decimal point or comma, or 0. */
static bool read_number(const us_table *table, us_cell cell, double *value, char *decimal) {
    char text[64], *end;
    if (read_decimal(cell, value, decimal)) return *decimal != ',' || table->separator != ',';
    *decimal = 0;
    if (cell.length == 0 || cell.length >= sizeof text) return false;
    for (size_t i = 0; i < cell.length; i++) {
        char c = cell.text[i];
        if (c == '\0' || c == 'x' || c == 'X' || c == '(' || c == ' ' || (c >= '\t' && c <= '\r'))
            return false;
        bool mark = c == '.' || c == ',';
        if (mark && (*decimal || (c == ',' && table->separator == ','))) return false;
        if (mark) *decimal = c;
        text[i] = mark ? '.' : c;
    }
    text[cell.length] = '\0';
    *value = strtod_l(text, &end, table->points);
    return *end == '\0';
}

bool us_cell_number(us_table *table, us_cell cell, double *value) {
    char decimal;
    if (!read_number(table, cell, value, &decimal)) return false;
    if (decimal && table->decimal && decimal != table->decimal) return false;
    if (decimal) table->decimal = decimal;
    return true;
}

bool us_cell_whole(const us_table *table, us_cell cell, int64_t *value) {
    double number;
    char decimal;
    if (us_text_integer(cell.text, cell.length, value)) return true;
    if (!read_number(table, cell, &number, &decimal)) return false;
    if (!(fabs(number) <= 0x1p53) || number != floor(number)) return false;
    *value = (int64_t)number;
    return true;
}

bool us_cell_class(const us_table *table, us_cell cell, int64_t *value) {
    bool yes = cell.length == 4 && strncasecmp(cell.text, "true", 4) == 0;
    bool no = cell.length == 5 && strncasecmp(cell.text, "false", 5) == 0;
    if (!yes && !no) return us_cell_whole(table, cell, value);
    *value = yes;
    return true;
}

bool us_text_class(const char *text, int64_t *value) {
    us_table table = {.separator = ',', .points = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    if (!table.points) return false;
    bool found = us_cell_class(&table, (us_cell){.text = text, .length = strlen(text)}, value);
    freelocale(table.points);
    return found;
}

size_t us_cell_copy(us_cell cell, char *copy) {
    size_t length = 0;
    for (size_t i = 0; i < cell.length; i++) {
        copy[length++] = cell.text[i];
        if (cell.doubled && cell.text[i] == '"') i++;
    }
    copy[length] = '\0';
    return length;
}
