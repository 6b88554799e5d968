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

/* ---- tables ---- */

typedef struct values {
    int batch, optimizer, kernel[2];
    int64_t seed;
    double rate, betas[2], free;
    bool flip;
    char *name, *note;
} values;

static const char *const optimizers[] = {"sgd", "adam", "adamw", NULL};

static const us_key keys[] = {
    {.name = "batch",
     .kind = US_KEY_INT,
     .offset = offsetof(values, batch),
     .required = true,
     .minimum = 1,
     .maximum = 65536,
     .help = "Images per step."},
    {.name = "seed",
     .kind = US_KEY_INT64,
     .offset = offsetof(values, seed),
     .fallback = {9007199254740991.0}},
    {.name = "rate",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(values, rate),
     .minimum = 0,
     .maximum = 1,
     .above_minimum = true,
     .fallback = {0.001}},
    {.name = "free", .kind = US_KEY_NUMBER, .offset = offsetof(values, free)},
    {.name = "flip", .kind = US_KEY_BOOL, .offset = offsetof(values, flip), .fallback = {1}},
    {.name = "name",
     .kind = US_KEY_STRING,
     .offset = offsetof(values, name),
     .fallback_string = "run"},
    {.name = "note", .kind = US_KEY_STRING, .offset = offsetof(values, note)},
    {.name = "optimizer",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(values, optimizer),
     .choices = optimizers,
     .fallback = {1}},
    {.name = "kernel",
     .kind = US_KEY_INTS,
     .offset = offsetof(values, kernel),
     .minimum = 1,
     .maximum = 64,
     .count = 2,
     .fallback = {3, 5}},
    {.name = "betas",
     .kind = US_KEY_NUMBERS,
     .offset = offsetof(values, betas),
     .count = 2,
     .fallback = {0.9, 0.999}},
    {.name = "data", .kind = US_KEY_OBJECT},
    {.name = "list", .kind = US_KEY_ARRAY},
    {.kind = US_KEY_END},
};

typedef struct nested {
    double before;
    struct inner {
        char *name;
        double share;
    } inner;
    unsigned kinds;
} nested;

static const us_key inner_keys[] = {
    {.name = "name", .kind = US_KEY_STRING, .offset = offsetof(struct inner, name)},
    {.name = "share",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(struct inner, share),
     .maximum = 1,
     .fallback = {0.25}},
    {.kind = US_KEY_END},
};

static const us_key nested_keys[] = {
    {.name = "inner",
     .kind = US_KEY_OBJECT,
     .offset = offsetof(nested, inner),
     .members = inner_keys,
     .help = "More."},
    {.name = "kinds",
     .kind = US_KEY_CHOICES,
     .offset = offsetof(nested, kinds),
     .choices = optimizers,
     .fallback = {5}},
    {.name = "before", .kind = US_KEY_NUMBER, .offset = offsetof(nested, before)},
    {.kind = US_KEY_END},
};

static void reads_and_resolves(void **state) {
    (void)state;
    us_json root = parse("{\"$schema\":3,\"batch\":7,\"kernel\":4}");
    values v;
    memset(&v, 0xA5, sizeof v);
    unseen_error error = {0};
    assert_int_equal(us_json_read(&root, keys, &v, &error), UNSEEN_OK);
    assert_int_equal(v.batch, 7);
    assert_true(v.seed == 9007199254740991);
    assert_true(v.rate == 0.001 && v.free == 0 && v.flip);
    assert_string_equal(v.name, "run");
    assert_null(v.note);
    assert_int_equal(v.optimizer, 1);
    assert_int_equal(v.kernel[0], 4);
    assert_int_equal(v.kernel[1], 4);
    assert_true(v.betas[0] == 0.9 && v.betas[1] == 0.999);
    us_json_release(keys, &v);
    assert_null(v.name);
    char *text = us_json_print(root.value);
    assert_string_equal(text,
                        "{\n  \"$schema\": 3,\n  \"batch\": 7,\n  \"kernel\": 4,\n"
                        "  \"seed\": 9007199254740991,\n  \"rate\": 0.001,\n  \"free\": 0,\n"
                        "  \"flip\": true,\n  \"name\": \"run\",\n  \"optimizer\": \"adam\",\n"
                        "  \"betas\": [0.9, 0.999]\n}\n");

    /* The resolved object reads back as itself. */
    us_json again = parse(text);
    assert_int_equal(us_json_read(&again, keys, &v, &error), UNSEEN_OK);
    us_json_release(keys, &v);
    char *second = us_json_print(again.value);
    assert_string_equal(text, second);
    free(text);
    free(second);
    cJSON_Delete(again.value);
    cJSON_Delete(root.value);
}

