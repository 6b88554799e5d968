/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. Each target is one file with one function, fuzz_one; libFuzzer
 * drives it (tests/fuzz/fuzz), or replay.c does with the files of the corpus, as a test of every
 * build.
 *
 * A target aborts where a reader's answer is neither what was asked for nor a refusal that says
 * what is wrong: status, file and fault. */
#ifndef US_FUZZ_H
#define US_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unseen.h"

void fuzz_one(const uint8_t *data, size_t size);

/* ---- fuzz.c ---- */

/* A folder of this process, removed at its end. */
const char *fuzz_folder(void);

/* Writes a file of that folder and returns its path, which holds until the next call with this name
 * (names are literals). */
const char *fuzz_file(const char *name, const void *bytes, size_t size);

/* Aborts unless the status is one of success, or a refusal of bad input with a message. `named`:
 * what the message has to name; NULL: nothing. Returns whether it is success. */
bool fuzz_accepted(unseen_status status, const unseen_error *error, const char *named);

/* Aborts, telling what does not hold. */
void fuzz_check(bool holds, const char *what);

#endif
