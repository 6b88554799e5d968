/* SPDX-License-Identifier: MIT */
/* Within the self-test: collecting results, and moving values to and from the device. Values on the
 * host are [rows][n] in double; on the device [rows][batch] floats. */
#ifndef US_SELFTEST_H
#define US_SELFTEST_H

#include "base/json.h"
#include "ops/layer.h"

typedef struct us_selftest {
    us_device *device;
    const unseen_events *events;
    cJSON *results;
    int cases, failed;
    double worst; /* error */
    int64_t done, total;
    uint32_t streams; /* of random numbers, handed out so far */
    bool stop;
} us_selftest;

/* Values for a test, each exact in single precision. */
typedef struct us_test_values {
    size_t rows;
    int n, batch;
    double *host;
    us_buffer *device;
    float padding; /* as uploaded */
} us_test_values;

/* Room for values, zero on the host and on the device. */
unseen_status us_test_values_create(us_selftest *test, size_t rows, int n, int batch,
                                    us_test_values *values, unseen_error *error);
void us_test_values_destroy(us_test_values *values);

/* scale * N(0, 1) + shift on the host. */
void us_test_values_random(us_selftest *test, us_test_values *values, double scale, double shift);

/* Host to device; `padding` goes to the padded lanes. */
unseen_status us_test_values_upload(us_test_values *values, float padding, unseen_error *error);

/* Compares the device with the host: the largest difference as a part of the largest value on the
 * host (or of `floor` if that is more). Where padded lanes must be 0, one that is not is infinitely
 * wrong, unless us_device_occupied leaves it out and it is what was there before. */
unseen_status us_test_values_compare(us_selftest *test, const us_test_values *values,
                                     const char *operator_name, const char *what, us_shape shape,
                                     double limit, double floor, bool zero_padding,
                                     unseen_error *error);

/* ---- of layers: layers.c ---- */

/* What a config would give with these keys. */
unseen_status us_test_attributes_read(const us_layer_type *type, const char *keys,
                                      void **attributes, unseen_error *error);
void us_test_attributes_release(const us_layer_type *type, void *attributes); /* NULL is fine */

/* A tensor, random on the host and on the device. */
unseen_status us_test_tensor_create(us_selftest *test, const us_tensor_spec *spec,
                                    us_test_values *values, unseen_error *error);

/* ---- */

/* Cases of a kind. */
typedef struct us_selftest_group {
    const char *name;
    int cases;
    unseen_status (*run)(us_selftest *test, int number, unseen_error *error); /* adds its results */
} us_selftest_group;

#endif