static void reads_every_kind(void **state) {
    (void)state;
    us_json root =
        parse("{\"batch\":65536,\"seed\":-9007199254740991,\"rate\":1,\"free\":-1e300,"
              "\"flip\":false,\"name\":\"\",\"note\":\"n\\u00e9\",\"optimizer\":\"adamw\","
              "\"kernel\":[1,64.0],\"betas\":0.5,\"data\":{\"x\":1},\"list\":[1]}");
    values v;
    unseen_error error = {0};
    assert_int_equal(us_json_read(&root, keys, &v, &error), UNSEEN_OK);
    assert_int_equal(v.batch, 65536);
    assert_true(v.seed == -9007199254740991 && v.rate == 1 && v.free == -1e300 && !v.flip);
    assert_string_equal(v.name, "");
    assert_string_equal(v.note, "n\xC3\xA9");
    assert_int_equal(v.optimizer, 2);
    assert_int_equal(v.kernel[0], 1);
    assert_int_equal(v.kernel[1], 64);
    assert_true(v.betas[0] == 0.5 && v.betas[1] == 0.5);
    us_json_release(keys, &v);
    cJSON_Delete(root.value);
}

static void reads_tables_within_tables(void **state) {
    (void)state;
    nested v;
    unseen_error error = {0};
    us_json root = parse("{}");
    memset(&v, 0xA5, sizeof v);
    assert_int_equal(us_json_read(&root, nested_keys, &v, &error), UNSEEN_OK);
    assert_true(v.inner.share == 0.25 && v.kinds == 5 && v.before == 0);
    assert_null(v.inner.name);
    char *text = us_json_print_line(root.value);
    assert_string_equal(text, "{\"inner\": {\"share\": 0.25}, \"kinds\": [\"sgd\", \"adamw\"], "
                              "\"before\": 0}");
    free(text);
    cJSON_Delete(root.value);

    root = parse("{\"inner\":{\"name\":\"n\",\"share\":1},\"kinds\":[\"adam\"]}");
    assert_int_equal(us_json_read(&root, nested_keys, &v, &error), UNSEEN_OK);
    assert_string_equal(v.inner.name, "n");
    assert_true(v.inner.share == 1 && v.kinds == 2);
    us_json_release(nested_keys, &v);
    assert_null(v.inner.name);
    cJSON_Delete(root.value);

    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"inner\":3}", "a.json: /inner: expected an object, found 3"},
        {"{\"inner\":{\"name\":\"n\",\"share\":2}}",
         "a.json: /inner/share: expected a number from 0 to 1, found 2"},
        {"{\"inner\":{\"shared\":1}}",
         "a.json: /inner/shared: unknown key; did you mean \"share\"?"},
        {"{\"kinds\":\"sgd\"}",
         "a.json: /kinds: expected an array of at least one name, found \"sgd\""},
        {"{\"kinds\":[]}",
         "a.json: /kinds: expected an array of at least one name, found an array of 0 elements"},
        {"{\"kinds\":[\"sgd\",\"adan\"]}",
         "a.json: /kinds/1: expected one of \"sgd\", \"adam\", \"adamw\", found \"adan\"; did you "
         "mean \"adam\"?"},
        {"{\"kinds\":[\"sgd\",\"sgd\"]}", "a.json: /kinds/1: \"sgd\" is there twice"},
        {"{\"inner\":{\"name\":\"n\"},\"before\":\"x\"}",
         "a.json: /before: expected a number, found \"x\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        root = parse(cases[i].text);
        memset(&v, 0xA5, sizeof v);
        assert_int_equal(us_json_read(&root, nested_keys, &v, &error), UNSEEN_BAD_INPUT);
        assert_string_equal(error.message, cases[i].message);
        assert_null(v.inner.name);
        cJSON_Delete(root.value);
    }
}

