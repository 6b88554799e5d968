/* SPDX-License-Identifier: MIT */
/* The store of tuned parameters: what is found again, and what is ignored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "tuning/tuning.h"

static char folder[] = "/tmp/unseen-tuning-XXXXXX";
static unseen_error error;

#define OK(expression)                                                                             \
    do {                                                                                           \
        if ((expression) != UNSEEN_OK) fail_msg("%s", error.message);                              \
    } while (0)

/* ---- an operator of two algorithms; the second one has two parameters ---- */

typedef struct problem {
    int size;
} problem;

typedef struct table {
    int columns, rows; /* not in the order of their names below */
} table;

static void key(const void *of, char text[US_TUNABLE_TEXT]) {
    snprintf(text, US_TUNABLE_TEXT, "size %d", ((const problem *)of)->size);
}

/* By default it computes nothing. */
static bool no_defaults(const us_device_facts *device, const void *of, void *parameters) {
    (void)device, (void)of, (void)parameters;
    return false;
}

static bool even_sizes(const us_device_facts *device, const void *of, const void *parameters) {
    (void)device, (void)parameters;
    return ((const problem *)of)->size % 2 == 0;
}

static bool defaults(const us_device_facts *device, const void *of, void *parameters) {
    (void)device, (void)of;
    *(table *)parameters = (table){.rows = 1, .columns = 2};
    return true;
}

static bool valid(const us_device_facts *device, const void *of, const void *parameters) {
    const table *t = parameters;
    (void)device;
    return t->rows >= 1 && t->rows <= ((const problem *)of)->size && t->columns >= 0;
}

static const us_algorithm plain = {
    .name = "plain", .sources = {"activation"}, .defaults = no_defaults, .valid = even_sizes};
static const us_algorithm tiled = {
    .name = "tiled",
    .sources = {"sum_splits"},
    .parameters = {US_PARAMETER(table, rows), US_PARAMETER(table, columns)},
    .defaults = defaults,
    .valid = valid,
};
static const us_algorithm *const algorithms[] = {&plain, &tiled, NULL};
enum { PLAIN, TILED };

static const us_tunable kernel = {
    .name = "kernel",
    .algorithms = algorithms,
    .problem_size = sizeof(problem),
    .key = key,
    .label = key,
};

static us_choice tiles(int rows, int columns) {
    us_choice choice = {.algorithm = TILED};
    *us_parameter_in(&tiled.parameters[0], choice.parameters) = rows;
    *us_parameter_in(&tiled.parameters[1], choice.parameters) = columns;
    return choice;
}

/* ---- a device that is not there ---- */

typedef struct made_up {
    us_device_facts facts;
    us_tuning *tuning;
} made_up;

static made_up make_device(void) {
    return (made_up){.facts = {.name = "Made up (TM) 3000/X",
                               .platform_name = "Nobody's OpenCL",
                               .driver = "1.0",
                               .version = "OpenCL 1.2",
                               .vector_width = 8,
                               .group_size = 1,
                               .compute_units = 2}};
}

static void forget(made_up *device) {
    us_tuning_close(&device->tuning);
    assert_null(device->tuning);
}

static void reopen(made_up *device) {
    OK(us_tuning_open(&device->facts, &device->tuning, &error));
}

static void store(made_up *device, int size, int rows, int columns) {
    us_tuning_entry entry = {tiles(rows, columns), .default_ms = 2.5, .best_ms = 1.25};
    OK(us_tuning_store(device->tuning, &kernel, &(problem){size}, &entry, &error));
}

static void expect(made_up *device, int size, int rows, int columns) {
    us_choice choice, want = tiles(rows, columns);
    OK(us_tuning_choose(device->tuning, &device->facts, &kernel, &(problem){size}, &choice,
                        &error));
    assert_memory_equal(&choice, &want, sizeof want);
}

static void expect_default(made_up *device, int size) {
    expect(device, size, 1, 2);
}

static void write_text(const char *path, const char *text) {
    OK(us_file_write(path, text, strlen(text), &error));
}

/* Every test has an empty cache folder. */
static int setup(void **state) {
    static char cache[300];
    static int next;
    (void)state;
    snprintf(cache, sizeof cache, "%s/%d", folder, next++);
    unsetenv("UNSEEN_KERNEL_DIR");
    return setenv("UNSEEN_CACHE_DIR", cache, 1);
}

