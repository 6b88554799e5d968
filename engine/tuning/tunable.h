/* SPDX-License-Identifier: MIT */
/* What the tuner has to know about an operator that can be computed in several ways, so that the
 * fastest one can be searched on any device: its algorithms, and of each the parameters. They
 * change how a result is computed, and nothing else about it beyond rounding. */
#ifndef US_TUNING_TUNABLE_H
#define US_TUNING_TUNABLE_H

#include <stddef.h>

#include "device/device.h"

enum {
    US_TUNABLE_PARAMETERS = 8, /* most of an algorithm */
    US_TUNABLE_CHOICES = 24,   /* most values that a parameter is tried with */
    US_TUNABLE_OPERANDS = 5,   /* most buffers */
    US_TUNABLE_TEXT = 1024,    /* room for a key */
    US_TUNABLE_PROBLEM = 512,  /* most bytes of a problem */
};

/* A parameter: an int of its algorithm's struct. */
typedef struct us_parameter {
    const char *name; /* in files and results */
    size_t offset;
} us_parameter;

/* The parameter FIELD of a struct TYPE. */
#define US_PARAMETER(TYPE, FIELD)                                                                  \
    { #FIELD, offsetof(TYPE, FIELD) }

/* One way to compute. `problem` is the tunable's, `parameters` this algorithm's struct, which has
 * nothing but ints, at most US_TUNABLE_PARAMETERS. */
typedef struct us_algorithm {
    const char *name;
    const char *sources[3];                             /* kernel files without ".cl"; NULL ends */
    us_parameter parameters[US_TUNABLE_PARAMETERS + 1]; /* a NULL name ends */

    /* Fills the parameters to use where nothing was tuned. False: the algorithm cannot compute the
     * problem, or a later one of the table is expected to be faster. */
    bool (*defaults)(const us_device_facts *device, const void *problem, void *parameters);
    /* Whether a kernel can be built with the parameters, which may be any integers. */
    bool (*valid)(const us_device_facts *device, const void *problem, const void *parameters);
    /* Fills the index-th point from which to search; it need not be valid. False: there is none. */
    bool (*start)(const us_device_facts *device, const void *problem, int index, void *parameters);
    /* The values worth trying of the parameter at `offset` while the others stay, ascending;
     * returns their number. */
    int (*choices)(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int choices[US_TUNABLE_CHOICES]);

    const void *implementation; /* what the operator needs to run it */
} us_algorithm;

/* An algorithm of a tunable's table, with its parameters: room for any algorithm's struct. */
typedef struct us_choice {
    int algorithm;
    int parameters[US_TUNABLE_PARAMETERS];
} us_choice;

/* A buffer of a trial. */
typedef struct us_operand {
    size_t floats; /* 0: the operator takes none here */
    bool output;   /* else it is filled with numbers from -1 to 1 */
    int batch;     /* the innermost us_device_pad lanes, of which those not occupied hold 0; 0: the
                      buffer has no batch */
} us_operand;

/* A problem says what is computed and on which shape: plain bytes without pointers, which can be
 * copied and sent to other processes. */
typedef struct us_tunable {
    const char *name;
    const us_algorithm *const *algorithms; /* preferred ones first; NULL ends */
    size_t problem_size;

    /* Everything about the problem that the best choice may depend on; a line for people. */
    void (*key)(const void *problem, char text[US_TUNABLE_TEXT]);
    void (*label)(const void *problem, char text[US_TUNABLE_TEXT]);

    void (*operands)(const us_device_facts *device, const void *problem,
                     us_operand operands[US_TUNABLE_OPERANDS]); /* zeroed before */
    /* The largest error that rounding explains, as a part of the largest value. NULL: what the
     * order of a sum's terms makes of floats. */
    double (*tolerance)(const void *problem);
    /* The value of one element of an output, in double and from the inputs alone. */
    double (*expected)(const void *problem, const float *const *operands, int output, size_t index);

    /* On failure *operation is NULL or must be destroyed all the same. */
    unseen_status (*create)(us_device *device, const void *problem, const us_choice *choice,
                            void **operation, unseen_error *error);
    unseen_status (*run)(void *operation, us_buffer *const *operands, unseen_error *error);
    void (*destroy)(void *operation); /* NULL is fine */
} us_tunable;

static inline const us_algorithm *us_choice_algorithm(const us_tunable *tunable,
                                                      const us_choice *choice) {
    return tunable->algorithms[choice->algorithm];
}

/* The parameter's place in an algorithm's struct. */
static inline int *us_parameter_in(const us_parameter *parameter, void *parameters) {
    return (int *)(void *)((char *)parameters + parameter->offset);
}
static inline int us_parameter_value(const us_parameter *parameter, const void *parameters) {
    return *(const int *)(const void *)((const char *)parameters + parameter->offset);
}

/* What is used where nothing was tuned: the first algorithm of the table that has defaults for the
 * problem. Every problem has one. */
us_choice us_tunable_default(const us_tunable *tunable, const us_device_facts *device,
                             const void *problem);

/* ---- for the functions above ---- */

/* Appends a value unless it is there; keeps the order. Returns the new count, at most
 * US_TUNABLE_CHOICES. */
int us_choices_add(int *choices, int count, int value);

/* The tile of at most `most` that divides `size` with the least left over, and the choices of such
 * tiles. */
int us_tiles_even(int size, int most);
int us_tiles_choices(int size, int most, int *choices);

/* The choices 1, 2, 4 .. up to and including most. */
int us_powers_choices(int most, int *choices);

#endif