static void explains_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"t\":{}}", "/t: the key \"batch\" is missing: Images per step."},
        {"{\"t\":3}", "/t: expected an object, found 3"},
        {"{\"t\":[1]}", "/t: expected an object, found an array of 1 element"},
        {"{\"t\":{\"batch\":\"many\"}}",
         "/t/batch: expected an integer from 1 to 65536, found \"many\""},
        {"{\"t\":{\"batch\":0}}", "/t/batch: expected an integer from 1 to 65536, found 0"},
        {"{\"t\":{\"batch\":65537}}", "/t/batch: expected an integer from 1 to 65536, found 65537"},
        {"{\"t\":{\"batch\":1.5}}", "/t/batch: expected an integer from 1 to 65536, found 1.5"},
        {"{\"t\":{\"batch\":1e300}}",
         "/t/batch: expected an integer from 1 to 65536, found 1e+300"},
        {"{\"t\":{\"batch\":null}}", "/t/batch: expected an integer from 1 to 65536, found null"},
        {"{\"t\":{\"batch\":1,\"seed\":9007199254740992}}",
         "/t/seed: expected an integer from -9007199254740991 to 9007199254740991, found "
         "9007199254740992"},
        {"{\"t\":{\"batch\":1,\"rate\":0}}",
         "/t/rate: expected a number above 0 and at most 1, found 0"},
        {"{\"t\":{\"batch\":1,\"rate\":1.0000000000000002}}",
         "/t/rate: expected a number above 0 and at most 1, found 1.0000000000000002"},
        {"{\"t\":{\"batch\":1,\"free\":true}}", "/t/free: expected a number, found true"},
        {"{\"t\":{\"batch\":1,\"flip\":1}}", "/t/flip: expected true or false, found 1"},
        {"{\"t\":{\"batch\":1,\"name\":{}}}", "/t/name: expected a string, found an object"},
        {"{\"t\":{\"batch\":1,\"note\":null}}", "/t/note: expected a string, found null"},
        {"{\"t\":{\"batch\":1,\"optimizer\":\"adan\"}}",
         "/t/optimizer: expected one of \"sgd\", \"adam\", \"adamw\", found \"adan\"; did you mean "
         "\"adam\"?"},
        {"{\"t\":{\"batch\":1,\"optimizer\":\"x\"}}",
         "/t/optimizer: expected one of \"sgd\", \"adam\", \"adamw\", found \"x\""},
        {"{\"t\":{\"batch\":1,\"optimizer\":1}}",
         "/t/optimizer: expected one of \"sgd\", \"adam\", \"adamw\", found 1"},
        {"{\"t\":{\"batch\":1,\"kernel\":[1,2,3]}}",
         "/t/kernel: expected an integer from 1 to 64, or an array of 2 such, found an array of 3 "
         "elements"},
        {"{\"t\":{\"batch\":1,\"kernel\":\"3x3\"}}",
         "/t/kernel: expected an integer from 1 to 64, or an array of 2 such, found \"3x3\""},
        {"{\"t\":{\"batch\":1,\"kernel\":[1,0]}}",
         "/t/kernel/1: expected an integer from 1 to 64, found 0"},
        {"{\"t\":{\"batch\":1,\"kernel\":65}}",
         "/t/kernel: expected an integer from 1 to 64, found 65"},
        {"{\"t\":{\"batch\":1,\"betas\":[0.1,\"x\"]}}",
         "/t/betas/1: expected a number, found \"x\""},
        {"{\"t\":{\"batch\":1,\"data\":[]}}",
         "/t/data: expected an object, found an array of 0 elements"},
        {"{\"t\":{\"batch\":1,\"list\":{}}}", "/t/list: expected an array, found an object"},
        {"{\"t\":{\"batch\":1,\"optimiser\":\"sgd\"}}",
         "/t/optimiser: unknown key; did you mean \"optimizer\"?"},
        {"{\"t\":{\"batch\":1,\"Batch\":2}}", "/t/Batch: unknown key; did you mean \"batch\"?"},
        {"{\"t\":{\"zzz\":1}}",
         "/t/zzz: unknown key; known keys: \"batch\", \"seed\", \"rate\", \"free\", \"flip\", "
         "\"name\", \"note\", \"optimizer\", \"kernel\", \"betas\", \"data\", \"list\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        us_json root = parse(cases[i].text), object = us_json_member(&root, "t");
        values v;
        memset(&v, 0xA5, sizeof v);
        unseen_error error = {0};
        assert_int_equal(us_json_read(&object, keys, &v, &error), UNSEEN_BAD_INPUT);
        assert_int_equal(strncmp(error.message, "a.json: ", 8), 0);
        assert_string_equal(error.message + 8, cases[i].message);
        assert_null(v.name);
        assert_null(v.note);
        cJSON_Delete(root.value);
    }
}

