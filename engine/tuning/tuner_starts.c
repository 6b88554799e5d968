/* SPDX-License-Identifier: MIT */
#include "tuning/tuner_starts.h"

#include <math.h>
#include <string.h>

enum { OF_ALGORITHM = 32 };
static const double far = 2; /* times the fewest cycles */

typedef struct start_list {
    us_choice *starts;
    double cycles[US_TUNER_STARTS]; /* NaN: there is no model */
    int count;
} start_list;

static bool has(const start_list *list, const us_choice *choice) {
    for (int i = 0; i < list->count; i++)
        if (memcmp(&list->starts[i], choice, sizeof *choice) == 0) return true;
    return false;
}

/* After all that are expected to be as fast. */
static void insert(start_list *list, const us_choice *choice, double cycles) {
    int at = list->count;
    if (list->count == US_TUNER_STARTS || has(list, choice)) return;
    while (at > 0 && !isnan(cycles) && !(list->cycles[at - 1] <= cycles))
        at--;
    for (int i = list->count++; i > at; i--) {
        list->starts[i] = list->starts[i - 1];
        list->cycles[i] = list->cycles[i - 1];
    }
    list->starts[at] = *choice;
    list->cycles[at] = cycles;
}

int us_tuner_starts(const us_tunable *tunable, const us_device_facts *device, const void *problem,
                    us_choice starts[US_TUNER_STARTS]) {
    start_list list = {.starts = starts};
    const us_choice usual = us_tunable_default(tunable, device, problem);
    double fewest = us_tunable_cycles(tunable, device, problem, &usual);
    for (int a = 0; tunable->algorithms[a]; a++)
        for (int i = 0; i < OF_ALGORITHM; i++) {
            const us_algorithm *by = tunable->algorithms[a];
            us_choice choice = {.algorithm = a};
            if (!by->start(device, problem, i, choice.parameters)) break;
            if (!by->valid(device, problem, choice.parameters)) continue;
            insert(&list, &choice, us_tunable_cycles(tunable, device, problem, &choice));
        }
    if (list.count > 0) fewest = fmin(fewest, list.cycles[0]);
    int kept = 0;
    for (int i = 0; i < list.count; i++)
        if (!(list.cycles[i] > far * fewest)) starts[kept++] = starts[i];
    return kept;
}
