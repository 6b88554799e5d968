/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_internal.h"

/* ---- cursors ---- */

static bool is_control(char c) {
    return (unsigned char)c < 0x20 || c == 0x7F;
}

/* The escapes of JSON Pointer (RFC 6901); control characters must not reach a terminal. */
static size_t escape_character(char c, char out[2]) {
    if (c == '~' || c == '/') {
        out[0] = '~';
        out[1] = c == '~' ? '0' : '1';
        return 2;
    }
    out[0] = is_control(c) ? '?' : c;
    return 1;
}

/* A pointer too long for its array ends in "/...": it is for messages only. */
us_json us_json_extend(const us_json *parent, const char *name, cJSON *value) {
    us_json child = {.value = value, .file = parent->file};
    const size_t room = sizeof child.pointer - sizeof "/...";
    size_t before = strlen(parent->pointer), used = before;
    memcpy(child.pointer, parent->pointer, before);
    bool fits = used < room;
    if (fits) child.pointer[used++] = '/';
    for (; fits && *name; name++) {
        char escaped[2];
        size_t length = escape_character(*name, escaped);
        fits = used + length <= room;
        if (!fits) break;
        memcpy(child.pointer + used, escaped, length);
        used += length;
    }
    if (!fits) {
        used = before;
        if (before <= room) {
            memcpy(child.pointer + used, "/...", 4);
            used += 4;
        }
    }
    child.pointer[used] = '\0';
    return child;
}

us_json us_json_member(const us_json *object, const char *name) {
    cJSON *value = cJSON_IsObject(object->value)
                       ? cJSON_GetObjectItemCaseSensitive(object->value, name)
                       : NULL;
    return us_json_extend(object, name, value);
}

us_json us_json_child(const us_json *array, int index, cJSON *value) {
    char name[16];
    snprintf(name, sizeof name, "%d", index);
    return us_json_extend(array, name, value);
}

us_json us_json_element(const us_json *array, int index) {
    cJSON *value =
        cJSON_IsArray(array->value) && index >= 0 ? cJSON_GetArrayItem(array->value, index) : NULL;
    return us_json_child(array, index, value);
}

us_json us_json_member_object(us_json *object, const char *name) {
    us_json member = us_json_member(object, name);
    /* cJSON would hang a child on a scalar as readily. */
    if (!member.value && cJSON_IsObject(object->value))
        member.value = cJSON_AddObjectToObject(object->value, name);
    return member;
}

int us_json_depth(const cJSON *value) {
    if (!cJSON_IsObject(value) && !cJSON_IsArray(value)) return 0;
    int deepest = 0;
    const cJSON *child;
    cJSON_ArrayForEach(child, value) {
        int depth = us_json_depth(child);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

/* ---- messages ---- */

unseen_status us_json_fail(const us_json *at, unseen_error *error, const char *format, ...) {
    char message[1536];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *file = at->file ? at->file : "JSON";
    if (!at->pointer[0]) return us_fail(error, UNSEEN_BAD_INPUT, "%s: %s", file, message);
    return us_fail(error, UNSEEN_BAD_INPUT, "%s: %s: %s", file, at->pointer, message);
}

size_t us_utf8_length(const unsigned char *text, size_t length) {
    if (length == 0) return 0;
    unsigned char first = text[0];
    if (first < 0x80) return 1;
    size_t size = first >= 0xC2 && first <= 0xDF   ? 2
                  : first >= 0xE0 && first <= 0xEF ? 3
                  : first >= 0xF0 && first <= 0xF4 ? 4
                                                   : 0;
    if (size == 0 || size > length) return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    /* Overlong forms, surrogates and what lies beyond U+10FFFF. */
    if ((first == 0xE0 && text[1] < 0xA0) || (first == 0xED && text[1] > 0x9F) ||
        (first == 0xF0 && text[1] < 0x90) || (first == 0xF4 && text[1] > 0x8F))
        return 0;
    return size;
}

bool us_utf8_valid(const char *text) {
    size_t length = strlen(text), size = 1;
    for (size_t at = 0; at < length && size; at += size)
        size = us_utf8_length((const unsigned char *)text + at, length - at);
    return size != 0;
}

unseen_status us_json_check_name(const char *path, unseen_error *error) {
    if (us_utf8_valid(path)) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: the name is not UTF-8, so it cannot be written into the run's JSON files: "
                   "rename it, or make a link to it by another name and give that",
                   path);
}

static void describe_string(const char *string, char text[US_JSON_DESCRIPTION]) {
    size_t used = 0, length = strlen(string), at = 0;
    text[used++] = '"';
    while (at < length && used < 60) {
        size_t size = us_utf8_length((const unsigned char *)string + at, length - at);
        if (size == 0 || is_control(string[at])) {
            text[used++] = '?';
            at++;
            continue;
        }
        memcpy(text + used, string + at, size);
        used += size;
        at += size;
    }
    strcpy(text + used, at < length ? "...\"" : "\"");
}

void us_json_describe(const cJSON *value, char text[US_JSON_DESCRIPTION]) {
    if (cJSON_IsString(value)) {
        describe_string(value->valuestring, text);
    } else if (cJSON_IsNumber(value)) {
        us_json_number(value->valuedouble, text);
    } else if (cJSON_IsArray(value)) {
        int size = cJSON_GetArraySize(value);
        snprintf(text, US_JSON_DESCRIPTION, "an array of %d element%s", size, size == 1 ? "" : "s");
    } else {
        const char *name = cJSON_IsObject(value)  ? "an object"
                           : cJSON_IsTrue(value)  ? "true"
                           : cJSON_IsFalse(value) ? "false"
                           : cJSON_IsNull(value)  ? "null"
                                                  : "nothing";
        snprintf(text, US_JSON_DESCRIPTION, "%s", name);
    }
}

/* ---- printing ---- */

void us_json_number(double number, char text[US_JSON_NUMBER]) {
    if (!isfinite(number)) {
        strcpy(text, "null");
        return;
    }
    if (fabs(number) <= US_JSON_LARGEST_INTEGER && nearbyint(number) == number) {
        snprintf(text, US_JSON_NUMBER, "%.0f", number);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, US_JSON_NUMBER, "%.*g", digits, number);
        if (strtod(text, NULL) == number) break;
    }
    /* The program around the library may have chosen a locale with another decimal point. */
    const char *point = localeconv()->decimal_point;
    char *found = strcmp(point, ".") ? strstr(text, point) : NULL;
    if (found) {
        *found = '.';
        memmove(found + 1, found + strlen(point), strlen(found + strlen(point)) + 1);
    }
}