static void limits_of_every_shape(void **state) {
    (void)state;
    static const us_key limited[] = {
        {.name = "any", .kind = US_KEY_INT},
        {.name = "least",
         .kind = US_KEY_NUMBER,
         .offset = 8,
         .minimum = 1,
         .maximum = INFINITY,
         .fallback = {1}},
        {.name = "most", .kind = US_KEY_NUMBER, .offset = 16, .minimum = -INFINITY, .maximum = 5},
        {.name = "positive",
         .kind = US_KEY_NUMBER,
         .offset = 24,
         .above_minimum = true,
         .fallback = {1}},
        {.kind = US_KEY_END},
    };
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"any\":2147483648}", "an integer from -2147483648 to 2147483647"},
        {"{\"any\":-2147483649}", "an integer from -2147483648 to 2147483647"},
        {"{\"least\":0.5}", "a number of at least 1, found"},
        {"{\"most\":5.5}", "a number of at most 5, found"},
        {"{\"positive\":0}", "a number above 0, found"},
        {"{\"any\":2147483647,\"least\":1e308,\"most\":-1e308,\"positive\":1e-308}", NULL},
        {"{\"any\":-2147483648}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        us_json root = parse(cases[i].text);
        double out[4];
        unseen_error error = {0};
        unseen_status status = us_json_read(&root, limited, out, &error);
        assert_int_equal(status, cases[i].message ? UNSEEN_BAD_INPUT : UNSEEN_OK);
        if (cases[i].message) assert_contains(error.message, cases[i].message);
        cJSON_Delete(root.value);
    }
}

static void found_values_are_made_safe(void **state) {
    (void)state;
    char text[600] = "{\"batch\":\"\\u001b[31m";
    for (int i = 0; i < 100; i++)
        strcat(text, "\xC3\xA9");
    strcat(text, "\"}");
    us_json root = parse(text);
    values v;
    unseen_error error = {0};
    assert_int_equal(us_json_read(&root, keys, &v, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "found \"?[31m\xC3\xA9");
    assert_contains(error.message, "\xC3\xA9...\"");
    assert_true(strlen(error.message) < 200);
    cJSON_Delete(root.value);
}

/* ---- schema ---- */

static void makes_schemas(void **state) {
    (void)state;
    cJSON *schema = us_json_schema(keys);
    assert_non_null(schema);
    us_json expected = parse(
        "{\"type\":\"object\",\"properties\":{"
        "\"batch\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65536,\"description\":\"Images "
        "per step.\"},"
        "\"seed\":{\"type\":\"integer\",\"minimum\":-9007199254740991,\"maximum\":9007199254740991,"
        "\"default\":9007199254740991},"
        "\"rate\":{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":1,\"default\":0.001},"
        "\"free\":{\"type\":\"number\",\"default\":0},"
        "\"flip\":{\"type\":\"boolean\",\"default\":true},"
        "\"name\":{\"type\":\"string\",\"default\":\"run\"},"
        "\"note\":{\"type\":\"string\"},"
        "\"optimizer\":{\"enum\":[\"sgd\",\"adam\",\"adamw\"],\"default\":\"adam\"},"
        "\"kernel\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1,\"maximum\":64},{\"type\":"
        "\"array\","
        "\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":64},\"minItems\":2,\"maxItems\":"
        "2}],\"default\":[3,5]},"
        "\"betas\":{\"anyOf\":[{\"type\":\"number\"},{\"type\":\"array\",\"items\":{\"type\":"
        "\"number\"},"
        "\"minItems\":2,\"maxItems\":2}],\"default\":[0.9,0.999]},"
        "\"data\":{\"type\":\"object\"},\"list\":{\"type\":\"array\"}},"
        "\"required\":[\"batch\"],\"patternProperties\":{\"^[$]\":true},\"additionalProperties\":"
        "false}");
    if (!cJSON_Compare(schema, expected.value, true)) {
        char *text = us_json_print(schema);
        fail_msg("%s", text);
    }
    cJSON_Delete(expected.value);
    cJSON_Delete(schema);
}

