/* SPDX-License-Identifier: MIT */
/* Parsing: cJSON builds the tree, but it is lenient (nesting, control characters, numbers,
 * text after the value, duplicate keys) and knows no lines, so the grammar is checked before. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/json_internal.h"

enum { FILE_LIMIT = 16 << 20, NUMBER_LIMIT = 63 /* cJSON's buffer */ };

typedef enum expectation {
    WANT_VALUE,
    WANT_VALUE_OR_END,
    WANT_KEY,
    WANT_KEY_OR_END,
    WANT_COLON,
    WANT_COMMA_OR_END,
    WANT_NOTHING,
} expectation;

typedef struct scanner {
    const char *text;
    size_t length, at;
    const char *file;
    unseen_error *error;
    expectation want;
    int depth;
    size_t opened[US_JSON_DEPTH]; /* where each open bracket stands */
} scanner;

static void locate(const scanner *s, size_t at, size_t *line, size_t *column) {
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (s->text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)s->text[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

__attribute__((format(printf, 3, 4))) static unseen_status fail_at(const scanner *s, size_t at,
                                                                   const char *format, ...) {
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    size_t line, column;
    locate(s, at, &line, &column);
    return us_fail(s->error, UNSEEN_BAD_INPUT, "%s: line %zu, column %zu: %s", s->file, line,
                   column, message);
}

static char innermost(const scanner *s) {
    return s->depth ? s->text[s->opened[s->depth - 1]] : '\0';
}

static const char *wanted(const scanner *s) {
    bool object = innermost(s) == '{';
    switch (s->want) {
    case WANT_VALUE:
        return "a value";
    case WANT_VALUE_OR_END:
        return "a value or ']'";
    case WANT_KEY:
        return "a key in double quotes";
    case WANT_KEY_OR_END:
        return "a key in double quotes or '}'";
    case WANT_COLON:
        return "':' after the key";
    case WANT_COMMA_OR_END:
        return object ? "',' or '}'" : "',' or ']'";
    default:
        return "nothing more after the value";
    }
}

static unseen_status fail_unexpected(const scanner *s) {
    size_t shown = 0, size;
    while (shown < 20 && s->at + shown < s->length) {
        const unsigned char *text = (const unsigned char *)s->text + s->at + shown;
        size = us_utf8_length(text, s->length - s->at - shown);
        if (size == 0 || *text < 0x20 || *text == 0x7F) break;
        shown += size;
    }
    const char *hint =
        s->text[s->at] == '/' || s->text[s->at] == '#'   ? " (JSON has no comments)"
        : s->want == WANT_KEY && s->text[s->at] == '}'   ? " (JSON allows no comma before it)"
        : s->want == WANT_VALUE && s->text[s->at] == ']' ? " (JSON allows no comma before it)"
                                                         : "";
    if (shown == 0)
        return fail_at(s, s->at, "expected %s, found byte 0x%02x", wanted(s),
                       (unsigned)(unsigned char)s->text[s->at]);
    return fail_at(s, s->at, "expected %s, found %.*s%s", wanted(s), (int)shown, s->text + s->at,
                   hint);
}

static unseen_status fail_end(const scanner *s) {
    if (s->depth == 0) return fail_at(s, s->length, "expected a value, found the end of the text");
    size_t line, column;
    locate(s, s->opened[s->depth - 1], &line, &column);
    return fail_at(s, s->length,
                   "expected %s, found the end of the text; the '%c' of line %zu, column %zu is "
                   "still open",
                   wanted(s), innermost(s), line, column);
}

/* ---- tokens ---- */

/* Four hexadecimal digits; -1 if there are none. */
static int hexadecimal(const scanner *s, size_t at) {
    int value = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = i < s->length ? s->text[i] : '\0';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Checks an escape, which begins at the backslash. */
static unseen_status scan_escape(scanner *s) {
    char c = s->at + 1 < s->length ? s->text[s->at + 1] : '\0';
    if (c != 'u') {
        if (c == '\0' || !strchr("\"\\/bfnrt", c))
            return fail_at(s, s->at, "unknown escape in a string (a backslash is written \\\\)");
        s->at += 2;
        return UNSEEN_OK;
    }
    int unit = hexadecimal(s, s->at + 2);
    if (unit < 0) return fail_at(s, s->at, "expected four hexadecimal digits after \\u");
    if (unit == 0) return fail_at(s, s->at, "\\u0000 is not allowed in a string");
    size_t length = 6;
    if (unit >= 0xD800 && unit <= 0xDFFF) {
        bool escape =
            s->at + 7 < s->length && s->text[s->at + 6] == '\\' && s->text[s->at + 7] == 'u';
        int low = escape ? hexadecimal(s, s->at + 8) : -1;
        if (unit > 0xDBFF || low < 0xDC00 || low > 0xDFFF)
            return fail_at(s, s->at, "half of a surrogate pair in a string");
        length = 12;
    }
    s->at += length;
    return UNSEEN_OK;
}

static unseen_status scan_string(scanner *s) {
    size_t start = s->at++;
    while (s->at < s->length) {
        unsigned char c = (unsigned char)s->text[s->at];
        if (c == '"') {
            s->at++;
            return UNSEEN_OK;
        } else if (c == '\n' || c == '\r') {
            return fail_at(s, start, "the string that begins here has no closing quote");
        } else if (c < 0x20) {
            return fail_at(s, s->at, "control character 0x%02x in a string", (unsigned)c);
        } else if (c == '\\') {
            US_TRY(scan_escape(s));
        } else {
            size_t size = us_utf8_length((const unsigned char *)s->text + s->at, s->length - s->at);
            if (size == 0) return fail_at(s, s->at, "byte 0x%02x is not UTF-8", (unsigned)c);
            s->at += size;
        }
    }
    return fail_at(s, start, "the string that begins here has no closing quote");
}

static size_t scan_digits(scanner *s) {
    size_t start = s->at;
    while (s->at < s->length && s->text[s->at] >= '0' && s->text[s->at] <= '9')
        s->at++;
    return s->at - start;
}

static bool scan_one_of(scanner *s, const char *characters) {
    char c = s->at < s->length ? s->text[s->at] : '\0';
    if (c == '\0' || !strchr(characters, c)) return false;
    s->at++;
    return true;
}

static unseen_status scan_number(scanner *s) {
    size_t start = s->at;
    scan_one_of(s, "-");
    size_t first = s->at, digits = scan_digits(s);
    bool valid = digits == 1 || (digits > 1 && s->text[first] != '0');
    if (scan_one_of(s, ".")) valid = scan_digits(s) > 0 && valid;
    if (scan_one_of(s, "eE")) {
        scan_one_of(s, "+-");
        valid = scan_digits(s) > 0 && valid;
    }
    if (!valid) {
        size_t shown = s->at - start < 30 ? s->at - start : 30;
        return fail_at(s, start, "%.*s is not a number in JSON", (int)shown, s->text + start);
    }
    if (s->at - start > NUMBER_LIMIT)
        return fail_at(s, start, "a number of more than %d characters", NUMBER_LIMIT);
    return UNSEEN_OK;
}

static unseen_status scan_word(scanner *s) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (s->length - s->at >= length && memcmp(s->text + s->at, words[i], length) == 0) {
            s->at += length;
            return UNSEEN_OK;
        }
    }
    return fail_unexpected(s);
}

/* ---- structure ---- */

static void value_done(scanner *s) {
    s->want = s->depth ? WANT_COMMA_OR_END : WANT_NOTHING;
}

static unseen_status scan_open(scanner *s) {
    if (s->depth == US_JSON_DEPTH)
        return fail_at(s, s->at, "nested deeper than %d levels", US_JSON_DEPTH);
    s->opened[s->depth++] = s->at;
    s->want = s->text[s->at++] == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return UNSEEN_OK;
}

static unseen_status scan_close(scanner *s) {
    bool object = s->text[s->at] == '}';
    bool here =
        s->want == WANT_COMMA_OR_END || s->want == (object ? WANT_KEY_OR_END : WANT_VALUE_OR_END);
    if (!here || innermost(s) != (object ? '{' : '[')) return fail_unexpected(s);
    s->at++;
    s->depth--;
    value_done(s);
    return UNSEEN_OK;
}

static unseen_status scan_token(scanner *s) {
    char c = s->text[s->at];
    bool value = s->want == WANT_VALUE || s->want == WANT_VALUE_OR_END;
    if (c == '"' && (s->want == WANT_KEY || s->want == WANT_KEY_OR_END)) {
        US_TRY(scan_string(s));
        s->want = WANT_COLON;
    } else if (c == '}' || c == ']') {
        US_TRY(scan_close(s));
    } else if (c == ',' && s->want == WANT_COMMA_OR_END) {
        s->at++;
        s->want = innermost(s) == '{' ? WANT_KEY : WANT_VALUE;
    } else if (c == ':' && s->want == WANT_COLON) {
        s->at++;
        s->want = WANT_VALUE;
    } else if (value && (c == '{' || c == '[')) {
        US_TRY(scan_open(s));
    } else if (value) {
        if (c == '"')
            US_TRY(scan_string(s));
        else if (c == '-' || (c >= '0' && c <= '9'))
            US_TRY(scan_number(s));
        else
            US_TRY(scan_word(s));
        value_done(s);
    } else {
        return fail_unexpected(s);
    }
    return UNSEEN_OK;
}

static unseen_status check_grammar(scanner *s) {
    while (s->at < s->length) {
        char c = s->text[s->at];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            s->at++;
        else
            US_TRY(scan_token(s));
    }
    return s->want == WANT_NOTHING ? UNSEEN_OK : fail_end(s);
}

/* ---- what only the tree shows ---- */

static int compare_keys(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted rather than compared pair by pair, which a large hostile object would make slow. */
static unseen_status check_duplicates(const us_json *object, unseen_error *error) {
    int count = cJSON_GetArraySize(object->value);
    if (count < 2) return UNSEEN_OK;
    const char **keys = calloc((size_t)count, sizeof *keys);
    if (!keys) return us_fail_memory(error, object->file);
    size_t used = 0;
    const cJSON *child;
    cJSON_ArrayForEach(child, object->value) keys[used++] = child->string;
    qsort(keys, used, sizeof *keys, compare_keys);
    unseen_status status = UNSEEN_OK;
    for (size_t i = 1; i < used && status == UNSEEN_OK; i++) {
        if (strcmp(keys[i - 1], keys[i]) != 0) continue;
        us_json member = us_json_extend(object, keys[i], NULL);
        status = us_json_fail(&member, error, "the key is given twice");
    }
    free(keys);
    return status;
}

static unseen_status check_tree(const us_json *at, unseen_error *error) {
    if (cJSON_IsObject(at->value)) US_TRY(check_duplicates(at, error));
    int index = 0;
    cJSON *child;
    cJSON_ArrayForEach(child, at->value) {
        char name[16];
        snprintf(name, sizeof name, "%d", index++);
        bool number = cJSON_IsNumber(child) && !isfinite(child->valuedouble);
        if (!number && !child->child) continue;
        us_json member = us_json_extend(at, child->string ? child->string : name, child);
        if (number) return us_json_fail(&member, error, "the number is too large");
        US_TRY(check_tree(&member, error));
    }
    return UNSEEN_OK;
}

unseen_status us_json_parse(const char *text, size_t length, const char *file, us_json *root,
                            unseen_error *error) {
    *root = (us_json){.file = file};
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3; /* a byte order mark */
        length -= 3;
    }
    scanner s = {.text = text, .length = length, .file = file, .error = error};
    US_TRY(check_grammar(&s));
    root->value = cJSON_ParseWithLength(text, length);
    if (!root->value) return us_fail_memory(error, file);
    unseen_status status = UNSEEN_OK;
    if (cJSON_IsNumber(root->value) && !isfinite(root->value->valuedouble))
        status = us_json_fail(root, error, "the number is too large");
    else
        status = check_tree(root, error);
    if (status != UNSEEN_OK) {
        cJSON_Delete(root->value);
        root->value = NULL;
    }
    return status;
}

unseen_status us_json_load(const char *file, us_json *root, unseen_error *error) {
    *root = (us_json){.file = file};
    char *text;
    size_t length;
    US_TRY(us_file_read(file, FILE_LIMIT, &text, &length, error));
    unseen_status status = us_json_parse(text, length, file, root, error);
    free(text);
    return status;
}
