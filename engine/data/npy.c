/* SPDX-License-Identifier: MIT */
#include "data/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are mapped as they are");

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

bool us_npy_is(const unsigned char *bytes, size_t size) {
    return size > 0 && memcmp(bytes, magic, size < sizeof magic ? size : sizeof magic) == 0;
}

/* The header is a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. */
typedef struct parser {
    const unsigned char *start, *at, *end;
    const char *path;
    us_array_header *header;
    unseen_error *error;
} parser;

static unseen_status expected(const parser *p, const char *what) {
    char found[32] = "its end";
    if (p->at < p->end)
        snprintf(found, sizeof found, *p->at >= 0x20 && *p->at < 0x7f ? "'%c'" : "byte 0x%02x",
                 *p->at);
    return us_fail(p->error, UNSEEN_BAD_INPUT,
                   "%s: damaged .npy header: expected %s, found %s at byte %zu of the header's "
                   "text",
                   p->path, what, found, (size_t)(p->at - p->start));
}

static void skip_space(parser *p) {
    while (p->at < p->end && strchr(" \t\r\n\f", *p->at) && *p->at)
        p->at++;
}

/* Skips space, then takes the character if it is there. */
static bool take(parser *p, char c) {
    skip_space(p);
    if (p->at == p->end || *p->at != (unsigned char)c) return false;
    p->at++;
    return true;
}

/* A string in single or double quotes; no type or key needs an escape. */
static unseen_status read_string(parser *p, char *text, size_t room, const char *what) {
    skip_space(p);
    char quote = take(p, '\'') ? '\'' : take(p, '"') ? '"' : '\0';
    if (!quote) return expected(p, what);
    size_t used = 0;
    for (; p->at < p->end && *p->at != (unsigned char)quote; p->at++) {
        if (*p->at == '\\' || *p->at < 0x20 || *p->at > 0x7e || used + 1 >= room)
            return expected(p, what);
        text[used++] = (char)*p->at;
    }
    text[used] = '\0';
    if (p->at == p->end) return expected(p, "a closing quote");
    p->at++;
    return UNSEEN_OK;
}

/* A word of letters and digits. */
static size_t read_word(parser *p, char *word, size_t room) {
    skip_space(p);
    size_t used = 0;
    while (p->at + used < p->end && used + 1 < room) {
        unsigned char c = p->at[used];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) break;
        word[used++] = (char)c;
    }
    word[used] = '\0';
    return used;
}

static unseen_status fail_type(const parser *p, const char *type, const char *advice) {
    return us_fail(p->error, UNSEEN_BAD_INPUT, "%s: holds elements of type '%s': %s", p->path, type,
                   advice);
}

/* The size of a number type such as "f4", without its byte order; 0: unknown. */
static int number_bytes(const char *code) {
    static const char *const known[] = {"b1", "u1", "u2", "u4", "u8", "i1", "i2",
                                        "i4", "i8", "f2", "f4", "f8", "f16"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(code, known[i]) == 0) return atoi(code + 1);
    return 0;
}

/* Text of at most so many characters, such as "<U7". */
static unseen_status read_text_type(parser *p, const char *type, const char *code, char order) {
    enum { LONGEST = 4096 };
    char *end;
    long length = strtol(code + 1, &end, 10);
    if (code[1] < '1' || code[1] > '9' || *end || length > LONGEST)
        return fail_type(p, type, "text, but not of 1 to 4096 characters");
    p->header->kind = code[0] == 'U' ? 'U' : 'S';
    p->header->item_bytes = (int)length * (code[0] == 'U' ? 4 : 1);
    p->header->big_endian = order == '>' && code[0] == 'U';
    return UNSEEN_OK;
}

static unseen_status read_descr(parser *p) {
    if (take(p, '['))
        return us_fail(p->error, UNSEEN_BAD_INPUT,
                       "%s: a structured array (records with named fields); save one plain array, "
                       "such as a['field']",
                       p->path);
    char type[32];
    US_TRY(read_string(p, type, sizeof type, "a type such as '|u1'"));
    const char *code = type;
    char order = *code && strchr("<>|=", *code) ? *code++ : '=';
    switch (code[0]) {
    case 'O':
        return fail_type(p, type,
                         "Python objects, and pickled objects are never loaded; save an "
                         "array of numbers");
    case 'V':
        return fail_type(p, type, "a structured array; save one plain array of numbers");
    case 'U':
    case 'S':
    case 'a':
        return read_text_type(p, type, code, order);
    case 'c':
        return fail_type(p, type, "complex numbers; save real numbers");
    }
    int size = number_bytes(code);
    if (size == 0) return fail_type(p, type, "not a type of numbers that is known here");
    p->header->kind = code[0];
    p->header->item_bytes = size;
    p->header->big_endian = order == '>' && size > 1;
    return UNSEEN_OK;
}

static unseen_status read_order(parser *p) {
    char word[8];
    p->at += read_word(p, word, sizeof word);
    p->header->fortran = strcmp(word, "True") == 0;
    if (p->header->fortran || strcmp(word, "False") == 0) return UNSEEN_OK;
    return expected(p, "True or False after 'fortran_order'");
}

