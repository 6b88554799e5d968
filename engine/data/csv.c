#include "data/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct field {
    const char *text;
    size_t length;
} field;

typedef struct reader {
    const char *at, *end; /* what is still to be read; blank lines at the end are cut off */
    const char *path;
    long long line; /* of the row read last, from 1 */
    bool ids;       /* the first column is the image's number */
    int columns;
    unseen_error *error;
} reader;

/* A row's first and last field. */
typedef struct row {
    field first, last;
    int columns;
} row;

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static field trim(field f) {
    while (f.length > 0 && is_blank(f.text[0]))
        f.text++, f.length--;
    while (f.length > 0 && is_blank(f.text[f.length - 1]))
        f.length--;
    return f;
}

bool us_csv_integer(const char *text, size_t length, int64_t *value) {
    bool negative = length > 0 && text[0] == '-';
    size_t i = length > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    if (i == length) return false;
    for (*value = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        int digit = text[i] - '0';
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, negative ? -digit : digit, value))
            return false;
    }
    return true;
}

/* The field that starts at `at`, without quotes and outer blanks; *next is its comma, or end. */
static field take_field(const char *at, const char *end, const char **next) {
    while (at < end && is_blank(*at))
        at++;
    if (at < end && *at == '"') {
        const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
        const char *after = close ? close + 1 : end;
        while (after < end && is_blank(*after))
            after++;
        if (close && (after == end || *after == ',')) {
            *next = after;
            return (field){at + 1, (size_t)(close - at - 1)};
        }
    }
    const char *comma = memchr(at, ',', (size_t)(end - at));
    *next = comma ? comma : end;
    return trim((field){at, (size_t)(*next - at)});
}

static unseen_status next_row(reader *r, row *found) {
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *at = r->at, *end = newline ? newline : r->end;
    r->line++;
    r->at = newline ? newline + 1 : r->end;
    found->columns = 0;
    for (bool more = true; more;) {
        const char *next;
        found->last = take_field(at, end, &next);
        if (found->columns++ == 0) found->first = found->last;
        if (found->columns > 4096)
            return us_fail(r->error, UNSEEN_BAD_INPUT, "%s: line %lld: more than 4096 columns",
                           r->path, r->line);
        more = next < end;
        at = next + more;
    }
    if (found->columns == 1 && found->first.length == 0)
        return us_fail(r->error, UNSEEN_BAD_INPUT, "%s: line %lld is empty; remove it", r->path,
                       r->line);
    return UNSEEN_OK;
}

/* A field for a message: printable, at most 40 characters. */
typedef struct shown {
    char text[48];
} shown;

static shown show(field f) {
    shown s;
    size_t length = f.length < 40 ? f.length : 40;
    for (size_t i = 0; i < length; i++)
        s.text[i] = f.text[i] >= 0x20 && f.text[i] < 0x7f ? f.text[i] : '?';
    snprintf(s.text + length, sizeof s.text - length, f.length > 40 ? "..." : "");
    return s;
}

static bool is_id(field f) {
    return f.length == 2 && strncasecmp(f.text, "id", 2) == 0;
}

/* Looks like a number, so that it is no column's name. */
static bool is_number(field f) {
    return f.length > 0 && strchr("0123456789+-.", f.text[0]) && f.text[0];
}

/* Tells from the first line whether it is a header, and what the columns are. */
static unseen_status read_first(reader *r) {
    reader ahead = *r;
    row first;
    int64_t ignored;
    US_TRY(next_row(&ahead, &first));
    r->columns = first.columns;
    if (us_csv_integer(first.last.text, first.last.length, &ignored)) {
        if (first.columns == 1) return UNSEEN_OK;
        return us_fail(r->error, UNSEEN_BAD_INPUT,
                       "%s: line 1: %d columns without a header; put a line such as \"Id,label\" "
                       "first, or keep one label a line",
                       r->path, first.columns);
    }
    if (is_number(first.last))
        return us_fail(r->error, UNSEEN_BAD_INPUT, "%s: line 1: the label '%s' is not an integer",
                       r->path, show(first.last).text);
    if (is_id(first.last))
        return us_fail(r->error, UNSEEN_BAD_INPUT,
                       "%s: line 1: the last column is '%s'; the labels must be the last column",
                       r->path, show(first.last).text);
    r->ids = is_id(first.first);
    if (ahead.at == ahead.end)
        return us_fail(r->error, UNSEEN_BAD_INPUT,
                       "%s: no label in it: the only line is '%s', a header or not an integer",
                       r->path, show(first.last).text);
    r->at = ahead.at;
    r->line = ahead.line;
    return UNSEEN_OK;
}