/* ---- tests ---- */

static void winners_are_found_again(void **state) {
    made_up device = make_device(), later = make_device();
    (void)state;
    reopen(&device);
    expect_default(&device, 7);
    store(&device, 7, 3, 5);
    store(&device, 8, 4, 0);
    expect(&device, 7, 3, 5);
    store(&device, 7, 6, 5);
    reopen(&later);
    expect(&later, 7, 6, 5);
    expect(&later, 8, 4, 0);
    expect_default(&later, 9);
    us_tuning_entry entry;
    bool found;
    OK(us_tuning_find(later.tuning, &kernel, &(problem){7}, &entry, &found, &error));
    assert_true(found);
    assert_true(entry.default_ms == 2.5 && entry.best_ms == 1.25);
    forget(&device);
    forget(&later);
}

static void without_a_store_there_are_defaults(void **state) {
    made_up device = make_device();
    char *record;
    (void)state;
    expect_default(&device, 7);
    OK(us_tuning_record(device.tuning, &record, &error));
    assert_null(record);
}

static void two_processes_keep_each_others_winners(void **state) {
    made_up one = make_device(), other = make_device();
    (void)state;
    reopen(&one);
    reopen(&other);
    store(&one, 7, 3, 5);
    store(&other, 8, 4, 6);
    reopen(&one);
    expect(&one, 7, 3, 5);
    expect(&one, 8, 4, 6);
    forget(&one);
    forget(&other);
}

static void other_devices_are_others(void **state) {
    made_up device = make_device(), other[5];
    (void)state;
    reopen(&device);
    store(&device, 7, 3, 5);
    for (int i = 0; i < 5; i++)
        other[i] = make_device();
    snprintf(other[0].facts.driver, sizeof other[0].facts.driver, "1.1");
    snprintf(other[1].facts.version, sizeof other[1].facts.version, "OpenCL 3.0");
    snprintf(other[2].facts.platform_name, sizeof other[2].facts.platform_name, "Somebody's");
    other[3].facts.vector_width = 16;
    other[4].facts.compute_units = 4;
    for (int i = 0; i < 5; i++) {
        reopen(&other[i]);
        assert_string_not_equal(other[i].tuning->path, device.tuning->path);
        expect_default(&other[i], 7);
        /* Nor does a file of that name help that tells of another device. */
        char *text;
        size_t size;
        OK(us_file_read(device.tuning->path, 1 << 20, &text, &size, &error));
        write_text(other[i].tuning->path, text);
        free(text);
        reopen(&other[i]);
        expect_default(&other[i], 7);
        store(&other[i], 7, 2, 1);
        expect(&other[i], 7, 2, 1);
        forget(&other[i]);
    }
    reopen(&device);
    expect(&device, 7, 3, 5);
    forget(&device);
}

static void other_kernel_sources_are_others(void **state) {
    made_up device = make_device();
    char path[400];
    (void)state;
    reopen(&device);
    store(&device, 7, 3, 5);
    snprintf(path, sizeof path, "%s/sum_splits.cl", folder);
    write_text(path, "/* another kernel */\n");
    setenv("UNSEEN_KERNEL_DIR", folder, 1);
    expect_default(&device, 7);
    store(&device, 8, 4, 6);
    expect(&device, 8, 4, 6);
    unsetenv("UNSEEN_KERNEL_DIR");
    expect_default(&device, 8);
    forget(&device);
}

static void damaged_files_are_ignored(void **state) {
    made_up device = make_device();
    (void)state;
    reopen(&device);
    store(&device, 7, 3, 5);
    char *whole, deep[4000];
    size_t size;
    OK(us_file_read(device.tuning->path, 1 << 20, &whole, &size, &error));
    for (size_t length = 0; length + 2 < size; length += 7) {
        OK(us_file_write(device.tuning->path, whole, length, &error));
        reopen(&device);
        expect_default(&device, 7);
    }
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    const char *const wrong[] = {"[]", "{}", "null", "{\"kernels\": 1}", "{\"format\": 2}", deep};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text(device.tuning->path, wrong[i]);
        reopen(&device);
        expect_default(&device, 7);
    }
    store(&device, 8, 4, 6);
    reopen(&device);
    expect(&device, 8, 4, 6);
    free(whole);
    forget(&device);
}