static unseen_status read_dimension(parser *p, int64_t *dimension) {
    if (take(p, '-'))
        return us_fail(p->error, UNSEEN_BAD_INPUT,
                       "%s: damaged .npy header: a negative dimension in its shape", p->path);
    const unsigned char *first = p->at;
    for (*dimension = 0; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
        if (__builtin_mul_overflow(*dimension, 10, dimension) ||
            __builtin_add_overflow(*dimension, *p->at - '0', dimension))
            return us_fail(p->error, UNSEEN_BAD_INPUT,
                           "%s: damaged .npy header: a dimension in its shape is larger than any "
                           "memory",
                           p->path);
    }
    if (p->at == first) return expected(p, "a dimension");
    if (p->at < p->end && *p->at == 'L') p->at++; /* Python 2 wrote long integers so */
    return UNSEEN_OK;
}

static unseen_status read_shape(parser *p) {
    us_array_header *header = p->header;
    header->rank = 0;
    if (!take(p, '(')) return expected(p, "a shape in parentheses");
    bool comma = false;
    while (!take(p, ')')) {
        if (header->rank > 0 && !comma) return expected(p, "',' or ')'");
        if (header->rank == US_ARRAY_MAX_RANK)
            return us_fail(p->error, UNSEEN_BAD_INPUT, "%s: its shape has more than %d dimensions",
                           p->path, US_ARRAY_MAX_RANK);
        US_TRY(read_dimension(p, &header->dims[header->rank]));
        header->rank++;
        comma = take(p, ',');
    }
    if (header->rank == 1 && !comma) return expected(p, "',' in the shape of one dimension");
    return UNSEEN_OK;
}

static unseen_status read_dict(parser *p) {
    static const struct {
        const char *name;
        unseen_status (*read)(parser *p);
    } keys[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    bool seen[KEYS] = {false};
    if (!take(p, '{')) return expected(p, "'{'");
    bool comma = true;
    while (!take(p, '}')) {
        if (!comma) return expected(p, "',' or '}'");
        char name[32];
        US_TRY(read_string(p, name, sizeof name, "a key in quotes"));
        size_t k = 0;
        while (k < KEYS && strcmp(name, keys[k].name) != 0)
            k++;
        if (k == KEYS || seen[k])
            return us_fail(p->error, UNSEEN_BAD_INPUT, "%s: damaged .npy header: %s key '%s'",
                           p->path, k == KEYS ? "unknown" : "repeated", name);
        seen[k] = true;
        if (!take(p, ':')) return expected(p, "':'");
        US_TRY(keys[k].read(p));
        comma = take(p, ',');
    }
    for (size_t k = 0; k < KEYS; k++) {
        if (!seen[k])
            return us_fail(p->error, UNSEEN_BAD_INPUT, "%s: damaged .npy header: no key '%s'",
                           p->path, keys[k].name);
    }
    skip_space(p);
    return p->at == p->end ? UNSEEN_OK : expected(p, "spaces after '}'");
}

unseen_status us_npy_header(const unsigned char *bytes, size_t size, const char *path,
                            us_array_header *header, unseen_error *error) {
    *header = (us_array_header){.format = US_ARRAY_NPY};
    size_t start = size > 6 && bytes[6] > 1 ? 12 : 10;
    if (size < start)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: truncated: a .npy file starts with %zu bytes before its header, and "
                       "only %zu are there",
                       path, start, size);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: .npy format version %d.%d; versions 1.0, 2.0 and 3.0 are accepted",
                       path, bytes[6], bytes[7]);
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (start == 12) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (start + length > US_ARRAY_MAX_HEADER)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its .npy header is %zu bytes long; an array of plain numbers needs "
                       "fewer than %d",
                       path, length, US_ARRAY_MAX_HEADER);
    if (length > size - start)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: truncated: its .npy header is %zu bytes long, and only %zu are there",
                       path, length, size - start);
    parser p = {.start = bytes + start,
                .at = bytes + start,
                .end = bytes + start + length,
                .path = path,
                .header = header,
                .error = error};
    US_TRY(read_dict(&p));
    header->offset = start + length;
    return us_array_measure(header, path, error);
}

void us_npy_write_header(const char *type, int axes, const int64_t *dims,
                         char header[US_NPY_HEADER]) {
    enum { START = 10 };
    char last[24] = "";
    if (axes == 4) snprintf(last, sizeof last, ", %lld", (long long)dims[3]);
    memset(header, ' ', US_NPY_HEADER);
    memcpy(header, magic, sizeof magic);
    memcpy(header + sizeof magic, (char[]){1, 0, US_NPY_HEADER - START, 0}, 4);
    int length = snprintf(header + START, US_NPY_HEADER - START,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%lld, %lld, "
                          "%lld%s), }",
                          type, (long long)dims[0], (long long)dims[1], (long long)dims[2], last);
    header[START + length] = ' ';
    header[US_NPY_HEADER - 1] = '\n';
}
