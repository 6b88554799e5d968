/* SPDX-License-Identifier: MIT */
#include "variants.h"

#include <stdlib.h>
#include <string.h>

#include "tuning/tuning.h"

enum { STARTS = 16 };

typedef struct variant_set {
    us_device *device;
    const us_tunable *tunable;
    const void *problem;
    us_buffer *operands[US_TUNABLE_OPERANDS];
    us_choice *choices; /* launched so far */
    size_t count;
} variant_set;

static bool is_known(const variant_set *set, const us_choice *choice) {
    for (size_t i = 0; i < set->count; i++)
        if (memcmp(&set->choices[i], choice, sizeof *choice) == 0) return true;
    return false;
}

static unseen_status launch(variant_set *set, const us_choice *choice, unseen_error *error) {
    const us_algorithm *algorithm = us_choice_algorithm(set->tunable, choice);
    if (!algorithm->valid(&set->device->facts, set->problem, choice->parameters) ||
        is_known(set, choice))
        return UNSEEN_OK;
    us_choice *more = reallocarray(set->choices, set->count + 1, sizeof *more);
    if (!more) return us_fail_memory(error, "variants");
    set->choices = more;
    more[set->count++] = *choice;
    void *operation = NULL;
    unseen_status status =
        set->tunable->create(set->device, set->problem, choice, &operation, error);
    if (status == UNSEEN_OK) status = set->tunable->run(operation, set->operands, error);
    set->tunable->destroy(operation);
    return status;
}

static unseen_status launch_around(variant_set *set, const us_choice *start, unseen_error *error) {
    const us_algorithm *algorithm = us_choice_algorithm(set->tunable, start);
    US_TRY(launch(set, start, error));
    for (const us_parameter *p = algorithm->parameters; p->name; p++) {
        int values[US_TUNABLE_CHOICES];
        int count = algorithm->choices(&set->device->facts, set->problem, start->parameters,
                                       p->offset, values);
        for (int i = 0; i < count; i++) {
            us_choice choice = *start;
            *us_parameter_in(p, choice.parameters) = values[i];
            US_TRY(launch(set, &choice, error));
        }
    }
    return UNSEEN_OK;
}

static unseen_status launch_all(variant_set *set, unseen_error *error) {
    us_operand operands[US_TUNABLE_OPERANDS] = {0};
    set->tunable->operands(&set->device->facts, set->problem, operands);
    for (int i = 0; i < US_TUNABLE_OPERANDS; i++)
        if (operands[i].floats)
            US_TRY(us_buffer_create(set->device, operands[i].floats * sizeof(float), "a variant",
                                    &set->operands[i], error));
    for (int a = 0; set->tunable->algorithms[a]; a++)
        for (int i = 0; i < STARTS; i++) {
            us_choice choice = {.algorithm = a};
            if (!set->tunable->algorithms[a]->start(&set->device->facts, set->problem, i,
                                                    choice.parameters))
                break;
            US_TRY(launch_around(set, &choice, error));
        }
    return UNSEEN_OK;
}

unseen_status imagined_variants(us_device *device, unseen_error *error) {
    unseen_status status = UNSEEN_OK;
    const us_tuning_made *made = device->tuning->made;
    for (; made && status == UNSEEN_OK; made = made->next) {
        variant_set set = {.device = device, .tunable = made->tunable, .problem = made->problem};
        status = launch_all(&set, error);
        for (int i = 0; i < US_TUNABLE_OPERANDS; i++)
            us_buffer_destroy(set.operands[i]);
        free(set.choices);
    }
    return status;
}
