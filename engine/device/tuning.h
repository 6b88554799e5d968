/* The parameters that kernels are built with on a device: the winners of earlier searches, one file
 * per device in the cache folder (us_cache_folder), or those that a checkpoint was made with. */
#ifndef US_DEVICE_TUNING_H
#define US_DEVICE_TUNING_H

#include "base/json.h"
#include "device/tunable.h"

/* A kernel that was asked for, and what it got. */
typedef struct us_tuning_choice {
    struct us_tuning_choice *next;
    const us_tunable *tunable;
    void *spec;
    char *key;
    int values[US_TUNABLE_PARAMETERS];
} us_tuning_choice;

typedef struct us_tuning {
    char *path;                /* of the file; NULL: not from a file, or no cache folder is known */
    cJSON *root;               /* what the file says; NULL: nothing */
    bool recorded;             /* root is what a run began with: see us_tuning_restore */
    us_tuning_choice *choices; /* made so far, in their order, equal ones once */
} us_tuning;

/* Makes the device's kernels use the winners of its file. A file that is absent, damaged or of
 * another device or driver counts as empty: never an error. Needs the facts of the device alone. */
unseen_status us_tuning_open(us_device *device, unseen_error *error);

/* The same with what us_tuning_record wrote. If that was `elsewhere`, on another device or driver,
 * the winners are used as by us_tuning_open. NULL: nothing was recorded, so that only defaults can
 * have been used. A damaged record is an error, here or when a kernel asks for its parameters:
 * others might round otherwise. */
unseen_status us_tuning_restore(us_device *device, const char *record, bool *elsewhere,
                                unseen_error *error);

void us_tuning_close(us_tuning *tuning); /* NULL is fine */

/* Every choice made so far as text (freed with unseen_string_free); *record stays NULL where the
 * device has no tuning. */
unseen_status us_tuning_record(const us_device *device, char **record, unseen_error *error);

/* What the kernel is to be built with: the winner for its spec, or the default. */
unseen_status us_tuning_choose(const us_tunable *tunable, const void *spec, int *values,
                               unseen_error *error);

/* A winner as it is stored. */
typedef struct us_tuning_entry {
    int values[US_TUNABLE_PARAMETERS];
    double default_ms, best_ms; /* per launch; default_ms is NaN where the default failed */
} us_tuning_entry;

/* Whether there is a valid winner for the spec, from the same kernel sources. */
unseen_status us_tuning_find(const us_tunable *tunable, const void *spec, us_tuning_entry *entry,
                             bool *found, unseen_error *error);

/* Makes sure that there is a folder to put winners into. */
unseen_status us_tuning_prepare(const us_device *device, unseen_error *error);

/* Puts a winner into the file, beside what other processes may have put there. */
unseen_status us_tuning_store(const us_tunable *tunable, const void *spec,
                              const us_tuning_entry *entry, unseen_error *error);

#endif
