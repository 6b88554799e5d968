/* SPDX-License-Identifier: MIT */
#include "tuning/tunable.h"

#include <math.h>
#include <string.h>

#include "base/arithmetic.h"

double us_tunable_cycles(const us_tunable *tunable, const us_device_facts *device,
                         const void *problem, const us_choice *choice) {
    const us_algorithm *algorithm = us_choice_algorithm(tunable, choice);
    return algorithm->cycles ? algorithm->cycles(device, problem, choice->parameters) : NAN;
}

us_choice us_tunable_default(const us_tunable *tunable, const us_device_facts *device,
                             const void *problem) {
    us_choice best = {.algorithm = -1};
    double fewest = NAN;
    for (int a = 0; tunable->algorithms[a]; a++) {
        us_choice choice = {.algorithm = a};
        if (!tunable->algorithms[a]->defaults(device, problem, choice.parameters)) continue;
        const double cycles = us_tunable_cycles(tunable, device, problem, &choice);
        if (best.algorithm >= 0 && !(cycles < fewest)) continue;
        best = choice;
        fewest = cycles;
    }
    return best;
}

int us_choices_add(int *choices, int count, int value) {
    int at = count;
    for (int i = 0; i < count; i++) {
        if (choices[i] == value) return count;
        if (choices[i] > value) {
            at = i;
            break;
        }
    }
    if (count == US_TUNABLE_CHOICES) return count;
    memmove(choices + at + 1, choices + at, (size_t)(count - at) * sizeof *choices);
    choices[at] = value;
    return count + 1;
}

int us_tiles_even(int size, int most) {
    return us_divide_up(size, us_divide_up(size, most));
}

int us_tiles_choices(int size, int most, int *choices) {
    int count = 0;
    for (int tile = 1; tile <= most && tile <= size; tile++)
        count = us_choices_add(choices, count, us_tiles_even(size, tile));
    return count;
}

int us_powers_choices(int most, int *choices) {
    int count = 0;
    for (int value = 1; value < most && count < US_TUNABLE_CHOICES - 1; value *= 2)
        choices[count++] = value;
    return us_choices_add(choices, count, most);
}