/* Lines of objects and arrays that fit are kept whole. */
enum { LINE_LENGTH = 100, INDENT = 2 };

/* Characters that stand for themselves in a string, from the first on. */
static size_t plain_length(const char *string) {
    size_t length = 0;
    for (unsigned char c; (c = (unsigned char)string[length]) >= ' ' && c < 127;) {
        if (c == '"' || c == '\\') break;
        length++;
    }
    return length;
}

static void print_string(FILE *out, const char *string) {
    fputc('"', out);
    for (size_t left = strlen(string), size; left; left -= size, string += size) {
        unsigned char c = (unsigned char)*string;
        size = plain_length(string);
        if (size) {
            fwrite(string, 1, size, out);
            continue;
        }
        size = us_utf8_length((const unsigned char *)string, left);
        if (size != 1) {
            fwrite(size ? string : US_UTF8_REPLACEMENT, 1, size ? size : 3, out);
            size = size ? size : 1;
            continue;
        }
        const char *at = strchr("\"\\\b\f\n\r\t", c);
        if (at)
            fprintf(out, "\\%c", "\"\\bfnrt"[at - "\"\\\b\f\n\r\t"]);
        else if (is_control((char)c))
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void print_scalar(FILE *out, const cJSON *value) {
    char number[US_JSON_NUMBER];
    if (cJSON_IsString(value)) {
        print_string(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        us_json_number(value->valuedouble, number);
        fputs(number, out);
    } else if (cJSON_IsRaw(value)) {
        fputs(value->valuestring, out);
    } else {
        fputs(cJSON_IsTrue(value) ? "true" : cJSON_IsFalse(value) ? "false" : "null", out);
    }
}

/* What is left of `room` characters after the value on one line; negative when it does not fit.
 * Escapes are left out of account: they only make a line a little longer. */
static long room_after(const cJSON *value, long room) {
    char number[US_JSON_NUMBER];
    if (cJSON_IsString(value) || cJSON_IsRaw(value)) {
        return room - (long)strnlen(value->valuestring, LINE_LENGTH) - 2;
    } else if (cJSON_IsNumber(value)) {
        us_json_number(value->valuedouble, number);
        return room - (long)strlen(number);
    } else if (!cJSON_IsObject(value) && !cJSON_IsArray(value)) {
        return room - 5;
    }
    const cJSON *child;
    cJSON_ArrayForEach(child, value) {
        if (room < 0) break;
        if (cJSON_IsObject(value)) room -= (long)strnlen(child->string, LINE_LENGTH) + 4;
        room = room_after(child, room - 2);
    }
    return room - 2;
}

/* column: where the value begins; whole: it stays on this line. The root is always broken up. */
static void print_value(FILE *out, const cJSON *value, int indent, int column, bool whole) {
    bool object = cJSON_IsObject(value);
    if (!object && !cJSON_IsArray(value)) {
        print_scalar(out, value);
        return;
    }
    whole = whole || !value->child || (indent > 0 && room_after(value, LINE_LENGTH - column) > 0);
    fputc(object ? '{' : '[', out);
    const cJSON *child;
    cJSON_ArrayForEach(child, value) {
        if (!whole) fprintf(out, "\n%*s", indent + INDENT, "");
        int key = 0;
        if (object) {
            print_string(out, child->string);
            fputs(": ", out);
            key = (int)strnlen(child->string, LINE_LENGTH) + 4;
        }
        print_value(out, child, indent + INDENT, indent + INDENT + key, whole);
        if (child->next) fputs(whole ? ", " : ",", out);
    }
    if (!whole) fprintf(out, "\n%*s", indent, "");
    fputc(object ? '}' : ']', out);
}

static char *print(const cJSON *value, bool line) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    print_value(out, value, 0, 0, line);
    if (!line) fputc('\n', out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

char *us_json_print(const cJSON *value) {
    return print(value, false);
}

char *us_json_print_line(const cJSON *value) {
    return print(value, true);
}
