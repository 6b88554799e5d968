#include "evaluation/scores.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapping.h"
#include "evaluation/locale.h"

enum { MAX_FIELDS = US_SCORES_MAX_COLUMNS + 2 }; /* the id and "anomalous" */

typedef struct us_field {
    const char *text; /* not NUL-terminated */
    size_t length;
} us_field;

typedef struct us_csv {
    const char *path;
    const char *next, *end; /* of the mapped file; trailing blank lines are beyond the end */
    int64_t line;           /* of the line read last, from 1 */
    int columns;            /* of the header */
} us_csv;

static unseen_status fail_at(const us_csv *csv, unseen_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

static unseen_status fail_at(const us_csv *csv, unseen_error *error, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: line %" PRId64 ": %s", csv->path, csv->line, text);
}

/* For messages: what a field says, cut short, with everything unprintable as a question mark. */
static const char *shown(us_field field, char text[48]) {
    size_t length = field.length < 40 ? field.length : 40;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)field.text[i];
        text[i] = c < 32 || c > 126 ? '?' : (char)c;
    }
    strcpy(text + length, field.length > 40 ? "..." : "");
    return text;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without the blanks around it, and without the quotes around that. */
static us_field trimmed(const char *begin, const char *end) {
    while (begin < end && is_space(*begin))
        begin++;
    while (end > begin && is_space(end[-1]))
        end--;
    if (end - begin >= 2 && *begin == '"' && end[-1] == '"') {
        begin++;
        end--;
    }
    return (us_field){begin, (size_t)(end - begin)};
}

/* Splits the next line; *count may be above MAX_FIELDS, but no more fields are stored. */
static bool next_line(us_csv *csv, us_field fields[MAX_FIELDS], int *count) {
    if (csv->next >= csv->end) return false;
    const char *end = memchr(csv->next, '\n', (size_t)(csv->end - csv->next));
    if (!end) end = csv->end;
    *count = 0;
    for (const char *begin = csv->next;;) {
        const char *comma = memchr(begin, ',', (size_t)(end - begin));
        if (*count < MAX_FIELDS) fields[*count] = trimmed(begin, comma ? comma : end);
        if (*count <= MAX_FIELDS) ++*count;
        if (!comma) break;
        begin = comma + 1;
    }
    csv->next = end < csv->end ? end + 1 : end;
    csv->line++;
    return true;
}

/* Locale: us_scores_read has switched the thread to "C". A copy, since the mapping does not end in
 * NUL; no double needs more than 63 characters, and a field that has more is told as no number. */
static bool number(us_field field, double *value) {
    char text[64], *end;
    if (field.length == 0 || field.length >= sizeof text) return false;
    for (size_t i = 0; i < field.length; i++) {
        char c = field.text[i];
        if (c == '\0' || c == 'x' || c == 'X' || is_space(c)) return false;
        text[i] = c;
    }
    text[field.length] = '\0';
    *value = strtod(text, &end);
    return *end == '\0';
}

static bool identifier(us_field field, int64_t *id) {
    if (field.length == 0 || field.length > 18) return false;
    *id = 0;
    for (size_t i = 0; i < field.length; i++) {
        if (field.text[i] < '0' || field.text[i] > '9') return false;
        *id = *id * 10 + (field.text[i] - '0');
    }
    return true;
}

static int64_t count_lines(const us_csv *csv) {
    int64_t lines = 0;
    for (const char *at = csv->next; at < csv->end; lines++) {
        const char *end = memchr(at, '\n', (size_t)(csv->end - at));
        at = end ? end + 1 : csv->end;
    }
    return lines;
}

