/* SPDX-License-Identifier: MIT */
/* The parameters that kernels are built with on a device: the winners of earlier searches, one file
 * per device in the cache folder (us_cache_folder), or those that a checkpoint was made with. */
#ifndef US_TUNING_TUNING_H
#define US_TUNING_TUNING_H

#include "base/digest.h"
#include "base/json.h"
#include "tuning/tunable.h"

/* An operator that was asked for, and how it is computed. */
typedef struct us_tuning_made {
    struct us_tuning_made *next;
    const us_tunable *tunable;
    void *problem;
    char *key;
    us_choice choice;
    us_digest_text source; /* the hash of the tunable's sources; empty until it is asked for */
} us_tuning_made;

typedef struct us_tuning {
    us_device_facts device; /* that it is for */
    char *path;             /* of the file; NULL: not from a file, or no cache folder is known */
    cJSON *root;            /* what the file says; NULL: nothing */
    bool recorded;          /* root is what a run began with: see us_tuning_restore */
    us_tuning_made *made;   /* choices so far, in their order, equal ones once */
} us_tuning;

/* Reads the device's file. One that is absent, damaged or of another device or driver counts as
 * empty: never an error. Where *tuning is open already, it is closed. To let the operators of an
 * open device use it, pass &device->tuning; whoever opens it closes it, after what was created with
 * it. */
unseen_status us_tuning_open(const us_device_facts *device, us_tuning **tuning,
                             unseen_error *error);

/* The same with what us_tuning_record wrote. If that was `elsewhere`, on another device or driver,
 * the winners are used as by us_tuning_open. NULL: nothing was recorded, so that only defaults can
 * have been used. A damaged record is an error, here or when a kernel asks for its parameters:
 * others might round otherwise. */
unseen_status us_tuning_restore(const us_device_facts *device, const char *record,
                                us_tuning **tuning, bool *elsewhere, unseen_error *error);

/* Sets *tuning to NULL. Does nothing where it is NULL. */
void us_tuning_close(us_tuning **tuning);

/* Every choice made so far as text (freed with unseen_string_free); *record stays NULL where tuning
 * is NULL. */
unseen_status us_tuning_record(us_tuning *tuning, char **record, unseen_error *error);

/* How to compute the problem: as its winner, or by default. tuning may be NULL: by default. */
unseen_status us_tuning_choose(us_tuning *tuning, const us_device_facts *device,
                               const us_tunable *tunable, const void *problem, us_choice *choice,
                               unseen_error *error);

/* Adds "algorithm": NAME and "parameters": {NAME: integer} to an object. False: no memory. */
bool us_choice_print(const us_tunable *tunable, const us_choice *choice, cJSON *object);

/* A winner as it is stored. */
typedef struct us_tuning_entry {
    us_choice choice;
    double default_ms, best_ms; /* per launch; default_ms is NaN where the default failed */
} us_tuning_entry;

/* Whether there is a valid winner for the problem, from the same kernel sources. */
unseen_status us_tuning_find(const us_tuning *tuning, const us_tunable *tunable,
                             const void *problem, us_tuning_entry *entry, bool *found,
                             unseen_error *error);

/* Makes sure that there is a folder to put winners into. */
unseen_status us_tuning_prepare(const us_tuning *tuning, unseen_error *error);

/* Puts a winner into the file, beside what other processes may have put there. */
unseen_status us_tuning_store(us_tuning *tuning, const us_tunable *tunable, const void *problem,
                              const us_tuning_entry *entry, unseen_error *error);

#endif
