/* SPDX-License-Identifier: MIT */
#include <float.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static us_json parse(const char *text) {
    us_json root;
    unseen_error error = {0};
    us_json_parse(text, strlen(text), "a.json", &root, &error);
    assert_string_equal(error.message, "");
    assert_non_null(root.value);
    return root;
}

/* ---- parsing ---- */

static void accepts_json(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0.5e-3",
        "\"\"",
        " [ ] ",
        "{}",
        "null",
        "[true,false,null]",
        "\t\r\n1\n",
        "\"\\u00e9\\ud83d\\ude00\\n\"",
        "{\"\":{\"\":1}}",
        "\"\xC3\xA9\xF0\x9F\x98\x80\"",
        "\xEF\xBB\xBF{}",
        "1e308",
        "{\"a\":1,\"A\":2}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cJSON_Delete(parse(texts[i]).value);
}

static void names_line_and_column(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "line 1, column 1: expected a value, found the end of the text"},
        {" \n ", "line 2, column 2: expected a value, found the end of the text"},
        {"{\n  \"a\": 1\n  \"b\": 2\n}", "line 3, column 3: expected ',' or '}', found \"b\": 2"},
        {"{\"a\":1,}",
         "line 1, column 8: expected a key in double quotes, found } (JSON allows no comma"},
        {"[1,\n]", "line 2, column 1: expected a value, found ] (JSON allows no comma before it)"},
        {"[1 2]", "line 1, column 4: expected ',' or ']', found 2]"},
        {"[1}", "line 1, column 3: expected ',' or ']', found }"},
        {"{]", "line 1, column 2: expected a key in double quotes or '}', found ]"},
        {"{\"a\" 1}", "line 1, column 6: expected ':' after the key, found 1}"},
        {"{\"a\":}", "line 1, column 6: expected a value, found }"},
        {"{a:1}", "line 1, column 2: expected a key in double quotes or '}', found a:1}"},
        {"{'a':1}", "line 1, column 2: expected a key in double quotes or '}', found 'a':1}"},
        {"{\"a\":[\n1", "line 2, column 2: expected ',' or ']', found the end of the text; the '[' "
                        "of line 1, column 6 is still open"},
        {"{} x", "line 1, column 4: expected nothing more after the value, found x"},
        {"{}{}", "line 1, column 3: expected nothing more after the value, found {}"},
        {"1,", "line 1, column 2: expected nothing more"},
        {"// c\n1", "line 1, column 1: expected a value, found // c (JSON has no comments)"},
        {"\"abc", "line 1, column 1: the string that begins here has no closing quote"},
        {"[\"a\nb\"]", "line 1, column 2: the string that begins here has no closing quote"},
        {"\"\xC3\xA9\t\"", "line 1, column 3: control character 0x09 in a string"},
        {"\"\\x\"", "line 1, column 2: unknown escape"},
        {"\"\\", "line 1, column 2: unknown escape"},
        {"\"\\u12g4\"", "expected four hexadecimal digits"},
        {"\"\\u00", "expected four hexadecimal digits"},
        {"\"\\u0000\"", "\\u0000 is not allowed"},
        {"\"\\ud800\"", "half of a surrogate pair"},
        {"\"\\udc00\\ud800\"", "half of a surrogate pair"},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
        {"\"\xFF\"", "line 1, column 2: byte 0xff is not UTF-8"},
        {"\"\xC0\xAF\"", "byte 0xc0 is not UTF-8"},
        {"\"\xED\xA0\x80\"", "byte 0xed is not UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "byte 0xf4 is not UTF-8"},
        {"01", "line 1, column 1: 01 is not a number in JSON"},
        {"-", "- is not a number"},
        {"1.", "1. is not a number"},
        {"1e+", "1e+ is not a number"},
        {"-x", "- is not a number"},
        {"[+1]", "line 1, column 2: expected a value or ']', found +1]"},
        {"[.5]", "line 1, column 2: expected a value or ']'"},
        {"NaN", "expected a value, found NaN"},
        {"Infinity", "expected a value, found Infinity"},
        {"tru", "expected a value, found tru"},
        {"truex", "line 1, column 5: expected nothing more"},
        {"\x01", "line 1, column 1: expected a value, found byte 0x01"},
        {"[\"a\", \x1B[31m", "found byte 0x1b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        us_json root;
        unseen_error error = {0};
        assert_int_equal(
            us_json_parse(cases[i].text, strlen(cases[i].text), "a.json", &root, &error),
            UNSEEN_BAD_INPUT);
        assert_null(root.value);
        assert_contains(error.message, cases[i].message);
        assert_int_equal(strncmp(error.message, "a.json: line ", 13), 0);
    }
}