static unseen_status read_row(reader *r, int64_t *id, int64_t *label) {
    row found;
    US_TRY(next_row(r, &found));
    if (found.columns != r->columns)
        return us_fail(r->error, UNSEEN_BAD_INPUT, "%s: line %lld: %d columns, expected %d",
                       r->path, r->line, found.columns, r->columns);
    if (!us_csv_integer(found.last.text, found.last.length, label))
        return us_fail(r->error, UNSEEN_BAD_INPUT,
                       "%s: line %lld: the label '%s' is not an integer", r->path, r->line,
                       show(found.last).text);
    if (r->ids && !us_csv_integer(found.first.text, found.first.length, id))
        return us_fail(r->error, UNSEEN_BAD_INPUT, "%s: line %lld: the id '%s' is not an integer",
                       r->path, r->line, show(found.first).text);
    return UNSEEN_OK;
}

typedef struct numbers {
    int64_t *at;
    size_t count, room;
} numbers;

static bool add(numbers *list, int64_t value) {
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 1024;
        int64_t *larger = realloc(list->at, room * sizeof *larger);
        if (!larger) return false;
        list->at = larger;
        list->room = room;
    }
    list->at[list->count++] = value;
    return true;
}

static unseen_status read_rows(reader *r, numbers *ids, numbers *labels) {
    while (r->at < r->end) {
        int64_t id = 0, label;
        US_TRY(read_row(r, &id, &label));
        if (labels->count == INT32_MAX)
            return us_fail(r->error, UNSEEN_BAD_INPUT, "%s: more than %d labels", r->path,
                           INT32_MAX);
        if (!add(labels, label) || (r->ids && !add(ids, id)))
            return us_fail_memory(r->error, "labels");
    }
    return UNSEEN_OK;
}

/* Puts the labels into the order of their ids, which must be 0 to count - 1. */
static unseen_status order_by_id(const reader *r, const numbers *ids, numbers *labels) {
    int64_t *ordered = malloc(labels->count * sizeof *ordered);
    unsigned char *seen = calloc(labels->count, 1);
    unseen_status status = ordered && seen ? UNSEEN_OK : us_fail_memory(r->error, "labels");
    for (size_t i = 0; i < ids->count && status == UNSEEN_OK; i++) {
        int64_t id = ids->at[i];
        if (id < 0 || (uint64_t)id >= labels->count || seen[id]) {
            bool twice = id >= 0 && (uint64_t)id < labels->count;
            status = us_fail(r->error, UNSEEN_BAD_INPUT,
                             "%s: line %zu: the id %lld %s; %zu rows need each id from 0 to %zu "
                             "once",
                             r->path, i + 2, (long long)id,
                             twice ? "occurs a second time" : "is out of range", labels->count,
                             labels->count - 1);
        } else {
            seen[id] = 1;
            ordered[id] = labels->at[i];
        }
    }
    free(seen);
    if (status == UNSEEN_OK) {
        free(labels->at);
        labels->at = ordered;
    } else {
        free(ordered);
    }
    return status;
}

/* No control characters where a text file's first lines would be. */
static bool is_text(const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size && i < 4096; i++)
        if (bytes[i] < 0x20 && !strchr("\t\r\n", bytes[i])) return false;
    return memchr(bytes, 0, size < 4096 ? size : 4096) == NULL;
}

unseen_status us_csv_labels(const unsigned char *bytes, size_t size, const char *path,
                            int64_t **values, int64_t *count, unseen_error *error) {
    unseen_status status;
    numbers ids = {0}, labels = {0};
    reader r = {.at = (const char *)bytes, .path = path, .error = error};
    r.end = r.at + size;
    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) r.at += 3; /* UTF-8's mark */
    while (r.end > r.at && (is_blank(r.end[-1]) || r.end[-1] == '\n'))
        r.end--;
    if (!is_text(bytes, size))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: neither text nor .npy nor IDX; labels are read from CSV (one integer a "
                       "line), and from .npy and IDX files, plain or .gz",
                       path);
    if (r.at == r.end)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: no label in it, only empty lines", path);
    US_CHECK(read_first(&r));
    US_CHECK(read_rows(&r, &ids, &labels));
    if (r.ids) US_CHECK(order_by_id(&r, &ids, &labels));
    *values = labels.at;
    *count = (int64_t)labels.count;
    labels.at = NULL;
done:
    free(ids.at);
    free(labels.at);
    return status;
}