static unseen_status read_header(us_csv *csv, us_scores *scores, unseen_error *error) {
    us_field fields[MAX_FIELDS];
    char names[US_SCORES_MAX_COLUMNS][48], text[48];
    const char *list[US_SCORES_MAX_COLUMNS];
    double value;
    int64_t rows = count_lines(csv) - 1;

    if (!next_line(csv, fields, &csv->columns))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: the file is blank", csv->path);
    if (csv->columns < 2)
        return fail_at(csv, error,
                       "expected a header of an id and at least one score, separated by commas, "
                       "found \"%s\"",
                       shown(fields[0], text));
    if (number(fields[0], &value))
        return fail_at(csv, error,
                       "expected a header line such as \"Id,Predicted\", found the number %s",
                       shown(fields[0], text));
    int columns = csv->columns - 1;
    bool labelled = csv->columns <= MAX_FIELDS && fields[columns].length == 9 &&
                    !memcmp(fields[columns].text, "anomalous", 9);
    columns -= labelled;
    if (columns < 1)
        return fail_at(csv, error, "there is no column of scores beside \"anomalous\"");
    if (columns > US_SCORES_MAX_COLUMNS)
        return fail_at(csv, error, "more than %d columns of scores", US_SCORES_MAX_COLUMNS);
    if (rows < 1) return fail_at(csv, error, "no scores follow the header");
    if (rows > INT64_C(1) << 31)
        return fail_at(csv, error, "%" PRId64 " rows follow: more than 2147483648", rows);
    for (int i = 0; i < columns; i++) {
        us_field name = fields[i + 1];
        if (name.length >= sizeof names[i] || memchr(name.text, '\0', name.length))
            return fail_at(csv, error, "\"%s\" cannot be the name of a score", shown(name, text));
        memcpy(names[i], name.text, name.length);
        names[i][name.length] = '\0';
        list[i] = names[i];
    }
    unseen_status status = us_scores_create(rows, columns, list, scores, error);
    if (status != UNSEEN_OK) {
        us_error_context(error, "%s: line 1", csv->path);
        return status;
    }
    if (labelled && !(scores->anomalous = calloc((size_t)rows, 1)))
        return us_fail_memory(error, "labels");
    return UNSEEN_OK;
}

static unseen_status read_row(const us_csv *csv, const us_field *fields, unsigned char *seen,
                              us_scores *scores, unseen_error *error) {
    char text[48];
    int64_t id;
    if (!identifier(fields[0], &id))
        return fail_at(csv, error, "\"%s\" is not an id: expected a whole number from 0",
                       shown(fields[0], text));
    if (id >= scores->count)
        return fail_at(csv, error,
                       "id %" PRId64 " is out of range: %" PRId64
                       " rows must have the ids 0 to %" PRId64,
                       id, scores->count, scores->count - 1);
    if (seen[id]) return fail_at(csv, error, "id %" PRId64 " is there twice", id);
    seen[id] = 1;
    for (int i = 0; i < scores->columns; i++)
        if (!number(fields[i + 1], &scores->values[i][id]))
            return fail_at(csv, error, "\"%s\" in column \"%s\" is not a number",
                           shown(fields[i + 1], text), scores->names[i]);
    if (scores->anomalous) {
        us_field label = fields[scores->columns + 1];
        double value;
        if (!number(label, &value) || (value != 0 && value != 1))
            return fail_at(csv, error, "\"%s\" in column \"anomalous\" is neither 0 nor 1",
                           shown(label, text));
        scores->anomalous[id] = value == 1;
    }
    return UNSEEN_OK;
}

/* As many rows as ids that are in range and never twice: so none is missing at the end. */
static unseen_status read_rows(us_csv *csv, us_scores *scores, unseen_error *error) {
    us_field fields[MAX_FIELDS];
    int count;
    unsigned char *seen = calloc((size_t)scores->count, 1);
    if (!seen) return us_fail_memory(error, "the ids of scores");
    unseen_status status = UNSEEN_OK;
    while (status == UNSEEN_OK && next_line(csv, fields, &count)) {
        if (count != csv->columns)
            status = fail_at(csv, error, "%s%d field%s, where the header has %d",
                             count > MAX_FIELDS ? "more than " : "",
                             count > MAX_FIELDS ? MAX_FIELDS : count, count == 1 ? "" : "s",
                             csv->columns);
        else
            status = read_row(csv, fields, seen, scores, error);
    }
    free(seen);
    return status;
}

unseen_status us_scores_read(const char *path, us_scores *scores, unseen_error *error) {
    *scores = (us_scores){0};
    us_mapping mapping;
    US_TRY(us_file_map(path, &mapping, error));
    us_csv csv = {.path = path, .next = (const char *)mapping.bytes};
    csv.end = csv.next + mapping.size;
    if (memchr(mapping.bytes, '\0', mapping.size < 4096 ? mapping.size : 4096)) {
        us_file_unmap(&mapping);
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: not text, expected a CSV of scores", path);
    }
    if (mapping.size >= 3 && !memcmp(mapping.bytes, "\xef\xbb\xbf", 3)) csv.next += 3;
    while (csv.end > csv.next && is_space(csv.end[-1]))
        csv.end--;

    us_locale locale = us_locale_enter();
    unseen_status status = read_header(&csv, scores, error);
    if (status == UNSEEN_OK) status = read_rows(&csv, scores, error);
    us_locale_leave(locale);
    if (us_mapping_check(&mapping, path, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
    us_file_unmap(&mapping);
    if (status != UNSEEN_OK) us_scores_destroy(scores);
    return status;
}
