/* SPDX-License-Identifier: MIT */
/* Checked access to JSON: every object is read through a table of its keys, and the same tables
 * give the JSON Schema and the resolved config. Parsing itself is cJSON's. */
#ifndef US_BASE_JSON_H
#define US_BASE_JSON_H

#include <cjson/cJSON.h>

#include "base/error.h"

/* A value and where it stands, for messages like
 * "configs/a.json: /training/batch: expected an integer from 1 to 65536, found \"many\"". */
typedef struct us_json {
    cJSON *value;
    const char *file;  /* as shown in messages; outlives the cursor */
    char pointer[256]; /* JSON Pointer of value; "" is the root */
} us_json;

typedef enum us_key_kind {
    US_KEY_INT,     /* int */
    US_KEY_INT64,   /* int64_t */
    US_KEY_NUMBER,  /* double */
    US_KEY_BOOL,    /* bool */
    US_KEY_STRING,  /* char * (heap, NULL when absent and no fallback); us_json_release frees it */
    US_KEY_CHOICE,  /* int: index into choices */
    US_KEY_CHOICES, /* unsigned, bit i for choices[i]: an array of at least one, none twice */
    US_KEY_INTS,    /* int[count]: an array of count integers, or one integer for all of them */
    US_KEY_NUMBERS, /* double[count]: likewise */
    US_KEY_OBJECT,  /* read by `members`; without them not stored: its owner reads it through
                       us_json_member */
    US_KEY_ARRAY,   /* not stored; likewise */
    US_KEY_END,
} us_key_kind;

/* One key of an object. Tables end with {.kind = US_KEY_END}. */
typedef struct us_key {
    const char *name;
    us_key_kind kind;
    size_t offset; /* into the struct that us_json_read fills */
    bool required; /* otherwise the fallback stands in, and is written into the resolved config */
    double minimum, maximum;      /* numbers; inclusive. Both 0: no limit */
    bool above_minimum;           /* the minimum itself is excluded */
    double fallback[4];           /* numbers (INTS, NUMBERS: one each), bools (0/1), choices (index;
                                     CHOICES: the bits); within the limits, as it is read like any
                                     other value */
    const char *fallback_string;  /* strings; NULL: absent */
    const char *const *choices;   /* NULL-terminated */
    int count;                    /* of US_KEY_INTS and US_KEY_NUMBERS; at most 4 */
    const struct us_key *members; /* of US_KEY_OBJECT: its table, for the struct at `offset`; an
                                     absent object is then one with every fallback */
    const char *help;             /* one sentence; the schema's description */
} us_key;

/* Parses text. A syntax error names file, line and column. Nesting deeper than 64, duplicate keys
 * and text after the value are errors. The caller frees root->value with cJSON_Delete. */
unseen_status us_json_parse(const char *text, size_t length, const char *file, us_json *root,
                            unseen_error *error);

/* Reads and parses a file; `file` must outlive root. At most 16 MiB. */
unseen_status us_json_load(const char *file, us_json *root, unseen_error *error);

/* Applies one override, "/a/b=VALUE" or "a/b=VALUE": VALUE is JSON, or else a bare string. Objects
 * on the way are created; an array index must exist (or be "-" to append). */
unseen_status us_json_override(us_json *root, const char *override, unseen_error *error);

/* Reads an object by its table into `out` (zeroed first). Unknown keys (with "did you mean"),
 * missing required ones and wrong types or ranges are errors. Keys starting with '$' are ignored.
 * Absent keys with a fallback are added to the object, which so becomes the resolved one.
 * On failure nothing in `out` needs releasing. */
unseen_status us_json_read(us_json *object, const us_key *keys, void *out, unseen_error *error);
void us_json_release(const us_key *keys, void *out); /* frees the strings */

/* Member of an object or element of an array, with its pointer. member->value is NULL if absent. */
us_json us_json_member(const us_json *object, const char *name);
us_json us_json_element(const us_json *array, int index);

/* As us_json_element, of a value that is at hand: cJSON counts from the first one, which takes its
 * time in arrays of thousands. */
us_json us_json_child(const us_json *array, int index, cJSON *value);

/* As us_json_member, and an absent member is added as an empty object first. NULL value: no memory.
 */
us_json us_json_member_object(us_json *object, const char *name);

/* "file: pointer: message" with UNSEEN_BAD_INPUT. */
unseen_status us_json_fail(const us_json *at, unseen_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* A JSON Schema (draft 2020-12) object for a table: properties, required, additionalProperties
 * false. Objects without members and arrays are left as {"type": ...} for the caller to replace.
 * NULL: no memory. */
cJSON *us_json_schema(const us_key *keys);

/* Puts the schema of an object in the place that its owner's schema left open, and takes it over.
 * member NULL, or false: no memory. */
bool us_json_schema_replace(cJSON *schema, const char *name, cJSON *member);

/* Bytes of the UTF-8 character at the start of text, 0 if there is none that is well formed. */
size_t us_utf8_length(const unsigned char *text, size_t length);
bool us_utf8_valid(const char *text);

/* What stands for bytes that are no UTF-8, where any text is shown: U+FFFD. */
#define US_UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* UNSEEN_BAD_INPUT where a path is no UTF-8, and so cannot be kept in JSON to be read again. */
unseen_status us_json_check_name(const char *path, unseen_error *error);

/* Add members that may be unknown: null for a number that is not finite, as JSON has no NaN,
 * and for a text that is NULL. false: no memory. */
bool us_json_add_number(cJSON *object, const char *name, double value);
bool us_json_add_string(cJSON *object, const char *name, const char *text);

/* Appends a text to the array `name` of the object, which is made where there is none. */
bool us_json_append_string(cJSON *object, const char *name, const char *text);

/* Formatted text of a document, ending in a newline, freed with unseen_string_free; NULL: no
 * memory. Numbers keep every digit that a double needs. The text is UTF-8 whatever the strings are.
 */
char *us_json_print(const cJSON *value);

/* The same on one line, without the newline. (cJSON's own printing drops last digits.) */
char *us_json_print_line(const cJSON *value);

#endif
