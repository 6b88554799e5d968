/* SPDX-License-Identifier: MIT */
/* Choices of algorithms and parameters by their names. */
#ifndef US_TEST_CHOICES_H
#define US_TEST_CHOICES_H

#include <string.h>

#include "tuning/tunable.h"

static inline int algorithm_named(const us_tunable *tunable, const char *name) {
    for (int i = 0; tunable->algorithms[i]; i++)
        if (strcmp(tunable->algorithms[i]->name, name) == 0) return i;
    fail_msg("%s has no algorithm %s", tunable->name, name);
    return -1;
}

static inline void set_parameter(const us_tunable *tunable, us_choice *choice, const char *name,
                                 int value) {
    for (const us_parameter *p = us_choice_algorithm(tunable, choice)->parameters; p->name; p++)
        if (strcmp(p->name, name) == 0) {
            *us_parameter_in(p, choice->parameters) = value;
            return;
        }
    fail_msg("%s has no parameter %s", us_choice_algorithm(tunable, choice)->name, name);
}

static inline int parameter_named(const us_tunable *tunable, const us_choice *choice,
                                  const char *name) {
    for (const us_parameter *p = us_choice_algorithm(tunable, choice)->parameters; p->name; p++)
        if (strcmp(p->name, name) == 0) return us_parameter_value(p, choice->parameters);
    fail_msg("%s has no parameter %s", us_choice_algorithm(tunable, choice)->name, name);
    return -1;
}

#endif
