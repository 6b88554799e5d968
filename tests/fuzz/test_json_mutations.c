/* SPDX-License-Identifier: MIT */
/* A config damaged in every place must be read or refused, never crash. Worth most under
 * AddressSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"

typedef struct values {
    int epochs, kind, kernel[2];
    int64_t seed;
    double rate;
    bool flip;
    char *name;
} values;

static const char *const kinds[] = {"sgd", "adam", NULL};

static const us_key keys[] = {
    {.name = "name", .kind = US_KEY_STRING, .offset = offsetof(values, name), .required = true},
    {.name = "epochs",
     .kind = US_KEY_INT,
     .offset = offsetof(values, epochs),
     .minimum = 1,
     .maximum = 1000,
     .fallback = {5}},
    {.name = "seed", .kind = US_KEY_INT64, .offset = offsetof(values, seed)},
    {.name = "rate", .kind = US_KEY_NUMBER, .offset = offsetof(values, rate), .fallback = {1}},
    {.name = "flip", .kind = US_KEY_BOOL, .offset = offsetof(values, flip)},
    {.name = "kind", .kind = US_KEY_CHOICE, .offset = offsetof(values, kind), .choices = kinds},
    {.name = "kernel", .kind = US_KEY_INTS, .offset = offsetof(values, kernel), .count = 2},
    {.name = "list", .kind = US_KEY_ARRAY},
    {.kind = US_KEY_END},
};

static const char good[] = "{\n  \"$schema\": \"./s.json\",\n"
                           "  \"name\": \"caf\\u00e9 \xC3\xA9 \\ud83d\\ude00 \\\"q\\\"\",\n"
                           "  \"epochs\": 50, \"seed\": -12, \"rate\": 1.5e-3,\n"
                           "  \"flip\": true, \"kind\": \"adam\", \"kernel\": [3, 5],\n"
                           "  \"list\": [[], {}, {\"a\": null}, [[false]]]\n}\n";
enum { LENGTH = sizeof good - 1 };

/* The text is in a block of its very size, so that a read beyond it is seen. A text that reads must
 * also print, and what is printed must read as the same. */
static bool feed(const char *bytes, size_t length) {
    char *text = malloc(length ? length : 1);
    assert_non_null(text);
    memcpy(text, bytes, length);
    us_json root;
    unseen_error error = {0};
    values v;
    bool read = us_json_parse(text, length, "fuzz.json", &root, &error) == UNSEEN_OK;
    assert_true(read || (error.status == UNSEEN_BAD_INPUT && error.message[0]));
    if (read) {
        read = us_json_read(&root, keys, &v, &error) == UNSEEN_OK;
        if (read) us_json_release(keys, &v);
        char *first = us_json_print(root.value);
        assert_non_null(first);
        us_json again;
        assert_int_equal(us_json_parse(first, strlen(first), "again", &again, &error), UNSEEN_OK);
        char *second = us_json_print(again.value);
        assert_string_equal(first, second);
        free(first);
        free(second);
        cJSON_Delete(again.value);
    }
    cJSON_Delete(root.value);
    free(text);
    return read;
}

static void truncated(void **state) {
    (void)state;
    assert_true(feed(good, LENGTH));
    /* The last newline and nothing else can go. */
    for (size_t length = 0; length < LENGTH - 1; length++)
        assert_false(feed(good, length));
    assert_true(feed(good, LENGTH - 1));
}

static void every_byte_replaced(void **state) {
    (void)state;
    char text[LENGTH];
    for (size_t at = 0; at < LENGTH; at++) {
        memcpy(text, good, LENGTH);
        for (int byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            feed(text, LENGTH);
        }
    }
}

static void every_byte_removed_or_doubled(void **state) {
    (void)state;
    char text[LENGTH + 1];
    for (size_t at = 0; at < LENGTH; at++) {
        memcpy(text, good, at);
        memcpy(text + at, good + at + 1, LENGTH - at - 1);
        feed(text, LENGTH - 1);
        memcpy(text, good, at + 1);
        memcpy(text + at + 1, good + at, LENGTH - at);
        feed(text, LENGTH + 1);
    }
}

/* Tokens in any order, from a small generator of pseudo-random numbers. */
static void shuffled_tokens(void **state) {
    (void)state;
    static const char *const tokens[] = {
        "{",   "}",    "[",       "]",    ",",         ":",          "\"name\"", "\"",
        "1e9", "-",    "true",    "null", "\\",        "\"kernel\"", " ",        "\n",
        "0.5", "\xC3", "\\u0000", "[]",   "{\"a\":1}", "1",          "\"\"",     "1e999"};
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char text[256] = "";
        for (int count = i % 16; count >= 0; count--) {
            random = random * 1664525 + 1013904223;
            strcat(text, tokens[(random >> 8) % (sizeof tokens / sizeof *tokens)]);
        }
        feed(text, strlen(text));
        us_json root = {.value = cJSON_CreateObject(), .file = "fuzz.json"};
        char override[300] = "/a/b=";
        override[1 + i % 4] = text[0];
        strcat(override, text);
        us_json_override(&root, override, NULL);
        cJSON_Delete(root.value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated),
        cmocka_unit_test(every_byte_replaced),
        cmocka_unit_test(every_byte_removed_or_doubled),
        cmocka_unit_test(shuffled_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