static void makes_schemas_within_schemas(void **state) {
    (void)state;
    cJSON *schema = us_json_schema(nested_keys);
    us_json expected = parse(
        "{\"type\":\"object\",\"properties\":{\"inner\":{\"type\":\"object\",\"properties\":{"
        "\"name\":{\"type\":\"string\"},"
        "\"share\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.25}},"
        "\"required\":[],\"patternProperties\":{\"^[$]\":true},\"additionalProperties\":false,"
        "\"description\":\"More.\"},"
        "\"kinds\":{\"type\":\"array\",\"items\":{\"enum\":[\"sgd\",\"adam\",\"adamw\"]},"
        "\"minItems\":1,\"maxItems\":3,\"uniqueItems\":true,\"default\":[\"sgd\",\"adamw\"]},"
        "\"before\":{\"type\":\"number\",\"default\":0}},"
        "\"required\":[],\"patternProperties\":{\"^[$]\":true},\"additionalProperties\":false}");
    if (!cJSON_Compare(schema, expected.value, true)) {
        char *text = us_json_print(schema);
        fail_msg("%s", text);
    }
    cJSON_Delete(expected.value);
    cJSON_Delete(schema);
}

/* ---- memory ---- */

static long allocations_left;

static void *scarce_malloc(size_t size) {
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* The tables within tables, on what is left of that memory. */
static unseen_status everything_nested(unseen_error *error) {
    us_json root = {.value = cJSON_CreateObject(), .file = "a.json"};
    nested v;
    cJSON *schema = NULL;
    unseen_status status = UNSEEN_OK;
    if (!root.value) return us_fail_memory(error, "an object");
    status = us_json_read(&root, nested_keys, &v, error);
    if (status == UNSEEN_OK && !(schema = us_json_schema(nested_keys)))
        status = us_fail_memory(error, "the schema");
    cJSON_Delete(schema);
    cJSON_Delete(root.value);
    return status;
}

/* Everything in turn, with memory for so many of cJSON's allocations. */
static unseen_status everything(long allocations) {
    static const char text[] = "{\"batch\":3,\"list\":[1,{\"a\":\"b\"}],\"name\":\"x\"}";
    unseen_error error = {0};
    us_json root = {0};
    values v;
    allocations_left = allocations;
    cJSON *schema = NULL;
    unseen_status status = us_json_parse(text, sizeof text - 1, "a.json", &root, &error);
    if (status == UNSEEN_OK) status = us_json_override(&root, "/data/a/b=[1,\"c\"]", &error);
    if (status == UNSEEN_OK) status = us_json_override(&root, "/list/-/a=bare", &error);
    if (status == UNSEEN_OK) status = us_json_override(&root, "/name=other", &error);
    if (status == UNSEEN_OK) status = us_json_read(&root, keys, &v, &error);
    if (status == UNSEEN_OK) {
        us_json_release(keys, &v);
        schema = us_json_schema(keys);
        if (!schema) status = us_fail_memory(&error, "the schema");
    }
    if (status == UNSEEN_OK) status = everything_nested(&error);
    allocations_left = 0;
    if (status != UNSEEN_OK) assert_contains(error.message, "out of host memory");
    cJSON_Delete(schema);
    cJSON_Delete(root.value);
    return status;
}

/* Leaks are the sanitizer's to find. */
static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    cJSON_Hooks hooks = {.malloc_fn = scarce_malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
    long allocations = 0;
    while (allocations < 10000 && everything(allocations) == UNSEEN_FAILURE)
        allocations++;
    cJSON_InitHooks(NULL);
    assert_in_range(allocations, 100, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_resolves),
        cmocka_unit_test(reads_every_kind),
        cmocka_unit_test(reads_tables_within_tables),
        cmocka_unit_test(explains_what_is_wrong),
        cmocka_unit_test(limits_of_every_shape),
        cmocka_unit_test(found_values_are_made_safe),
        cmocka_unit_test(makes_schemas),
        cmocka_unit_test(makes_schemas_within_schemas),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