static void refuses_embedded_nul(void **state) {
    (void)state;
    us_json root;
    unseen_error error = {0};
    assert_int_equal(us_json_parse("{}\0{}", 5, "a.json", &root, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "line 1, column 3");
    assert_int_equal(us_json_parse("\"a\0\"", 4, "a.json", &root, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "control character 0x00");
}

static void refuses_deep_nesting(void **state) {
    (void)state;
    static char text[300001];
    for (int depth = 63; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        us_json root;
        unseen_error error = {0};
        unseen_status status = us_json_parse(text, 2 * (size_t)depth, "a.json", &root, &error);
        assert_int_equal(status, depth <= 64 ? UNSEEN_OK : UNSEEN_BAD_INPUT);
        if (depth > 64) assert_contains(error.message, "column 65: nested deeper than 64 levels");
        cJSON_Delete(root.value);
    }
    memset(text, '[', 300000);
    us_json root;
    assert_int_equal(us_json_parse(text, 300000, "a.json", &root, NULL), UNSEEN_BAD_INPUT);
}

static void refuses_what_only_the_tree_shows(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"a\":1,\"b\":2,\"a\":3}", "a.json: /a: the key is given twice"},
        {"[0,{\"x/y\":{\"~\":1,\"b\":2,\"\\u007e\":3}}]",
         "a.json: /1/x~1y/~0: the key is given twice"},
        {"{\"a\":[1,-1e999]}", "a.json: /a/1: the number is too large"},
        {"1e400", "a.json: the number is too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        us_json root;
        unseen_error error = {0};
        assert_int_equal(
            us_json_parse(cases[i].text, strlen(cases[i].text), "a.json", &root, &error),
            UNSEEN_BAD_INPUT);
        assert_null(root.value);
        assert_string_equal(error.message, cases[i].message);
    }
    char digits[80] = {0};
    us_json root;
    unseen_error error = {0};
    memset(digits, '1', 63);
    cJSON_Delete(parse(digits).value);
    digits[63] = '1';
    assert_int_equal(us_json_parse(digits, 64, "a.json", &root, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "more than 63 characters");
}

/* A hundred thousand keys must not take quadratic time, whatever they are. */
static void many_keys_are_quick(void **state) {
    (void)state;
    size_t size;
    char *text;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; i < 100000; i++)
        fprintf(out, "%c\"k%d\":[]", i ? ',' : '{', i);
    fputs(",\"k5\":0}", out);
    fclose(out);
    us_json root;
    unseen_error error = {0};
    assert_int_equal(us_json_parse(text, size, "a.json", &root, &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "a.json: /k5: the key is given twice");
    free(text);
}

static void loads_files(void **state) {
    (void)state;
    us_json root;
    unseen_error error = {0};
    assert_int_equal(us_json_load("/none/a.json", &root, &error), UNSEEN_BAD_INPUT);
    assert_null(root.value);
    assert_string_equal(error.message, "/none/a.json: cannot open: No such file or directory");
    assert_int_equal(us_json_load("/dev/null", &root, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "/dev/null: is a device");
    assert_int_equal(us_json_load("/dev/zero", &root, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "/dev/zero: is a device");
}

/* ---- cursors ---- */

static void cursors_know_their_place(void **state) {
    (void)state;
    us_json root = parse("{\"a/b\":[10,{\"~\":true}],\"s\":1}");
    us_json list = us_json_member(&root, "a/b"), second = us_json_element(&list, 1);
    us_json leaf = us_json_member(&second, "~");
    assert_string_equal(leaf.pointer, "/a~1b/1/~0");
    assert_true(cJSON_IsTrue(leaf.value));
    assert_null(us_json_element(&list, 2).value);
    assert_null(us_json_element(&list, -1).value);
    assert_null(us_json_element(&root, 0).value);
    assert_null(us_json_member(&list, "0").value);
    assert_null(us_json_member(&root, "S").value);
    assert_null(us_json_member(&leaf, "x").value);
    us_json absent = us_json_member(&root, "none");
    assert_null(us_json_member(&absent, "x").value);
    assert_string_equal(us_json_member(&absent, "x").pointer, "/none/x");

    us_json added = us_json_member_object(&root, "new");
    assert_true(cJSON_IsObject(added.value));
    assert_ptr_equal(us_json_member_object(&root, "new").value, added.value);
    us_json scalar = us_json_member_object(&root, "s");
    assert_true(cJSON_IsNumber(scalar.value));
    assert_null(us_json_member_object(&scalar, "x").value);
    assert_null(scalar.value->child);
    cJSON_Delete(root.value);
}

/* Whatever the names, the pointer ends and stays within its array. */
static void long_pointers_are_cut(void **state) {
    (void)state;
    us_json at = {.file = "a.json"};
    char name[300] = {0};
    for (size_t length = 0; length < sizeof name - 1; length++) {
        memset(name, '~', length);
        us_json child = us_json_member(&at, name);
        assert_true(strlen(child.pointer) < sizeof child.pointer);
        if (length > 200) assert_contains(child.pointer, "/...");
        for (int i = 0; i < 200; i++) {
            child = us_json_member(&child, "abc");
            assert_true(strlen(child.pointer) < sizeof child.pointer);
        }
    }
    unseen_error error = {0};
    us_json evil = us_json_member(&at, "\x1B[31m");
    us_json_fail(&evil, &error, "x");
    assert_string_equal(error.message, "a.json: /?[31m: x");
    assert_int_equal(us_json_fail(&at, &error, "bad %d", 3), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "a.json: bad 3");
}

static void finds_the_nearest(void **state) {
    (void)state;
    static const char *const words[] = {"epochs", "batch", "optimizer", "learning_rate",
                                        "adam",   "sgd",   "k",         NULL};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"epoch", "epochs"},
        {"Epochs", "epochs"},
        {"bacth", "batch"},
        {"optimiser", "optimizer"},
        {"opt", "optimizer"},
        {"learningRate", "learning_rate"},
        {"lr", NULL},
        {"adm", "adam"},
        {"x", NULL},
        {"", NULL},
        {"momentum", NULL},
        {"sdg", "sgd"},
        {"batch_size", "batch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases - 1; i++) {
        const char *nearest = unseen_nearest(cases[i].word, words);
        if (cases[i].nearest) {
            assert_non_null(nearest);
            assert_string_equal(nearest, cases[i].nearest);
        } else {
            assert_null(nearest);
        }
    }
    char word[200] = {0};
    memset(word, 'e', sizeof word - 1);
    assert_null(unseen_nearest(word, words));
}

/* ---- overrides ---- */

static void check_override(const char *text, const char *override, const char *expected) {
    us_json root = parse(text);
    unseen_error error = {0};
    us_json_override(&root, override, &error);
    assert_string_equal(error.message, "");
    us_json want = parse(expected);
    if (!cJSON_Compare(root.value, want.value, true)) {
        char *got = us_json_print(root.value);
        fail_msg("%s of %s gave %s", override, text, got);
    }
    cJSON_Delete(want.value);
    cJSON_Delete(root.value);
}

static void overrides(void **state) {
    (void)state;
    check_override("{}", "/a=1", "{\"a\":1}");
    check_override("{}", "a=1", "{\"a\":1}");
    check_override("{\"a\":{\"b\":1}}", "/a/b=64", "{\"a\":{\"b\":64}}");
    check_override("{\"a\":1}", "/A=2", "{\"a\":1,\"A\":2}");
    check_override("{}", "/a/b/c=true", "{\"a\":{\"b\":{\"c\":true}}}");
    check_override("{}", "/a=\"3\"", "{\"a\":\"3\"}");
    check_override("{}", "/a=bare text", "{\"a\":\"bare text\"}");
    check_override("{}", "/a=", "{\"a\":\"\"}");
    check_override("{}", "/a=x=y", "{\"a\":\"x=y\"}");
    check_override("{}", "/a={\"b\":[1,null]}", "{\"a\":{\"b\":[1,null]}}");
    check_override("{}", "/a={\"b\":1,\"b\":2}", "{\"a\":\"{\\\"b\\\":1,\\\"b\\\":2}\"}");
    check_override("{}", "/a~1b/~0=1", "{\"a/b\":{\"~\":1}}");
    check_override("{}", "/~01=1", "{\"~1\":1}");
    check_override("{\"a\":[1,2,3]}", "/a/1=9", "{\"a\":[1,9,3]}");
    check_override("{\"a\":[]}", "/a/-=9", "{\"a\":[9]}");
    check_override("{\"a\":[0]}", "/a/-/b=9", "{\"a\":[0,{\"b\":9}]}");
    check_override("{\"a\":[{\"b\":1}]}", "/a/0/b=9", "{\"a\":[{\"b\":9}]}");
    check_override("{\"a\":{}}", "/a/0=9", "{\"a\":{\"0\":9}}");
    check_override("{\"a\":1}", "/a={}", "{\"a\":{}}");
}

static void refuses_bad_overrides(void **state) {
    (void)state;
    static const char text[] = "{\"a\":[1,2],\"s\":\"x\"}";
    static const struct {
        const char *override, *message;
    } cases[] = {
        {"a", "override a: expected KEY=VALUE, for example /training/batch=64"},
        {"=3", "override =3: expected KEY=VALUE"},
        {"/=3", "override /=3: expected KEY=VALUE"},
        {"", "expected KEY=VALUE"},
        {"/a/2=1", "a.json: /a: override /a/2=1: the array has 2 elements; expected an index below "
                   "that, or \"-\" to append, found \"2\""},
        {"/a/x=1", "found \"x\""},
        {"/a/01=1", "found \"01\""},
        {"/a/-1=1", "found \"-1\""},
        {"/a/+1=1", "found \"+1\""},
        {"/a/1x=1", "found \"1x\""},
        {"/a/99999999999999999999=1", "found \"99999999999999999999\""},
        {"/a/=1", "found \"\""},
        {"/s/b=1", "a.json: /s: override /s/b=1: expected an object or an array, found \"x\""},
        {"/new/~2=1", "'~' must be written ~0"},
        {"/new/~=1", "'~' must be written ~0"},
        {"/new=\xFF", "the value is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        us_json root = parse(text), before = parse(text);
        unseen_error error = {0};
        assert_int_equal(us_json_override(&root, cases[i].override, &error), UNSEEN_BAD_INPUT);
        assert_contains(error.message, cases[i].message);
        assert_true(cJSON_Compare(root.value, before.value, true));
        cJSON_Delete(root.value);
        cJSON_Delete(before.value);
    }
}

/* What an override makes can still be read back: no deeper than a text may be. */
static void overrides_stay_shallow(void **state) {
    (void)state;
    char override[300];
    for (int depth = 63; depth <= 65; depth++) {
        override[0] = '\0';
        for (int i = 0; i < depth; i++)
            strcat(override, "/a");
        strcat(override, "=1");
        us_json root = parse("{}");
        unseen_error error = {0};
        assert_int_equal(us_json_override(&root, override, &error),
                         depth <= 64 ? UNSEEN_OK : UNSEEN_BAD_INPUT);
        cJSON_Delete(root.value);
    }
    us_json root = parse("{}");
    unseen_error error = {0};
    strcpy(override, "/a=");
    memset(override + 3, '[', 64);
    memset(override + 67, ']', 64);
    override[131] = '\0';
    assert_int_equal(us_json_override(&root, override, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "nested deeper than 64");
    cJSON_Delete(root.value);
}

/* ---- printing ---- */

static void prints_every_digit(void **state) {
    (void)state;
    static const double numbers[] = {0.1,
                                     1.0 / 3,
                                     0.1 + 0.2,
                                     1e-300,
                                     DBL_MAX,
                                     DBL_MIN,
                                     5e-324,
                                     123456789012345678.0,
                                     9007199254740991,
                                     -4503599627370497.5,
                                     2.5e-3};
    for (int comma = 0; comma < 2; comma++) {
        if (comma && !setlocale(LC_NUMERIC, "de_DE.UTF-8")) break;
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            cJSON *value = cJSON_CreateNumber(numbers[i]);
            char *text = us_json_print(value);
            us_json again = parse(text);
            assert_true(again.value->valuedouble == numbers[i]);
            cJSON_Delete(again.value);
            cJSON_Delete(value);
            free(text);
        }
    }
    setlocale(LC_NUMERIC, "C");
    cJSON *value = cJSON_CreateNumber(NAN);
    char *text = us_json_print(value);
    assert_string_equal(text, "null\n");
    free(text);
    cJSON_Delete(value);
}

static void prints_documents(void **state) {
    (void)state;
    static const char document[] =
        "{\n"
        "  \"name\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u007f/\xC3\xA9\",\n"
        "  \"empty\": {},\n"
        "  \"none\": [],\n"
        "  \"input\": {\"channels\": 3, \"height\": 64, \"flags\": [true, false, null]},\n"
        "  \"layers\": [\n"
        "    {\"layer\": \"convolution\", \"channels\": 12, \"kernel\": 4, \"stride\": 2, "
        "\"padding\": 1},\n"
        "    {\"layer\": \"convolution_transpose\", \"channels\": 12, \"kernel\": 4, \"stride\": "
        "2, \"p\": 1}\n"
        "  ]\n"
        "}\n";
    us_json root = parse(document);
    char *text = us_json_print(root.value);
    assert_string_equal(text, document);
    free(text);
    cJSON_Delete(root.value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_json),
        cmocka_unit_test(names_line_and_column),
        cmocka_unit_test(refuses_embedded_nul),
        cmocka_unit_test(refuses_deep_nesting),
        cmocka_unit_test(refuses_what_only_the_tree_shows),
        cmocka_unit_test(many_keys_are_quick),
        cmocka_unit_test(loads_files),
        cmocka_unit_test(cursors_know_their_place),
        cmocka_unit_test(long_pointers_are_cut),
        cmocka_unit_test(finds_the_nearest),
        cmocka_unit_test(overrides),
        cmocka_unit_test(refuses_bad_overrides),
        cmocka_unit_test(overrides_stay_shallow),
        cmocka_unit_test(prints_every_digit),
        cmocka_unit_test(prints_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