/* Replaces the parameters of the one shape in the file. */
static void put_parameters(made_up *device, const char *parameters) {
    char *text, *path = device->tuning->path;
    size_t size;
    OK(us_file_read(path, 1 << 20, &text, &size, &error));
    char *from = strstr(text, "\"parameters\": "), *end = strchr(from, '}');
    char *changed;
    assert_true(asprintf(&changed, "%.*s\"parameters\": %s%s", (int)(from - text), text, parameters,
                         end + 1) > 0);
    write_text(path, changed);
    free(changed);
    free(text);
    reopen(device);
}

static void parameters_that_no_kernel_takes_are_ignored(void **state) {
    static const char *const wrong[] = {
        "{\"rows\": 8, \"columns\": 5}",
        "{\"rows\": 0, \"columns\": 5}",
        "{\"rows\": -1, \"columns\": 5}",
        "{\"rows\": 3.5, \"columns\": 5}",
        "{\"rows\": 1e300, \"columns\": 5}",
        "{\"rows\": \"3\", \"columns\": 5}",
        "{\"rows\": 3}",
        "{\"rows\": 3, \"columns\": 5, \"depth\": 1}",
        "{\"rows\": 3, \"pillars\": 5}",
        "[3, 5]",
        "7",
    };
    made_up device = make_device();
    (void)state;
    reopen(&device);
    store(&device, 7, 3, 5);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        store(&device, 7, 3, 5);
        put_parameters(&device, wrong[i]);
        expect_default(&device, 7);
    }
    store(&device, 7, 3, 5);
    put_parameters(&device, "{\"columns\": 4, \"rows\": 2}");
    expect(&device, 7, 2, 4);
    forget(&device);
}

/* A winner is an algorithm with its own parameters, and names it. */
static void winners_name_their_algorithm(void **state) {
    made_up device = make_device();
    us_choice choice;
    char *text, *changed;
    size_t size;
    (void)state;
    reopen(&device);
    us_tuning_entry entry = {.choice = {.algorithm = PLAIN}};
    OK(us_tuning_store(device.tuning, &kernel, &(problem){8}, &entry, &error));
    reopen(&device);
    OK(us_tuning_choose(device.tuning, &device.facts, &kernel, &(problem){8}, &choice, &error));
    assert_int_equal(choice.algorithm, PLAIN);
    /* One that cannot compute the problem, or that is not there, is ignored. */
    OK(us_tuning_store(device.tuning, &kernel, &(problem){7}, &entry, &error));
    reopen(&device);
    expect_default(&device, 7);
    OK(us_file_read(device.tuning->path, 1 << 20, &text, &size, &error));
    char *name = strstr(text, "\"plain\"");
    assert_non_null(name);
    assert_true(asprintf(&changed, "%.*s\"other\"%s", (int)(name - text), text, name + 7) > 0);
    write_text(device.tuning->path, changed);
    reopen(&device);
    expect_default(&device, 8);
    free(text);
    free(changed);
    forget(&device);
}

