/* SPDX-License-Identifier: MIT */
/* Tuned parameters: the file of the cache folder, and the record within a checkpoint. Whatever they
 * say, a kernel gets parameters that are valid for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuning/tuning.h"
#include "fuzz.h"

typedef struct problem {
    int size;
} problem;

typedef struct tiles {
    int rows, columns;
} tiles;

static const problem wanted = {16};

static void key(const void *of, char text[US_TUNABLE_TEXT]) {
    snprintf(text, US_TUNABLE_TEXT, "size %d", ((const problem *)of)->size);
}

static bool defaults(const us_device_facts *device, const void *of, void *parameters) {
    (void)device, (void)of;
    *(tiles *)parameters = (tiles){1, 2};
    return true;
}

static bool valid(const us_device_facts *device, const void *of, const void *parameters) {
    const tiles *t = parameters;
    (void)device;
    return t->rows >= 1 && t->rows <= ((const problem *)of)->size && t->columns >= 0;
}

static const us_algorithm tiled = {
    .name = "tiled",
    .sources = {"sum_splits"},
    .parameters = {US_PARAMETER(tiles, rows), US_PARAMETER(tiles, columns)},
    .defaults = defaults,
    .valid = valid,
};
static const us_algorithm *const algorithms[] = {&tiled, NULL};

static const us_tunable kernel = {
    .name = "kernel",
    .algorithms = algorithms,
    .problem_size = sizeof(problem),
    .key = key,
    .label = key,
};

/* A device that is not there. */
typedef struct made_up {
    us_device_facts facts;
    us_tuning *tuning;
} made_up;

static void choose(made_up *device) {
    unseen_error error = {0};
    us_choice choice;
    fuzz_check(us_tuning_choose(device->tuning, &device->facts, &kernel, &wanted, &choice,
                                &error) == UNSEEN_OK,
               "there is a choice");
    fuzz_check(valid(&device->facts, &wanted, choice.parameters), "the choice is valid");
    char *record;
    fuzz_check(us_tuning_record(device->tuning, &record, &error) == UNSEEN_OK, "it is recorded");
    unseen_string_free(record);
}

static const char *store(made_up *device) {
    unseen_error error = {0};
    fuzz_check(us_tuning_open(&device->facts, &device->tuning, &error) == UNSEEN_OK,
               "what is absent is no error");
    fuzz_check(us_tuning_prepare(device->tuning, &error) == UNSEEN_OK, "the folder is made");
    return device->tuning->path;
}

/* Where the input has 32 zeros, the digest of the kernel's source, without which entries are
 * ignored. */
static void put_digest(made_up *device, char *text, size_t size) {
    static char digest[33];
    unseen_error error = {0};
    char *record;
    if (!*digest) {
        choose(device);
        fuzz_check(us_tuning_record(device->tuning, &record, &error) == UNSEEN_OK,
                   "it is recorded");
        const char *source = strstr(record, "\"source\":");
        fuzz_check(source != NULL, "a record has the source");
        memcpy(digest, strchr(source + strlen("\"source\":"), '"') + 1, 32);
        unseen_string_free(record);
    }
    char *zeros = memmem(text, size, "00000000000000000000000000000000", 32);
    if (zeros) memcpy(zeros, digest, 32);
}

void fuzz_one(const uint8_t *data, size_t size) {
    made_up device = {.facts = {.name = "Made up",
                                .platform_name = "Nobody's",
                                .driver = "1",
                                .version = "OpenCL 1.2",
                                .vector_width = 8,
                                .group_size = 1,
                                .compute_units = 2}};
    unseen_error error = {0};
    setenv("UNSEEN_CACHE_DIR", fuzz_folder(), 1);
    const char *path = store(&device);
    char *text = malloc(size + 1);
    fuzz_check(text != NULL, "memory");
    memcpy(text, data, size);
    text[size] = '\0';
    put_digest(&device, text, size);
    FILE *stream = fopen(path, "wb");
    fuzz_check(stream && fwrite(text, 1, size, stream) == size && fclose(stream) == 0,
               "a file can be written");
    fuzz_check(us_tuning_open(&device.facts, &device.tuning, &error) == UNSEEN_OK,
               "a wrong file is as good as none");
    choose(&device);
    us_tuning_entry entry = {{.parameters = {3, 4}}, .default_ms = 2, .best_ms = 1}, found;
    bool there = false;
    fuzz_check(us_tuning_store(device.tuning, &kernel, &wanted, &entry, &error) == UNSEEN_OK,
               "a winner is stored");
    fuzz_check(us_tuning_find(device.tuning, &kernel, &wanted, &found, &there, &error) ==
                       UNSEEN_OK &&
                   there && found.choice.parameters[0] == 3,
               "a winner is found again, whatever the file held");
    remove(device.tuning->path);

    bool elsewhere;
    if (fuzz_accepted(us_tuning_restore(&device.facts, text, &device.tuning, &elsewhere, &error),
                      &error, NULL))
        fuzz_accepted(
            us_tuning_choose(device.tuning, &device.facts, &kernel, &wanted, &entry.choice, &error),
            &error, NULL);
    free(text);
    us_tuning_close(&device.tuning);
}
