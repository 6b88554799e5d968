/* SPDX-License-Identifier: MIT */
/* Made-up numbers for the tests of operators. */
#ifndef TEST_OPERANDS_H
#define TEST_OPERANDS_H

#include "test_device.h"

#include <stdint.h>
#include <stdlib.h>

/* Zeroed memory; a test without it fails. */
static void *room(size_t count, size_t size) {
    void *made = calloc(count, size);
    assert_non_null(made);
    return made;
}

/* Between -1 and 1, exact as floats. */
static double *numbers(size_t count, uint32_t seed) {
    double *made = room(count, sizeof *made);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        made[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return made;
}

#endif