static void a_record_outlives_the_store(void **state) {
    made_up device = make_device(), other = make_device();
    char *record;
    bool elsewhere;
    (void)state;
    reopen(&device);
    store(&device, 7, 3, 5);
    expect(&device, 7, 3, 5);
    expect_default(&device, 8);
    OK(us_tuning_record(device.tuning, &record, &error));
    store(&device, 7, 6, 6);
    store(&device, 8, 6, 6);
    OK(us_tuning_restore(&device.facts, record, &device.tuning, &elsewhere, &error));
    assert_false(elsewhere);
    expect(&device, 7, 3, 5);
    expect_default(&device, 8);
    char *again;
    OK(us_tuning_record(device.tuning, &again, &error));
    assert_string_equal(again, record);

    /* A damaged one is an error, and so are parameters that no kernel takes. */
    static const char *const damaged[] = {"",
                                          "{",
                                          "[]",
                                          "null",
                                          "{\"format\": 2}",
                                          "{\"format\": 2, \"device\": {}, \"kernels\": []}"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        assert_int_equal(
            us_tuning_restore(&device.facts, damaged[i], &device.tuning, &elsewhere, &error),
            UNSEEN_BAD_INPUT);
    char *wrong = strdup(record), *rows = strstr(wrong, "\"rows\":");
    rows = strpbrk(rows, "0123456789");
    *rows = '9';
    OK(us_tuning_restore(&device.facts, wrong, &device.tuning, &elsewhere, &error));
    us_choice choice;
    assert_int_equal(
        us_tuning_choose(device.tuning, &device.facts, &kernel, &(problem){7}, &choice, &error),
        UNSEEN_BAD_INPUT);
    free(wrong);

    /* On another device the record says nothing, and its own store counts. */
    other.facts.compute_units = 5;
    reopen(&other);
    store(&other, 7, 2, 1);
    OK(us_tuning_restore(&other.facts, record, &other.tuning, &elsewhere, &error));
    assert_true(elsewhere);
    expect(&other, 7, 2, 1);

    OK(us_tuning_restore(&device.facts, NULL, &device.tuning, &elsewhere, &error));
    assert_false(elsewhere);
    expect_default(&device, 7);
    unseen_string_free(record);
    unseen_string_free(again);
    forget(&device);
    forget(&other);
}

static void the_cache_folder(void **state) {
    made_up device = make_device();
    (void)state;
    char *kept = strdup(getenv("HOME") ? getenv("HOME") : "/");
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    setenv("HOME", "/home/me", 1);
    const struct {
        const char *own, *xdg, *home, *folder;
    } cases[] = {
        {"/own", "/xdg", "/home/me", "/own"},
        {"", "/xdg", "/home/me", "/xdg/unseen"},
        {"", "relative", "/home/me", "/home/me/.cache/unseen"},
        {"", "", "/home/me", "/home/me/.cache/unseen"},
        {"", "", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("UNSEEN_CACHE_DIR", cases[i].own, 1);
        setenv("XDG_CACHE_HOME", cases[i].xdg, 1);
        setenv("HOME", cases[i].home, 1);
        char *found = us_cache_folder();
        if (cases[i].folder)
            assert_string_equal(found, cases[i].folder);
        else
            assert_null(found);
        free(found);
    }
    reopen(&device);
    expect_default(&device, 7);
    us_tuning_entry entry = {.choice = tiles(3, 5)};
    assert_int_equal(us_tuning_store(device.tuning, &kernel, &(problem){7}, &entry, &error),
                     UNSEEN_BAD_INPUT);
    assert_non_null(strstr(error.message, "UNSEEN_CACHE_DIR"));
    setenv("HOME", kept, 1);
    free(kept);
    forget(&device);
}

static void choices_are_ascending_and_once(void **state) {
    int choices[US_TUNABLE_CHOICES], count = 0;
    static const int added[] = {5, 1, 9, 5, 7, 1};
    (void)state;
    for (int i = 0; i < 6; i++)
        count = us_choices_add(choices, count, added[i]);
    assert_int_equal(count, 4);
    assert_memory_equal(choices, ((int[]){1, 5, 7, 9}), 4 * sizeof(int));
    for (int i = 0; i < 100; i++)
        count = us_choices_add(choices, count, i);
    assert_int_equal(count, US_TUNABLE_CHOICES);
    assert_int_equal(us_tiles_even(24, 10), 8);
    assert_int_equal(us_tiles_choices(10, 4, choices), 4); /* 1, 2, 3 (of 4), 4 (of 3) */
    assert_int_equal(choices[3], 4);
    assert_int_equal(us_powers_choices(6, choices), 4);
    assert_memory_equal(choices, ((int[]){1, 2, 4, 6}), 4 * sizeof(int));
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    umask(022); /* what others may write to is not read */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(winners_are_found_again, setup),
        cmocka_unit_test_setup(without_a_store_there_are_defaults, setup),
        cmocka_unit_test_setup(two_processes_keep_each_others_winners, setup),
        cmocka_unit_test_setup(other_devices_are_others, setup),
        cmocka_unit_test_setup(other_kernel_sources_are_others, setup),
        cmocka_unit_test_setup(damaged_files_are_ignored, setup),
        cmocka_unit_test_setup(parameters_that_no_kernel_takes_are_ignored, setup),
        cmocka_unit_test_setup(winners_name_their_algorithm, setup),
        cmocka_unit_test_setup(a_record_outlives_the_store, setup),
        cmocka_unit_test_setup(the_cache_folder, setup),
        cmocka_unit_test_setup(choices_are_ascending_and_once, setup),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 || failed;
}
