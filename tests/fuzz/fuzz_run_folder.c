/* SPDX-License-Identifier: MIT */
/* A run folder, as report reads it: metrics.json, config.json, log.jsonl, scores.csv and
 * prediction.csv, one after the other with a line "----" between; an empty one is absent. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evaluation/report.h"
#include "fuzz.h"

static const char *const names[] = {"metrics.json", "config.json", "log.jsonl", "scores.csv",
                                    "prediction.csv"};
enum { FILES = sizeof names / sizeof *names };

void fuzz_one(const uint8_t *data, size_t size) {
    static const char separator[] = "----\n";
    const uint8_t *at = data, *end = data + size;
    for (int i = 0; i < FILES; i++) {
        const uint8_t *next =
            i + 1 < FILES ? memmem(at, (size_t)(end - at), separator, sizeof separator - 1) : NULL;
        const uint8_t *stop = next ? next : end;
        const char *path = fuzz_file(names[i], at, (size_t)(stop - at));
        if (stop == at) unlink(path);
        at = next ? next + sizeof separator - 1 : end;
    }
    unseen_error error = {0};
    fuzz_accepted(us_report_run(fuzz_folder(), &error), &error, fuzz_folder());
    fuzz_file("report.html", "", 0); /* so that it is removed at the end */
}
