/* SPDX-License-Identifier: MIT */
/* Plans of sweeps, and the names of folders that are made of them. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "sweep/plan.h"

void fuzz_one(const uint8_t *data, size_t size) {
    us_sweep_plan plan;
    unseen_error error = {0};
    const char *path = fuzz_file("plan.json", data, size);
    if (!fuzz_accepted(us_sweep_plan_load(path, &plan, &error), &error, path)) return;
    fuzz_check(plan.run_count >= 1 && plan.run_count <= US_SWEEP_MAX_RUNS, "the number of runs");
    for (size_t i = 0; i < plan.run_count && i < 100; i++) {
        char *slug = us_sweep_slug(&plan.runs[i]);
        fuzz_check(slug && strlen(slug) < 200, "the name of a folder");
        for (const char *c = slug; *c; c++)
            fuzz_check((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           (*c >= '0' && *c <= '9') || strchr("._-=", *c),
                       "the letters of a folder's name");
        free(slug);
    }
    us_sweep_plan_release(&plan);
}
