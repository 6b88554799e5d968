/* What a kernel with parameters says about them, so that any device can be searched for the best:
 * one constant of this type per kernel. Parameters are integers that change how a result is
 * computed, and nothing else about it beyond rounding. */
#ifndef US_DEVICE_TUNABLE_H
#define US_DEVICE_TUNABLE_H

#include "device/device.h"

enum {
    US_TUNABLE_PARAMETERS = 8,
    US_TUNABLE_CHOICES = 24, /* most values that a parameter is tried with */
    US_TUNABLE_OPERANDS = 5, /* most buffers */
    US_TUNABLE_TEXT = 1024,  /* room for a key */
    US_TUNABLE_SPEC = 512,   /* most bytes of a spec */
};

/* A buffer of a trial. */
typedef struct us_operand {
    size_t floats; /* 0: the kernel takes none here */
    bool output;   /* else it is filled with numbers from -1 to 1 */
    int batch;     /* of us_device_pad's lanes, innermost; what is not occupied holds 0. 0: of no
                      batch */
} us_operand;

/* A spec says what is computed, on which device, and on which shape: plain bytes without pointers
 * to anything but the device, which comes first. */
typedef struct us_tunable {
    const char *name;
    const char *sources[3];                            /* kernel files without ".cl"; NULL ends */
    const char *parameters[US_TUNABLE_PARAMETERS + 1]; /* their names; NULL ends */
    size_t spec_size;

    /* Everything about the spec that the best parameters may depend on; a line for people. */
    void (*key)(const void *spec, char text[US_TUNABLE_TEXT]);
    void (*label)(const void *spec, char text[US_TUNABLE_TEXT]);

    void (*defaults)(const void *spec, int *values);
    /* Whether a kernel can be built with them. Any integers may come. */
    bool (*valid)(const void *spec, const int *values);
    /* The index-th point known to be good elsewhere, from where to search; false: no more. */
    bool (*start)(const void *spec, int index, int *values);
    /* The values worth trying of one parameter beside the others' in `values`, ascending; returns
     * their number. */
    int (*choices)(const void *spec, const int *values, int parameter,
                   int choices[US_TUNABLE_CHOICES]);

    void (*operands)(const void *spec,
                     us_operand operands[US_TUNABLE_OPERANDS]); /* zeroed before */
    /* The value of one element of an output, in double and from the inputs alone. */
    double (*expected)(const void *spec, const float *const *operands, int output, size_t index);

    /* On failure *operation is NULL or to be destroyed all the same. */
    unseen_status (*create)(const void *spec, const int *values, void **operation,
                            unseen_error *error);
    unseen_status (*run)(void *operation, us_buffer *const *operands, unseen_error *error);
    void (*destroy)(void *operation); /* NULL is fine */
} us_tunable;

static inline int us_tunable_count(const us_tunable *tunable) {
    int count = 0;
    while (tunable->parameters[count])
        count++;
    return count;
}

/* ---- for the functions above ---- */

/* Appends a value unless it is there; keeps the order. Returns the new count, at most
 * US_TUNABLE_CHOICES. */
int us_choices_add(int *choices, int count, int value);

/* How many of `tile` make `size`; the tile of about `most` that divides it with the least left
 * over; and the choices of such tiles up to `most`. */
int us_tiles_count(int size, int tile);
int us_tiles_even(int size, int most);
int us_tiles_choices(int size, int most, int *choices);

/* The choices 1, 2, 4 .. up to and including most. */
int us_powers_choices(int most, int *choices);

#endif
